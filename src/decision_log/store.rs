//! The decision log's file: blocks of records in SQLite, one writer, readers beside it. What a block
//! says of itself is a row by itself, so that those that cannot hold what is asked for are passed
//! over without being read.

mod aside;
mod asking;
mod damage;
mod earlier;
mod following;
mod kept;
mod ledger;
mod merging;
mod readers;
mod reading;
mod retention;
mod scanning;
mod summing;

pub(super) use aside::{is_beyond_use, set_aside};
pub(super) use damage::Damage;
pub use kept::Kept;
pub(super) use ledger::Resumed;
#[cfg(test)]
pub(super) use ledger::{Crash, Note};
pub use readers::LogReaders;
#[cfg(test)]
pub(super) use retention::{Gives, gives};

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction, params};

use ledger::Ledger;

use super::block::{About, Block, Damaged, FULL, Range, about_sum};
use crate::decision::Effect;

/// Version of the tables below.
const SCHEMA_VERSION: i64 = 5;
/// `blocks` has what blocks say of themselves, under the number of their last record; `bytes` is the
/// size of the contents, `sum` a checksum of all before it, and `raw_bytes` tells what can be merged.
/// `numbers` has the number of the next record, which is given once, whatever is removed, the first
/// block whose members are surely all that this version notes, and the time up to which records may have
/// been removed.
const SCHEMA: &str = "
    CREATE TABLE blocks (
        block INTEGER PRIMARY KEY,
        effect INTEGER NOT NULL,
        count INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        first_time_ns INTEGER NOT NULL,
        last_time_ns INTEGER NOT NULL,
        first_revision INTEGER NOT NULL,
        last_revision INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        raw_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX blocks_by_effect ON blocks (effect, block, count, bytes);
    CREATE TABLE contents (
        block INTEGER PRIMARY KEY,
        members BLOB NOT NULL,
        entries BLOB NOT NULL,
        details BLOB NOT NULL
    ) STRICT;
    CREATE TABLE numbers (
        next_seq INTEGER NOT NULL,
        newer_from INTEGER NOT NULL DEFAULT 0,
        removed_until_ns INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO numbers VALUES (1, 0, 0);
";
/// What a row of `blocks` is read by.
const ABOUT: &str = "block, effect, count, first_seq, first_time_ns, last_time_ns, \
                     first_revision, last_revision, bytes, sum, raw_bytes";
/// Version 2 had no `raw_bytes`: its blocks count as full, and are merged no more.
const WITHOUT_RAW_BYTES: i64 = 2;
/// Version 3 had fewer members.
const WITH_FEWER_MEMBERS: i64 = 3;
const MORE_MEMBERS: &str = "
    ALTER TABLE numbers ADD COLUMN newer_from INTEGER NOT NULL DEFAULT 0;
    UPDATE numbers SET newer_from = next_seq;
";
/// Version 4 did not note what it removed.
const WITHOUT_REMOVALS: i64 = 4;
const NOTED_REMOVALS: &str =
    "ALTER TABLE numbers ADD COLUMN removed_until_ns INTEGER NOT NULL DEFAULT 0";
/// Whatever was there before may have been removed.
const UNKNOWN_REMOVALS: &str = "UPDATE numbers SET removed_until_ns = unixepoch() * 1000000000";
/// Pages that are written back into the file at once, out of those that were appended to its log.
const CHECKPOINT_PAGES: i64 = 4_000;
/// The log is cut to so many bytes when it begins anew.
const JOURNAL_BYTES: i64 = 32 << 20;

/// One connection to the log's file.
#[derive(Debug)]
pub struct LogStore {
    connection: Mutex<Connection>,
    damage: Arc<Damage>,
    /// Where this is the log that writes.
    ledger: Option<Ledger>,
    path: Option<PathBuf>,
    /// The file is set aside, and there is no other yet.
    lacks_file: AtomicBool,
}

impl LogStore {
    /// Opens the file for writing, making it if need be.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // Records are for this program alone; what SQLite puts beside the file gets its mode.
        let mut options = File::options();
        options.create(true).append(true).mode(0o600).open(path)?;
        let store = Self::writing(Connection::open(path)?)?;
        let path = Some(path.to_owned());
        Ok(Self { path, ..store })
    }

    pub(super) fn writing(connection: Connection) -> anyhow::Result<Self> {
        connection.busy_timeout(Duration::from_secs(5))?;
        // Takes effect only before the first table is made.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A crash of the machine may cost the last batches; one of the process costs nothing.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)?;
        let mut store = Self::of(connection);
        store.prepare()?;
        Ok(store)
    }

    /// Opens the file for queries.
    pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self::of(connection))
    }

    fn of(connection: Connection) -> Self {
        Self {
            connection: Mutex::new(connection),
            damage: Arc::default(),
            ledger: None,
            path: None,
            lacks_file: AtomicBool::new(false),
        }
    }

    /// Shares what is known of damage with others.
    #[must_use]
    pub(super) fn noting(self, damage: Arc<Damage>) -> Self {
        Self { damage, ..self }
    }

    /// Makes the tables. Those of an earlier version stay until what they hold is taken over.
    fn prepare(&mut self) -> anyhow::Result<()> {
        let connection = self.connection();
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            SCHEMA_VERSION => return Ok(()),
            0
            | earlier::SCHEMA_VERSION
            | WITHOUT_RAW_BYTES
            | WITH_FEWER_MEMBERS
            | WITHOUT_REMOVALS => {}
            newer => anyhow::bail!(
                "its schema version {newer} is not {SCHEMA_VERSION}, which this version knows"
            ),
        }
        let transaction = connection.unchecked_transaction()?;
        if version == WITHOUT_RAW_BYTES {
            let add =
                format!("ALTER TABLE blocks ADD COLUMN raw_bytes INTEGER NOT NULL DEFAULT {FULL}");
            transaction.execute_batch(&add)?;
        }
        if matches!(version, WITHOUT_RAW_BYTES | WITH_FEWER_MEMBERS) {
            transaction.execute_batch(MORE_MEMBERS)?;
        }
        match version {
            WITHOUT_RAW_BYTES..=WITHOUT_REMOVALS => transaction.execute_batch(NOTED_REMOVALS)?,
            _ => transaction.execute_batch(SCHEMA)?,
        }
        if version != 0 {
            transaction.execute_batch(UNKNOWN_REMOVALS)?;
        }
        if version == earlier::SCHEMA_VERSION {
            earlier::begin(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        Ok(transaction.commit()?)
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        let connection = self.connection.lock();
        connection.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up the numbers where the log before left them, and notes from now on which are given.
    pub(super) fn resume(&mut self, path: &Path) -> anyhow::Result<Resumed> {
        let (ledger, resumed) = Ledger::open(path, self.next_seq()?)?;
        self.ledger = Some(ledger);
        Ok(resumed)
    }

    /// Notes that all numbers below this one are given.
    pub(super) fn has_given(&self, next: i64) {
        self.ledger.iter().for_each(|ledger| ledger.given(next));
    }

    /// Notes that it is known what became of all records below this number.
    pub(super) fn has_settled(&self, next: i64) {
        self.ledger.iter().for_each(|ledger| ledger.settled(next));
    }

    /// Notes that the log ended in order, and goes on with this number.
    pub(super) fn close(&self, next: i64) {
        self.ledger.iter().for_each(|ledger| ledger.close(next));
    }

    /// The number of the next record, as far as the log's own file knows.
    pub(super) fn next_seq(&self) -> rusqlite::Result<i64> {
        let query = "SELECT next_seq FROM numbers";
        self.connection().query_row(query, [], |row| row.get(0))
    }

    /// Stores blocks in one transaction, and that it is known of all below this number what became of them.
    pub(super) fn append(&self, blocks: &[Block], settled: i64) -> rusqlite::Result<()> {
        let connection = self.connection();
        let transaction = connection.unchecked_transaction()?;
        for block in blocks {
            insert(&transaction, block)?;
        }
        let mut update =
            transaction.prepare_cached("UPDATE numbers SET next_seq = max(next_seq, ?)")?;
        update.execute([settled])?;
        drop(update);
        transaction.commit()?;
        for block in blocks {
            let metrics = self.damage.metrics();
            let bytes = i64::try_from(block.size()).unwrap_or(i64::MAX);
            metrics
                .log
                .stored(block.about.effect.as_str(), block.about.count, bytes);
        }
        Ok(())
    }
}

fn insert(transaction: &Transaction<'_>, block: &Block) -> rusqlite::Result<()> {
    let about = block.about;
    let key = about.seq.last;
    let bytes = i64::try_from(block.size()).unwrap_or(i64::MAX);
    let mut insert = transaction
        .prepare_cached("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    insert.execute(params![
        key,
        i64::from(about.effect == Effect::Allow),
        about.count,
        about.seq.first,
        about.time_ns.first,
        about.time_ns.last,
        about.revision.first,
        about.revision.last,
        bytes,
        about_sum(&about, bytes),
        about.raw_bytes,
    ])?;
    let mut insert = transaction.prepare_cached("INSERT INTO contents VALUES (?, ?, ?, ?)")?;
    insert.execute(params![key, block.members, block.index, block.details])?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, block: i64) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM blocks WHERE block = ?",
        "DELETE FROM contents WHERE block = ?",
    ] {
        transaction.prepare_cached(statement)?.execute([block])?;
    }
    Ok(())
}

