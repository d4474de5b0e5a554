//! The tables, their version, and how a file of an earlier version becomes one of this.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::chain::Pending;
use super::corrupt;
use super::read::Head;
use super::write::Write;
use crate::store::{Action, Attempt, Author, Change, Config, Entry, EntryKind, Hash, StoreError};

/// Version of the tables below.
const VERSION: i64 = 3;
/// Rule: an entry holds from revision `since` until before revision `until`. Contents are found by
/// their digest; `header` is JSON, and `sha256` beside it covers number and header, which names the
/// digest of all entries. `state` is what the newest revision must be, `chains` what the newest audit
/// record of each kind must be, and after which its chain begins.
const POLICY: &str = "
    CREATE TABLE revisions (
        number INTEGER PRIMARY KEY,
        header TEXT NOT NULL,
        sha256 BLOB NOT NULL
    ) STRICT;
    CREATE TABLE entries (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER,
        sha256 BLOB NOT NULL,
        PRIMARY KEY (kind, key, since)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE contents (
        sha256 BLOB PRIMARY KEY,
        bytes BLOB NOT NULL
    ) STRICT;
";
const STATE: &str = "
    CREATE TABLE state (
        only INTEGER PRIMARY KEY CHECK (only = 0),
        revision INTEGER NOT NULL,
        sha256 BLOB NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        record TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_kind ON audit (kind, number);
    CREATE TABLE chains (
        kind INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        hash BLOB NOT NULL,
        anchor_number INTEGER NOT NULL,
        anchor_hash BLOB NOT NULL
    ) STRICT;
";
const NOTHING: &str = "
    INSERT INTO state VALUES (0, 0, zeroblob(32));
    INSERT INTO chains VALUES
        (0, 0, zeroblob(32), 0, zeroblob(32)),
        (1, 0, zeroblob(32), 0, zeroblob(32));
";

/// Makes the tables in an empty file.
pub(super) fn create(connection: &Connection) -> Result<(), StoreError> {
    let text =
        format!("BEGIN; {POLICY} {STATE} {NOTHING} PRAGMA user_version = {VERSION}; COMMIT;");
    Ok(connection.execute_batch(&text)?)
}

/// Refuses a file that is not of this version and cannot be made so.
pub(super) fn bring_up_to_date(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => Ok(()),
        1 => from_version_1(connection),
        2 => from_version_2(connection),
        0 => Err(corrupt(format!(
            "{} holds no policy store; if nothing of it is needed, remove it",
            path.display()
        ))),
        found => Err(StoreError::Schema {
            path: path.display().to_string(),
            found,
            known: VERSION,
        }),
    }
}

/// Version 1 had only the newest revision, in a table for each kind. It becomes the first one kept,
/// under its number.
fn from_version_1(connection: &Connection) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction()?;
    let revision: u64 =
        transaction.query_row("SELECT revision FROM state", [], |row| row.get(0))?;
    let mut entries = version_1_entries(
        &transaction,
        EntryKind::Resource,
        "SELECT kind || '/' || namespace || '/' || name, CAST(document AS BLOB), sha256 FROM resources",
    )?;
    entries.extend(version_1_entries(
        &transaction,
        EntryKind::Bundle,
        "SELECT name, archive, sha256 FROM bundles",
    )?);
    let tables = "DROP TABLE state; DROP TABLE resources; DROP TABLE bundles;";
    transaction.execute_batch(tables)?;
    transaction.execute_batch(&format!("{POLICY} {STATE} {NOTHING}"))?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    if revision > 0 {
        let attempt = Attempt::new(Author::program(), Action::Migrate, "schema version 1");
        let change = Change {
            at_least: revision,
            put: entries,
            ..Change::to(0, attempt)
        };
        let mut head = Head::default();
        let pending = Pending::default();
        let mut write = Write::new(&transaction, &mut head, &pending, Config::default());
        write.change(&change)?;
        write.finish()?;
    }
    transaction.commit()?;
    tracing::info!(
        revision,
        "the policy store was brought to schema version {VERSION}"
    );
    Ok(())
}

/// Version 2 had one chain for both kinds of records, which goes on as the one of changes.
fn from_version_2(connection: &Connection) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(&format!(
        "ALTER TABLE audit RENAME TO old_audit;
         ALTER TABLE state RENAME TO old_state;
         {STATE}
         INSERT INTO state SELECT 0, revision, sha256 FROM old_state;
         INSERT INTO audit SELECT number, 0, record, hash FROM old_audit;
         INSERT INTO chains
             SELECT 0, audit_number, audit_hash, anchor_number, anchor_hash FROM old_state;
         INSERT INTO chains VALUES (1, 0, zeroblob(32), 0, zeroblob(32));
         DROP TABLE old_audit;
         DROP TABLE old_state;"
    ))?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    tracing::info!("the policy store was brought to schema version {VERSION}");
    Ok(())
}

fn version_1_entries(
    transaction: &Transaction<'_>,
    kind: EntryKind,
    query: &str,
) -> Result<Vec<Entry>, StoreError> {
    let mut statement = transaction.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let entry = Entry::new(kind, row.get::<_, String>(0)?, row.get(1)?);
        let expected: Vec<u8> = row.get(2)?;
        if Hash::of(&entry.bytes).bytes() != expected {
            return Err(corrupt(format!(
                "{} does not have the checksum it was stored with",
                entry.id
            )));
        }
        entries.push(entry);
    }
    Ok(entries)
}
