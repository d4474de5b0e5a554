//! The audit records of the file, and those that still have to get there.

use std::collections::VecDeque;

use jiff::Timestamp;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::read::Reader;
use crate::store::audit::{Kind, Link, Walk, shortened};
use crate::store::{
    Attempt, AuditPage, AuditQuery, AuditRecord, ChainEnds, ChainState, Outcome, StoreError,
};

/// Most records that wait to be written; of more the oldest are counted as lost.
const MAX_PENDING: usize = 64;

/// Attempts whose records could not be written yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    records: VecDeque<AuditRecord>,
    lost: u64,
}

impl Pending {
    pub(super) fn add(&mut self, time: Timestamp, attempt: Attempt, revision: u64, error: &str) {
        if self.records.len() >= MAX_PENDING {
            self.records.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        self.records.push_back(AuditRecord {
            number: 0,
            time,
            attempt,
            old_revision: revision,
            new_revision: None,
            result: Outcome::Failure,
            error: Some(shortened(error)),
            lost_before: 0,
        });
    }

    /// The records as they come after the one of this number.
    pub(super) fn records(&self, after: u64) -> impl Iterator<Item = AuditRecord> {
        let numbered = self.records.iter().zip(after.saturating_add(1)..);
        let mut lost = self.lost;
        numbered.map(move |(record, number)| AuditRecord {
            number,
            lost_before: std::mem::take(&mut lost),
            ..record.clone()
        })
    }
}

/// Records that were asked for, and the state of the whole chain.
pub(super) fn page(connection: &Connection, query: AuditQuery) -> Result<AuditPage, StoreError> {
    let statement = "SELECT record FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?";
    let mut statement = connection.prepare_cached(statement)?;
    let before = query.before.unwrap_or(u64::MAX).min(i64::MAX as u64);
    let limit = query.limit.min(i32::MAX as usize);
    let mut rows = statement.query((before, limit))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        // One that cannot be read breaks the chain, which is told.
        records.extend(serde_json::from_str(&text).ok());
    }
    Ok(AuditPage {
        records,
        chain: verify(connection)?,
    })
}

/// Goes along both chains.
fn verify(connection: &Connection) -> Result<ChainState, StoreError> {
    let changes = ends(connection, Kind::Change)?;
    let attempts = ends(connection, Kind::Attempt)?;
    let mut problem = None;
    for (kind, ends) in [(Kind::Change, changes), (Kind::Attempt, attempts)] {
        problem = problem.or(walk(connection, kind, ends)?);
    }
    if problem.is_none() {
        problem = missing_of_revision(connection, changes.anchor)?;
    }
    Ok(ChainState {
        intact: problem.is_none(),
        changes: changes.shown(),
        attempts: attempts.shown(),
        problem,
    })
}

/// What is wrong with a chain, if anything.
fn walk(connection: &Connection, kind: Kind, ends: Ends) -> Result<Option<String>, StoreError> {
    let mut walk = Walk::from(ends.anchor);
    let query = "SELECT number, hash, record FROM audit WHERE kind = ? ORDER BY number";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([kind])?;
    while let Some(row) = rows.next()? {
        walk.step(link(row)?, &row.get::<_, String>(2)?);
    }
    walk.end(ends.head);
    Ok(walk.problem)
}

/// Rule: each revision's record is in the chain, with the hash that the revision knows.
fn missing_of_revision(
    connection: &Connection,
    anchor: Link,
) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT hash FROM audit WHERE number = ?")?;
    for revision in Reader::of(connection).revisions()? {
        let header = revision.header;
        if header.audit <= anchor.number {
            continue;
        }
        let hash = statement.query_row([header.audit], |row| row.get(0));
        if hash.optional()? != Some(header.audit_hash) {
            let number = revision.number;
            return Ok(Some(format!("the record of revision {number} was changed")));
        }
    }
    Ok(None)
}

/// Where the file says that a chain begins and ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) head: Link,
    /// The place before the first record.
    pub(super) anchor: Link,
}

impl Ends {
    fn shown(&self) -> ChainEnds {
        ChainEnds {
            after: self.anchor.number,
            up_to: self.head.number,
            head: self.head.hash,
        }
    }
}

pub(super) fn ends(connection: &Connection, kind: Kind) -> Result<Ends, StoreError> {
    let query = "SELECT number, hash, anchor_number, anchor_hash FROM chains WHERE kind = ?";
    let mut statement = connection.prepare_cached(query)?;
    Ok(statement.query_row([kind], |row| {
        Ok(Ends {
            head: link(row)?,
            anchor: Link {
                number: row.get(2)?,
                hash: row.get(3)?,
            },
        })
    })?)
}

/// Removes all but the newest records of a kind, and writes down where its chain begins and ends now.
pub(super) fn finish(
    connection: &Connection,
    kind: Kind,
    head: Link,
    keep: u32,
) -> Result<(), StoreError> {
    let known = ends(connection, kind).map(|ends| ends.anchor);
    let query =
        "SELECT number, hash FROM audit WHERE kind = ? ORDER BY number DESC LIMIT 1 OFFSET ?";
    let mut statement = connection.prepare_cached(query)?;
    let last = statement.query_row((kind, keep), link).optional()?;
    if let Some(last) = last {
        let delete = "DELETE FROM audit WHERE kind = ? AND number <= ?";
        connection.execute(delete, (kind, last.number))?;
    }
    let anchor = last.unwrap_or(known.unwrap_or_default());
    connection.execute(
        "INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?, ?)",
        params![kind, head.number, head.hash, anchor.number, anchor.hash],
    )?;
    Ok(())
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        number: row.get(0)?,
        hash: row.get(1)?,
    })
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number: i64 = match self {
            Self::Change => 0,
            Self::Attempt => 1,
        };
        Ok(number.into())
    }
}
