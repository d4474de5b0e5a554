//! How far a spill was read, in a file of its own: which file, where in it the frame begins that is
//! being read, and how many of its records are done.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

const FILE: &str = "place";
const LENGTH: usize = 8 + 8 + 4 + 4;

#[derive(Debug)]
pub(super) struct Place(File);

/// Number of the file, offset, records done.
pub(super) type Noted = (u64, u64, u32);

impl Place {
    /// Opens it, and tells what was noted, if that is whole.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Option<Noted>)> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(folder.join(FILE))?;
        let mut bytes = [0; LENGTH];
        let noted = file.read_exact_at(&mut bytes, 0).ok();
        Ok((Self(file), noted.and_then(|()| read(&bytes))))
    }

    /// Without a sync: what a crash of the machine costs is that records come again.
    pub(super) fn put(&self, number: u64, offset: u64, done: u32) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&done.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}

fn read(bytes: &[u8; LENGTH]) -> Option<Noted> {
    let (noted, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(noted) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (number, rest) = noted.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (done, _) = rest.split_first_chunk()?;
    Some((
        u64::from_le_bytes(*number),
        u64::from_le_bytes(*offset),
        u32::from_le_bytes(*done),
    ))
}
