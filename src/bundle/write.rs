//! Writing an archive: the same files make the same bytes, whenever and wherever that is done.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::BundleFile;

/// What only the owner may read, as OPA writes it.
const MODE: u32 = 0o600;
/// Length of the name's place in a header; longer names need an extended one.
const NAME_LENGTH: usize = 100;

/// A gzip-compressed tar archive of files, in the order of their paths and without times.
pub fn write_archive(files: &[BundleFile]) -> io::Result<Vec<u8>> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for file in sorted {
        // Rule: as OPA writes them, names begin with a slash.
        append(&mut tar, &format!("/{}", file.path), &file.bytes)?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

fn append<W: io::Write>(tar: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    if name.len() > NAME_LENGTH {
        tar.append_pax_extensions([("path", name.as_bytes())])?;
    }
    let mut header = tar::Header::new_ustar();
    if let Some(ustar) = header.as_ustar_mut() {
        for (place, byte) in ustar.name.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    tar.append(&header, bytes)
}
