//! `crypto.*`: digests and message authentication codes, in hexadecimal.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::{constant_time, hmac};
use md5::{Digest as _, Md5};
use regorus::Value;

use super::{Answer, Builtin, hexadecimal, text};

/// Length of a block of MD5, in bytes.
const MD5_BLOCK: usize = 64;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("crypto.md5", 1, md5),
    Builtin::pure("crypto.sha1", 1, |a| sha(a, &SHA1_FOR_LEGACY_USE_ONLY)),
    Builtin::pure("crypto.sha256", 1, |a| sha(a, &SHA256)),
    Builtin::pure("crypto.hmac.md5", 2, hmac_md5),
    Builtin::pure("crypto.hmac.sha1", 2, |a| {
        mac(a, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
    }),
    Builtin::pure("crypto.hmac.sha256", 2, |a| mac(a, hmac::HMAC_SHA256)),
    Builtin::pure("crypto.hmac.sha512", 2, |a| mac(a, hmac::HMAC_SHA512)),
    Builtin::pure("crypto.hmac.equal", 2, equal),
];

fn md5(arguments: &[Value]) -> Answer {
    let digest = Md5::digest(text(arguments, 0)?);
    Ok(Value::from(hexadecimal(&digest)))
}

fn sha(arguments: &[Value], algorithm: &'static digest::Algorithm) -> Answer {
    let digest = digest::digest(algorithm, text(arguments, 0)?.as_bytes());
    Ok(Value::from(hexadecimal(digest.as_ref())))
}

/// Rule: the message first, then the key.
fn mac(arguments: &[Value], algorithm: hmac::Algorithm) -> Answer {
    let (message, key) = (text(arguments, 0)?, text(arguments, 1)?);
    let tag = hmac::sign(
        &hmac::Key::new(algorithm, key.as_bytes()),
        message.as_bytes(),
    );
    Ok(Value::from(hexadecimal(tag.as_ref())))
}

/// Rule (RFC 2104): H(K ^ opad, H(K ^ ipad, message)), the key digested if it is longer than a block.
fn hmac_md5(arguments: &[Value]) -> Answer {
    let (message, key) = (text(arguments, 0)?, text(arguments, 1)?.as_bytes());
    let mut block = match key.len() {
        ..=MD5_BLOCK => key.to_vec(),
        _ => Md5::digest(key).to_vec(),
    };
    block.resize(MD5_BLOCK, 0);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<_>>();
    let inner = Md5::new().chain_update(padded(0x36)).chain_update(message);
    let outer = Md5::new()
        .chain_update(padded(0x5c))
        .chain_update(inner.finalize());
    Ok(Value::from(hexadecimal(&outer.finalize())))
}

/// Rule: whether two codes are the same, told in a time that does not depend on where they differ.
fn equal(arguments: &[Value]) -> Answer {
    let (one, other) = (text(arguments, 0)?, text(arguments, 1)?);
    let same = constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes());
    Ok(Value::from(same.is_ok()))
}
