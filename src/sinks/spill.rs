//! Records on disk, for a sink that does not take them now: a queue of files, bounded, found again after
//! a crash. What was written is on the disk before it counts; what was delivered may come again after a
//! crash, up to what its place was last noted.

mod frame;
mod place;
mod segment;

use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decision_log::Finished;
use frame::Frame;
use place::{Noted, Place};
use segment::Segment;

/// A file is full when it is so large, in bytes, and what part of the limit it is at most: room is given
/// back a file at a time.
const SEGMENT: u64 = 4 << 20;
const MIN_SEGMENT: u64 = 64 << 10;
const SHARE: u64 = 8;

/// The queue. Its files are one after the other; each holds frames of records.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    limit: u64,
    /// Oldest first; the last is being filled if `is_open`.
    segments: VecDeque<Segment>,
    is_open: bool,
    next_number: u64,
    /// What is left of the frame that is being read, and how many of its records are done.
    front: VecDeque<Arc<Finished>>,
    done: u32,
    /// Where in the first file the frame after it begins.
    next: u64,
    records: u64,
    bytes: u64,
    place: Place,
    is_noted: bool,
}

/// What was kept of what was to be.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// So many, from the first on.
    pub(super) records: usize,
    /// Why not all are kept, if it is not for want of room.
    pub(super) error: Option<io::Error>,
}

// === impl Spill ===

impl Spill {
    /// Opens a folder, making it if need be. Also told is how many records in it were damaged.
    pub(super) fn open(folder: &Path, limit: u64) -> io::Result<(Self, u64)> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)?;
        let mut segments = VecDeque::new();
        let mut damaged = 0;
        for (number, path) in segment::list(folder)? {
            let (segment, lost) = Segment::open(number, &path)?;
            damaged += lost;
            segments.push_back(segment);
        }
        let (place, noted) = Place::open(folder)?;
        let mut spill = Self {
            folder: folder.to_owned(),
            limit,
            next_number: segments.back().map_or(1, |last| last.number + 1),
            records: segments.iter().map(|segment| segment.records).sum(),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            segments,
            // What ends in the middle of a frame is not written on.
            is_open: false,
            front: VecDeque::new(),
            done: 0,
            next: 0,
            place,
            is_noted: true,
        };
        if let Some(noted) = noted {
            damaged += spill.go_to(noted)?;
        }
        damaged += spill.fill()?;
        Ok((spill, damaged))
    }

    /// Goes on where an earlier run was. Returns how many records were damaged.
    fn go_to(&mut self, (number, offset, done): Noted) -> io::Result<u64> {
        // Rule: a number is given once, so that no new file is taken for one that was read.
        self.next_number = self.next_number.max(number);
        while let Some(first) = self.segments.front()
            && first.number < number
        {
            self.records -= first.records.min(self.records);
            self.remove_first()?;
        }
        match self.segments.front() {
            Some(first) if first.number == number && offset <= first.bytes => {
                self.records -= first.records_before(offset).min(self.records);
                self.next = offset;
            }
            _ => return Ok(0),
        }
        let damaged = self.fill()?;
        self.advance(self.front.len().min(done as usize))?;
        Ok(damaged)
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes records behind all others, until there is no room or something fails.
    pub(super) fn append(&mut self, records: &[Arc<Finished>]) -> Kept {
        let mut kept = Kept::default();
        for chunk in frame::chunks(records) {
            let frame = Frame::of(chunk);
            if self.bytes + frame.len() > self.limit {
                break;
            }
            if let Err(error) = self.write(&frame) {
                kept.error = Some(error);
                break;
            }
            kept.records += chunk.len();
        }
        let synced = self.segments.back_mut().filter(|_| self.is_open);
        if let Some(Err(error)) = synced.map(Segment::sync)
            && kept.error.is_none()
        {
            // They may be there or not: they come twice rather than not at all.
            tracing::warn!(%error, "what a sink wrote for later may not survive a crash");
        }
        kept
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let full = (self.limit / SHARE).clamp(MIN_SEGMENT, SEGMENT);
        let has_room = |last: &Segment| last.bytes < full;
        if !(self.is_open && self.segments.back().is_some_and(has_room)) {
            if let Some(last) = self.segments.back_mut() {
                last.sync()?;
            }
            let number = self.next_number;
            // What is left of an attempt that fails is in nobody's way.
            self.next_number += 1;
            let segment = Segment::make(number, &self.folder)?;
            self.segments.push_back(segment);
            self.is_open = true;
        }
        let Some(last) = self.segments.back_mut() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if let Err(error) = last.append(frame) {
            // What came of it is in the way of nothing: the next goes to another file.
            self.is_open = false;
            if last.bytes == 0
                && let Some(empty) = self.segments.pop_back()
            {
                drop(empty.remove());
            }
            return Err(error);
        }
        self.records += u64::from(frame.count());
        self.bytes += frame.len();
        Ok(())
    }

    /// The oldest records, up to so many; and how many were found damaged, and are gone.
    pub(super) fn peek(&mut self, records: usize) -> io::Result<(Vec<Arc<Finished>>, u64)> {
        let damaged = self.fill()?;
        let oldest = self.front.iter().take(records).map(Arc::clone);
        Ok((oldest.collect(), damaged))
    }

    /// Reads the next frame if none is left of the last.
    fn fill(&mut self) -> io::Result<u64> {
        let mut damaged = 0;
        while self.front.is_empty() {
            let Some(first) = self.segments.front_mut() else {
                self.records = 0;
                break;
            };
            if self.next >= first.bytes {
                self.remove_first()?;
                continue;
            }
            match first.read(self.next)? {
                Ok(frame) => self.front = frame.into(),
                Err(lost) => {
                    damaged += u64::from(lost);
                    self.records -= u64::from(lost).min(self.records);
                    self.next = first.after(self.next);
                }
            }
        }
        Ok(damaged)
    }

    /// The oldest so many are done.
    pub(super) fn advance(&mut self, records: usize) -> io::Result<()> {
        let mut left = records;
        while left > 0 {
            // What is damaged of them is done as well.
            let damaged = self.fill()?;
            left = left.saturating_sub(usize::try_from(damaged).unwrap_or(usize::MAX));
            let done = left.min(self.front.len());
            if done == 0 {
                break;
            }
            self.front.drain(..done);
            self.done += u32::try_from(done).unwrap_or(u32::MAX);
            self.records -= (done as u64).min(self.records);
            self.is_noted = false;
            left -= done;
            if self.front.is_empty()
                && let Some(first) = self.segments.front()
            {
                self.next = first.after(self.next);
                self.done = 0;
            }
        }
        if self.records == 0 {
            // Files that are read are gone at once.
            self.fill()?;
        }
        Ok(())
    }

    /// Notes how far it is. A crash before costs records that come again.
    pub(super) fn note(&mut self) -> io::Result<()> {
        if self.is_noted {
            return Ok(());
        }
        let number = self
            .segments
            .front()
            .map_or(self.next_number, |first| first.number);
        self.place.put(number, self.next, self.done)?;
        self.is_noted = true;
        Ok(())
    }

    fn remove_first(&mut self) -> io::Result<()> {
        if let Some(first) = self.segments.pop_front() {
            self.bytes -= first.bytes.min(self.bytes);
            self.is_open &= !self.segments.is_empty();
            self.next = 0;
            self.done = 0;
            self.is_noted = false;
            first.remove()?;
        }
        Ok(())
    }
}
