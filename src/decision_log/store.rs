//! The decision log's file: SQLite, one writer, readers beside it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags, params, params_from_iter};
use serde_json::Value;

use super::query::{Cursor, Filter, Page, QueryError, SqlValue};
use super::record::Entry;
use crate::decision::Effect;

/// Version of the tables below.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL,
        time_ns INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        effect INTEGER NOT NULL,
        principal TEXT,
        request_principal TEXT,
        host TEXT,
        path TEXT,
        policy TEXT,
        trace_id TEXT,
        shown TEXT NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_id ON decisions (id);
    CREATE INDEX decisions_by_time ON decisions (time_ns);
    CREATE INDEX decisions_by_effect ON decisions (effect, seq);
";
/// Share of the log removed at once when it is too large.
const PRUNE_SHARE: i64 = 10;
/// Most times that is done in a row.
const PRUNE_ROUNDS: usize = 50;
/// Instructions of the database between two looks at a query's time.
const PROGRESS_STEPS: i32 = 10_000;
/// Longest a query may take.
const QUERY_LIMIT: Duration = Duration::from_secs(2);

/// One connection to the log's file.
#[derive(Debug)]
pub struct LogStore {
    connection: Mutex<Connection>,
}

impl LogStore {
    /// Opens the file for writing, making it if need be.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // Records are for this program alone; what SQLite puts beside the file gets its mode.
        let mut options = File::options();
        options.create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // Takes effect only before the first table is made.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A crash of the machine may cost the last batches; one of the process costs nothing.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        match connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
            0 => {
                connection.execute_batch(SCHEMA)?;
                connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            newer => anyhow::bail!(
                "its schema version {newer} is not {SCHEMA_VERSION}, which this version knows"
            ),
        }
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Opens the file for queries.
    pub fn open_reader(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        act(&mut self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores entries in one transaction.
    pub fn append(&mut self, entries: &[Entry]) -> rusqlite::Result<()> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO decisions (id, time_ns, revision, effect, principal, request_principal, \
                     host, path, policy, trace_id, shown) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?;
                for entry in entries {
                    insert.execute(params![
                        entry.id.as_bytes().as_slice(),
                        entry.time_ns,
                        i64::try_from(entry.revision).unwrap_or(i64::MAX),
                        i64::from(entry.effect == Effect::Allow),
                        entry.principal,
                        entry.request_principal,
                        entry.host,
                        entry.path,
                        entry.policy,
                        entry.trace_id,
                        entry.shown,
                    ])?;
                }
            }
            transaction.commit()
        })
    }

    /// Removes what is too old, and the oldest while the file is too large.
    pub fn prune(&self, retention: Duration, max_bytes: u64) -> rusqlite::Result<()> {
        self.with(|connection| {
            let age = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
            let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
            connection.execute("DELETE FROM decisions WHERE time_ns < ?", [now.saturating_sub(age)])?;
            // Bounded: each round removes a share of what is left.
            for _ in 0..PRUNE_ROUNDS {
                if used_bytes(connection)? <= max_bytes {
                    break;
                }
                connection.execute(
                    "DELETE FROM decisions WHERE seq < (SELECT min(seq) + (max(seq) - min(seq)) / ? + 1 FROM decisions)",
                    [PRUNE_SHARE],
                )?;
            }
            // Each step gives back one page.
            let mut vacuum = connection.prepare_cached("PRAGMA incremental_vacuum")?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
            connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        })
    }

    /// Answers a question.
    pub fn query(&self, filter: &Filter) -> Result<Page, QueryError> {
        let limit = filter.limit()?;
        let conditions = filter.conditions(Timestamp::now())?;
        let mut statement = "SELECT seq, shown FROM decisions".to_owned();
        let mut values = Vec::new();
        for (index, (condition, value)) in conditions.into_iter().enumerate() {
            statement.push_str(if index == 0 { " WHERE " } else { " AND " });
            statement.push_str(condition);
            match value {
                SqlValue::Integer(number) => values.push(Sql::Integer(number)),
                SqlValue::Text(text) => values.push(Sql::Text(text)),
                SqlValue::Twice(text) => values.extend([Sql::Text(text.clone()), Sql::Text(text)]),
                SqlValue::Blob(bytes) => values.push(Sql::Blob(bytes)),
            }
        }
        statement.push_str(" ORDER BY seq DESC LIMIT ?");
        // One more than asked for tells whether there is a next page.
        values.push(Sql::Integer(i64::from(limit) + 1));
        let mut rows = self.with(|connection| -> rusqlite::Result<Vec<(i64, String)>> {
            limit_time(connection)?;
            let mut statement = connection.prepare_cached(&statement)?;
            let rows = statement.query_map(params_from_iter(values), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            rows.collect()
        })?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = rows
            .last()
            .filter(|_| has_more)
            .map(|(seq, _)| Cursor(*seq).to_string());
        let decisions = rows
            .into_iter()
            .map(|(_, shown)| serde_json::from_str(&shown))
            .collect::<Result<Vec<Value>, _>>()?;
        Ok(Page {
            decisions,
            next_cursor,
        })
    }
}

fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    let bytes = pages.saturating_mul(pragma("page_size")?);
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Lets the next statement run only so long.
fn limit_time(connection: &mut Connection) -> rusqlite::Result<()> {
    let start = std::time::Instant::now();
    connection.progress_handler(PROGRESS_STEPS, Some(move || start.elapsed() > QUERY_LIMIT))
}
