//! How far the log has come, in a small file beside its own: which numbers were given, and up to which it
//! is known what became of the records. It is written before anybody sees a number, so that after a crash
//! the next start knows how many decisions it cost, and gives none of their numbers again.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Numbers that are reserved at once. A failure of power costs what was left of them.
const RESERVED_AT_ONCE: i64 = 1 << 20;
/// Where the two notes are that are written in turn: what tears one leaves the other.
const PLACES: [u64; 2] = [0, 4096];
/// Of a note, in bytes: six numbers and their checksum.
const NOTE: usize = 6 * 8 + 4;

/// The file, and what was noted last.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    note: Note,
    is_failing: bool,
    /// Whether what is reserved is not known to be on the disk itself.
    needs_sync: bool,
}

/// Each number is the first of which it is not so.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::decision_log) struct Note {
    /// How often there was something to note.
    pub(in crate::decision_log) turn: u64,
    pub(in crate::decision_log) given: i64,
    /// Stored, lost and counted, or not wanted.
    pub(in crate::decision_log) settled: i64,
    /// No higher one is given, and this is on the disk itself. Equal to `given` where the log was stopped
    /// in order.
    pub(in crate::decision_log) reserved: i64,
    /// In which run of the operating system this was written.
    pub(in crate::decision_log) boot: u128,
}

/// How the log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decision_log) struct Resumed {
    pub(in crate::decision_log) next_seq: i64,
    pub(in crate::decision_log) crash: Option<Crash>,
}

/// The log was not stopped in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decision_log) struct Crash {
    /// Numbers that were given, and of which nothing is known.
    pub(in crate::decision_log) first: i64,
    pub(in crate::decision_log) lost: i64,
    /// Whether the operating system ended as well: it may not have written all that was noted.
    pub(in crate::decision_log) of_machine: bool,
}

// === impl Ledger ===

impl Ledger {
    /// Opens the file beside the log's, making it if need be, and tells how the log goes on that has stored
    /// all up to this number.
    pub(super) fn open(log: &Path, stored: i64) -> io::Result<(Self, Resumed)> {
        let path = path(log);
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.mode(0o600).open(&path)?;
        let boot = boot();
        let found = PLACES.iter().filter_map(|place| read(&file, *place));
        let found = found.max_by_key(|note| note.turn).unwrap_or_default();
        let resumed = found.resume(stored, boot);
        let next = resumed.next_seq;
        let mut state = State {
            note: Note {
                turn: found.turn,
                given: next,
                settled: next,
                reserved: next,
                boot,
            },
            is_failing: false,
            needs_sync: false,
        };
        // Both, so that what they need of the disk is there from now on.
        for _ in PLACES {
            state.write(&file)?;
        }
        file.sync_all()?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            File::open(folder)?.sync_all()?;
        }
        let state = Mutex::new(state);
        Ok((Self { file, state }, resumed))
    }

    /// Notes that all numbers below this one are given. Rule: before anybody is shown one of them.
    pub(super) fn given(&self, next: i64) {
        self.note(|note| note.given = note.given.max(next));
    }

    /// Notes that it is known what became of all records below this number.
    pub(super) fn settled(&self, next: i64) {
        self.note(|note| note.settled = note.settled.max(next));
    }

    /// Notes that the log ended in order, and goes on with this number.
    pub(super) fn close(&self, next: i64) {
        self.note(|note| {
            note.given = note.given.max(next);
            note.settled = note.given;
            note.reserved = note.given;
        });
    }

    fn note(&self, change: impl FnOnce(&mut Note)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.note;
        change(&mut state.note);
        let is_open = state.note.reserved == before.reserved;
        if is_open && state.note.given > before.given {
            state.note.reserve();
        }
        if state.note == before && !state.is_failing {
            return;
        }
        let mut written = state.write(&self.file);
        state.needs_sync |= state.note.reserved != before.reserved;
        if state.needs_sync {
            written = written.and_then(|()| self.file.sync_data());
            state.needs_sync = written.is_err();
        }
        let was_failing = std::mem::replace(&mut state.is_failing, written.is_err());
        match written {
            Err(error) if !was_failing => tracing::error!(
                %error,
                "how far the decision log has come cannot be noted: after a crash it would not be known"
            ),
            Ok(()) if was_failing => {
                tracing::info!("how far the decision log has come is noted again");
            }
            _ => {}
        }
    }
}

impl State {
    fn write(&mut self, file: &File) -> io::Result<()> {
        self.note.turn += 1;
        let [even, odd] = PLACES;
        let place = if self.note.turn.is_multiple_of(2) {
            even
        } else {
            odd
        };
        file.write_all_at(&self.note.encoded(), place)
    }
}

// === impl Note ===

impl Note {
    /// Rule: a half of what is reserved at once is always left.
    fn reserve(&mut self) {
        if self.reserved.saturating_sub(self.given) < RESERVED_AT_ONCE / 2 {
            self.reserved = self.given.saturating_add(RESERVED_AT_ONCE);
        }
    }

    /// How a log goes on that has stored all below this number, in this run of the operating system.
    pub(in crate::decision_log) fn resume(self, stored: i64, boot: u128) -> Resumed {
        let given = self.given.max(stored);
        if self.reserved == self.given {
            return Resumed {
                next_seq: given,
                crash: None,
            };
        }
        let first = self.settled.max(stored);
        let of_machine = self.boot != boot || boot == 0;
        Resumed {
            // Rule: what was noted outlives the process. Of the machine's end that is known only of what is
            // reserved, and what was given above the note may be elsewhere.
            next_seq: if of_machine {
                given.max(self.reserved)
            } else {
                given
            },
            crash: Some(Crash {
                first,
                lost: given.saturating_sub(first).max(0),
                of_machine,
            }),
        }
    }

    fn encoded(self) -> [u8; NOTE] {
        let [high, low] = [self.boot >> 64, self.boot].map(|half| half as u64);
        let [given, settled, reserved] =
            [self.given, self.settled, self.reserved].map(i64::cast_unsigned);
        let mut bytes = [0; NOTE];
        let numbers = [self.turn, given, settled, reserved, high, low];
        let (body, sum) = bytes.split_at_mut(NOTE - 4);
        for (place, number) in body.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        sum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        bytes
    }

    fn decoded(bytes: &[u8; NOTE]) -> Option<Self> {
        let (body, sum) = bytes.split_at(NOTE - 4);
        let mut numbers = body
            .chunks_exact(8)
            .map(|number| number.try_into().map_or(0, u64::from_le_bytes));
        let mut number = || numbers.next().unwrap_or(0);
        let [turn, given, settled, reserved, high, low] = std::array::from_fn(|_| number());
        (crc32fast::hash(body).to_le_bytes() == sum).then_some(Self {
            turn,
            given: given.cast_signed(),
            settled: settled.cast_signed(),
            reserved: reserved.cast_signed(),
            boot: u128::from(high) << 64 | u128::from(low),
        })
    }
}

/// `decisions.db` has `decisions.numbers` beside it.
fn path(log: &Path) -> PathBuf {
    log.with_extension("numbers")
}

/// A note that is whole. One of zeros is none: it never was written.
fn read(file: &File, place: u64) -> Option<Note> {
    let mut bytes = [0; NOTE];
    file.read_exact_at(&mut bytes, place).ok()?;
    Note::decoded(&bytes).filter(|note| note.turn > 0)
}

/// The number of this run of the operating system; 0 where it is not told.
fn boot() -> u128 {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let id = told
        .ok()
        .and_then(|id| uuid::Uuid::parse_str(id.trim()).ok());
    id.map_or(0, |id| id.as_u128())
}