/// What a block says of itself, if that is what was written.
fn about(row: &Row<'_>) -> Result<About, Damaged> {
    read_about(row).unwrap_or(Err(Damaged))
}

fn read_about(row: &Row<'_>) -> rusqlite::Result<Result<About, Damaged>> {
    let effect = match row.get(1)? {
        0 => Effect::Deny,
        1 => Effect::Allow,
        _ => return Ok(Err(Damaged)),
    };
    let range = |first, last| -> rusqlite::Result<Range> {
        Ok(Range {
            first: row.get(first)?,
            last: row.get(last)?,
        })
    };
    let about = About {
        effect,
        count: row.get(2)?,
        seq: range(3, 0)?,
        time_ns: range(4, 5)?,
        revision: range(6, 7)?,
        raw_bytes: row.get(10)?,
    };
    let is_whole = about_sum(&about, row.get(8)?) == row.get::<_, i64>(9)?;
    Ok(is_whole.then_some(about).ok_or(Damaged))
}

/// A column of a block's contents; `None` if the block is gone.
fn content(
    connection: &Connection,
    column: &'static str,
    block: i64,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let statement = match column {
        "members" => "SELECT members FROM contents WHERE block = ?",
        "entries" => "SELECT entries FROM contents WHERE block = ?",
        _ => "SELECT details FROM contents WHERE block = ?",
    };
    let mut statement = connection.prepare_cached(statement)?;
    statement.query_row([block], |row| row.get(0)).optional()
}
