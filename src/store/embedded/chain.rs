//! The audit records of the file, and those that still have to get there.

use std::collections::VecDeque;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::read::{Reader, state};
use crate::store::audit::{Link, Walk, shortened};
use crate::store::{Attempt, AuditPage, AuditQuery, AuditRecord, ChainState, Outcome, StoreError};

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

/// Goes along the whole chain.
fn verify(connection: &Connection) -> Result<ChainState, StoreError> {
    let anchor = anchor(connection)?;
    let head = state(connection)?.audit;
    let mut walk = Walk::from(anchor);
    let mut statement =
        connection.prepare_cached("SELECT number, hash, record FROM audit ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        walk.step(link(row)?, &row.get::<_, String>(2)?);
    }
    walk.end(head);
    let problem = match walk.problem {
        Some(problem) => Some(problem),
        None => missing_of_revision(connection, anchor)?,
    };
    Ok(ChainState {
        intact: problem.is_none(),
        after: anchor.number,
        up_to: head.number,
        head: head.hash,
        problem,
    })
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

/// The place before the first record.
pub(super) fn anchor(connection: &Connection) -> Result<Link, StoreError> {
    let query = "SELECT anchor_number, anchor_hash FROM state";
    Ok(connection.query_row(query, [], link)?)
}

/// Removes all but the newest records, and returns the place before the first that is left.
pub(super) fn prune(
    connection: &Connection,
    anchor: Link,
    newest: Link,
    keep: u32,
) -> Result<Link, StoreError> {
    let cut = newest.number.saturating_sub(u64::from(keep));
    if cut <= anchor.number {
        return Ok(anchor);
    }
    let query = "SELECT number, hash FROM audit WHERE number <= ? ORDER BY number DESC LIMIT 1";
    let last = connection.query_row(query, [cut], link).optional()?;
    connection.execute("DELETE FROM audit WHERE number <= ?", [cut])?;
    Ok(last.unwrap_or(anchor))
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        number: row.get(0)?,
        hash: row.get(1)?,
    })
}
