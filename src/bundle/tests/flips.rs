//! Bits of a signed bundle that are flipped, one at a time.

use super::signatures::{hmac, pack, read_by, secret_rules, signed};
use super::*;

/// What of a bundle decides.
fn content(bundle: &Bundle) -> (Vec<RegoModule>, Data, Manifest) {
    let mut modules = bundle.modules.clone();
    modules.sort_by(|one, other| one.path.cmp(&other.path));
    (modules, bundle.data.clone(), bundle.manifest.clone())
}

#[test]
fn a_flipped_bit_never_makes_another_bundle() {
    let archive = pack(&signed(&hmac(), &Claims::default()));
    let rules = secret_rules(Mode::Required);
    let expected = content(&read_by(&archive, rules.clone()).unwrap());
    let mut survived = 0;
    let mut check = |archive: &[u8], what: &str, at: usize| {
        if let Ok(bundle) = read_by(archive, rules.clone()) {
            survived += 1;
            assert_eq!(content(&bundle), expected, "{what} {at}");
        }
    };
    for at in 0..archive.len() {
        for bit in 0..8 {
            let mut flipped = archive.clone();
            flipped[at] ^= 1 << bit;
            check(&flipped, "archive", at);
        }
    }
    // Behind the checksums of compression and headers.
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*archive), &mut tar).unwrap();
    for at in 0..tar.len() {
        let mut flipped = tar.clone();
        flipped[at] ^= 1 << (at % 8);
        let block = at / 512 * 512;
        let is_header = tar.get(block + 257..block + 262) == Some(b"ustar");
        if is_header && !(148..156).contains(&(at % 512)) {
            let mut header = tar::Header::new_ustar();
            header
                .as_mut_bytes()
                .copy_from_slice(&flipped[block..block + 512]);
            header.set_cksum();
            flipped[block..block + 512].copy_from_slice(header.as_bytes());
        }
        check(&gzip(&flipped), "tar", at);
    }
    assert!(survived > 0, "times and owners of files may change");
}
