//! One file of a spill: frames one after the other. A crash may have torn the last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{Frame, HEADER, Header};
use crate::decision_log::Finished;

const SUFFIX: &str = ".spill";

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    file: File,
    /// Up to the end of its last whole frame.
    pub(super) bytes: u64,
    pub(super) records: u64,
    /// Frames by where they begin: where they end, and their records.
    frames: BTreeMap<u64, (u64, u32)>,
    is_synced: bool,
}

/// The files in a folder, in their order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

// === impl Segment ===

impl Segment {
    pub(super) fn make(number: u64, folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{number:012}{SUFFIX}"));
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        // Its name survives a crash as well.
        File::open(folder)?.sync_all()?;
        Ok(Self {
            number,
            path,
            file,
            bytes: 0,
            records: 0,
            frames: BTreeMap::new(),
            is_synced: true,
        })
    }

    /// Opens one of an earlier run. Also told is how many records are lost that can be told of: one at
    /// least where something stands that is no frame, and not just the beginning of one.
    pub(super) fn open(number: u64, path: &Path) -> io::Result<(Self, u64)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut segment = Self {
            number,
            path: path.to_owned(),
            file,
            bytes: 0,
            records: 0,
            frames: BTreeMap::new(),
            is_synced: true,
        };
        while segment.bytes < length {
            let start = segment.bytes;
            if length - start < HEADER as u64 {
                break;
            }
            let Some(header) = segment.header(start)? else {
                tracing::error!(path = %path.display(), "a file of a sink's is damaged");
                return Ok((segment, 1));
            };
            let end = start + HEADER as u64 + header.length();
            if end > length {
                break;
            }
            segment.add(end, header.count);
        }
        Ok((segment, 0))
    }

    fn add(&mut self, end: u64, count: u32) {
        self.frames.insert(self.bytes, (end, count));
        self.bytes = end;
        self.records += u64::from(count);
    }

    fn header(&self, offset: u64) -> io::Result<Option<Header>> {
        let mut bytes = [0; HEADER];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(Header::read(&bytes))
    }

    /// Where the frame after one begins.
    pub(super) fn after(&self, offset: u64) -> u64 {
        self.frames.get(&offset).map_or(self.bytes, |frame| frame.0)
    }

    pub(super) fn records_before(&self, offset: u64) -> u64 {
        let before = self.frames.range(..offset);
        before.map(|(_, frame)| u64::from(frame.1)).sum()
    }

    /// Reads a frame; what is damaged is told by how many records it had.
    pub(super) fn read(&self, offset: u64) -> io::Result<Result<Vec<Arc<Finished>>, u32>> {
        let Some(&(end, count)) = self.frames.get(&offset) else {
            return Ok(Err(0));
        };
        let length = end - offset - HEADER as u64;
        let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut body, offset + HEADER as u64)?;
        let header = self.header(offset)?;
        Ok(header.and_then(|header| header.records(&body)).ok_or(count))
    }

    /// Writes a frame behind the others, all of it or none.
    pub(super) fn append(&mut self, frame: &Frame) -> io::Result<()> {
        self.is_synced = false;
        if let Err(error) = self.file.write_all_at(frame.bytes(), self.bytes) {
            // Best effort: what is left of it is never read, and torn if found later.
            drop(self.file.set_len(self.bytes));
            return Err(error);
        }
        self.add(self.bytes + frame.len(), frame.count());
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}
