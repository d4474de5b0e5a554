//! The file itself: who holds it, making it whole or not at all, and opening it.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;
use crate::store::{Config, StoreError};

/// Policy and who changed it are for this program alone.
const MODE: u32 = 0o600;
/// What stands in the lock's file once there is a store beside it.
const MADE: &[u8] = b"a store was made here\n";

/// Takes the lock that only one process can have.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(MODE)
        .open(beside(path, ".lock"))
        .map_err(|error| failed(path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed(path, &error)),
    }
}

/// Makes a store if there is none and never was. Rule: one that is gone is never taken for a new one.
pub(super) fn make_first(path: &Path, lock: &mut File) -> Result<(), StoreError> {
    let explain = |error: io::Error| failed(path, &error);
    let mut mark = Vec::new();
    lock.read_to_end(&mut mark).map_err(explain)?;
    if !path.try_exists().map_err(explain)? {
        let has_journal = beside(path, "-journal").try_exists().map_err(explain)?;
        if has_journal || !mark.is_empty() {
            let path = path.display();
            return Err(super::corrupt(format!(
                "{path} is gone; if nothing of it is needed, remove {path}.lock and {path}-journal as well"
            )));
        }
        create(path)?;
    }
    if mark.is_empty() {
        let marked = lock.write_all(MADE).and_then(|()| lock.sync_all());
        marked.map_err(explain)?;
    }
    Ok(())
}

/// Which file it is: its device, and its number there.
pub(super) fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = path.metadata().map_err(|error| failed(path, &error))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes an empty store under another name and gives it its own once it is whole: a file of that name
/// that holds nothing has lost what it held, and is never taken for a new one.
fn create(path: &Path) -> Result<(), StoreError> {
    let new = beside(path, ".new");
    let explain = |error: io::Error| failed(path, &error);
    // What is left of a start that was killed must not be mixed into this one.
    for stale in [&new, &beside(&new, "-journal")] {
        remove(stale).map_err(explain)?;
    }
    // The journal gets the mode of the file.
    let mut options = File::options();
    let made = options.create_new(true).write(true).mode(MODE).open(&new);
    made.map_err(explain)?;
    let connection = Connection::open(&new).map_err(|error| unusable(path, error))?;
    let made = connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(StoreError::from)
        .and_then(|()| schema::create(&connection));
    made?;
    connection
        .close()
        .map_err(|(_, error)| unusable(path, error))?;
    fs::rename(&new, path).map_err(explain)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(explain)?;
    folder.sync_all().map_err(explain)
}

/// Opens a file that is there, and brings it to the schema of this program.
pub(super) fn connect(path: &Path, config: Config) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| unusable(path, error))?;
    let prepare = || -> rusqlite::Result<()> {
        // The lock is taken by the first transaction and kept.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")
    };
    prepare().map_err(|error| unusable(path, error))?;
    schema::bring_up_to_date(&connection, path)?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let bytes = i64::try_from(config.max_bytes.0).unwrap_or(i64::MAX);
    let pages = bytes.checked_div(page).unwrap_or_default().max(1);
    connection.pragma_update(None, "max_page_count", pages)?;
    Ok(connection)
}

/// A file of the same name with something after it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull {
        return StoreError::Full;
    }
    StoreError::Io(format!("{}: {error}", path.display()))
}

/// An error with the file's name.
fn unusable(path: &Path, error: rusqlite::Error) -> StoreError {
    let shown = path.display();
    let is_busy = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    );
    match StoreError::from(error) {
        _ if is_busy => StoreError::InUse(shown.to_string()),
        StoreError::Corrupt { what } => super::corrupt(format!("{shown}: {what}")),
        StoreError::Io(why) => StoreError::Io(format!("{shown}: {why}")),
        other => other,
    }
}
