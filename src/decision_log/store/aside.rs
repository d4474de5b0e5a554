//! A file so damaged that nothing can be stored in it any more is set aside under another name, and a new
//! one is begun. The last one that was set aside stays for a look; whoever had it before is removed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::LogStore;

/// What SQLite has beside a file: the second is made anew from the first.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Whether an error says that the file is no such file any more, rather than that it cannot be written now.
pub(in crate::decision_log) fn is_beyond_use(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

impl LogStore {
    /// Whether an error comes of the file, which never will take anything.
    pub(in crate::decision_log) fn is_beyond_use(&self, error: &rusqlite::Error) -> bool {
        self.lacks_file.load(Ordering::Relaxed) || is_beyond_use(error)
    }

    /// Goes on in a new file. What fails can be tried again.
    pub(in crate::decision_log) fn begin_anew(&self) -> anyhow::Result<()> {
        let path = self.path.as_deref().context("there is no file")?;
        let mut connection = self.connection();
        if !self.lacks_file.load(Ordering::Relaxed) {
            // Rule: nobody who could write has the old file open while there are two; closing it would
            // remove what SQLite has beside the new one.
            let nothing = Connection::open_in_memory()?;
            drop(std::mem::replace(&mut *connection, nothing));
            self.lacks_file.store(true, Ordering::Relaxed);
            self.damage.of_all(&set_aside(path)?);
        }
        let fresh = Self::open_anew(path)?.connection.into_inner();
        *connection = fresh.unwrap_or_else(PoisonError::into_inner);
        self.lacks_file.store(false, Ordering::Relaxed);
        self.damage.is_over();
        Ok(())
    }
}

/// Gives a file and what is beside it another name. Returns that.
pub(in crate::decision_log) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let start = with(path, ".damaged-");
    remove_earlier(&start)?;
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let aside = with(&start, &now);
    for end in std::iter::once("").chain(BESIDE) {
        match std::fs::rename(with(path, end), with(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn remove_earlier(start: &Path) -> io::Result<()> {
    let (Some(folder), Some(start)) = (start.parent(), start.file_name()) else {
        return Ok(());
    };
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(start.as_encoded_bytes())
        {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
