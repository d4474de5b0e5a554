//! Writing revisions. What a revision must consist of is worked out in memory, from what was verified,
//! and read back before the commit: rows that have gone bad in between are never blessed with a new
//! checksum.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::chain::{self, Pending};
use super::corrupt;
use super::read::{Head, Reader, checksum, rows_at, state};
use crate::store::audit::Kind;
use crate::store::revision::{Header, Rows, changes, content};
use crate::store::{
    Action, AuditRecord, Change, Config, Entry, EntryId, Hash, Outcome, StoreError,
};

/// Room that a revision takes beside its contents.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// What is written under one transaction.
pub(super) struct Write<'a> {
    transaction: &'a Transaction<'a>,
    head: &'a mut Head,
    pending: &'a Pending,
    config: Config,
}

impl<'a> Write<'a> {
    pub(super) fn new(
        transaction: &'a Transaction<'a>,
        head: &'a mut Head,
        pending: &'a Pending,
        config: Config,
    ) -> Self {
        Self {
            transaction,
            head,
            pending,
            config,
        }
    }

    /// Writes a revision and its audit record.
    pub(super) fn change(&mut self, change: &Change) -> Result<u64, StoreError> {
        let old = self.head.state.revision;
        let number = change.at_least.max(old.saturating_add(1));
        let rows = self.rows(change)?;
        let loaded = self.head.loaded;
        let needed = change.restore.map_or(loaded, |number| number.min(loaded));
        self.make_room(&change.put, needed)?;
        self.put_contents(&change.put)?;
        self.put_rows(number, &rows)?;
        let time = Timestamp::now();
        self.append(&AuditRecord {
            number: self.head.state.audit.number().saturating_add(1),
            time,
            attempt: change.attempt.clone(),
            old_revision: old,
            new_revision: Some(number),
            result: Outcome::Success,
            error: None,
            lost_before: 0,
        })?;
        let (changes, more_changes) = changes(&self.head.rows, &rows);
        let header = Header {
            time,
            attempt: change.attempt.clone(),
            changes,
            more_changes,
            entries: rows.len(),
            bytes: self.bytes(&rows)?,
            content: content(&rows),
            audit: self.head.state.audit.changes.number,
            audit_hash: self.head.state.audit.changes.hash,
            // Rule: what was lost is told until somebody has changed something.
            fallback: self
                .head
                .fallback
                .take()
                .filter(|_| change.attempt.action.is_own()),
        };
        self.put_header(number, &header)?;
        self.head.state.revision = number;
        self.head.loaded = number;
        self.head.rows = rows;
        self.head.fallback = header.fallback;
        self.prune()?;
        Ok(number)
    }

    /// Writes down what is the newest now.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let state = self.head.state;
        for kind in Kind::ALL {
            let head = state.audit.of(kind);
            chain::finish(self.transaction, kind, head, self.config.audit)?;
        }
        self.transaction.execute(
            "INSERT OR REPLACE INTO state VALUES (0, ?, ?)",
            params![state.revision, state.sha256],
        )?;
        Ok(())
    }

    /// What the new revision consists of.
    fn rows(&self, change: &Change) -> Result<Rows, StoreError> {
        let mut rows = self.head.rows.clone();
        if let Some(number) = change.restore {
            let (_, old) = Reader::of(self.transaction).revision(number)?;
            rows.retain(|id, _| !id.kind.is_pushed());
            rows.extend(old.into_iter().filter(|(id, _)| id.kind.is_pushed()));
        }
        for id in &change.delete {
            rows.remove(id);
        }
        let put = change.put.iter();
        rows.extend(put.map(|entry| (entry.id.clone(), Hash::of(&entry.bytes))));
        Ok(rows)
    }

    /// What is there under the same digest is written over: it may be damaged.
    fn put_contents(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut statement = self
            .transaction
            .prepare_cached("INSERT OR REPLACE INTO contents VALUES (?, ?)")?;
        for entry in entries {
            statement.execute(params![Hash::of(&entry.bytes), entry.bytes])?;
        }
        Ok(())
    }

    /// Brings the table to these rows, from this revision on.
    fn put_rows(&self, number: u64, rows: &Rows) -> Result<(), StoreError> {
        let mut kept = BTreeSet::new();
        {
            let query = "SELECT kind, key, since, sha256 FROM entries WHERE until IS NULL";
            let mut ending = Vec::new();
            let mut statement = self.transaction.prepare_cached(query)?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let (kind, key): (String, String) = (row.get(0)?, row.get(1)?);
                let (since, hash): (u64, Hash) = (row.get(2)?, row.get(3)?);
                let id = kind.parse().ok().map(|kind| EntryId::new(kind, &*key));
                let stays = id.filter(|id| rows.get(id) == Some(&hash));
                if !stays.is_some_and(|id| kept.insert(id)) {
                    ending.push((kind, key, since));
                }
            }
            let end = "UPDATE entries SET until = ? WHERE kind = ? AND key = ? AND since = ?";
            let mut end = self.transaction.prepare_cached(end)?;
            for (kind, key, since) in ending {
                end.execute(params![number, kind, key, since])?;
            }
        }
        let insert =
            "INSERT INTO entries (kind, key, since, until, sha256) VALUES (?, ?, ?, NULL, ?)";
        let mut insert = self.transaction.prepare_cached(insert)?;
        for (id, hash) in rows.iter().filter(|(id, _)| !kept.contains(*id)) {
            insert.execute(params![id.kind.name(), id.key, number, hash])?;
        }
        if rows_at(self.transaction, number)? == *rows {
            return Ok(());
        }
        Err(corrupt("what was written does not read back"))
    }

    /// How much the contents of all rows are. Every one must be there.
    fn bytes(&self, rows: &Rows) -> Result<u64, StoreError> {
        let query = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM entries \
                     JOIN contents USING (sha256) WHERE until IS NULL";
        let (count, bytes): (usize, u64) = self
            .transaction
            .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if count == rows.len() {
            return Ok(bytes);
        }
        Err(corrupt("contents are missing"))
    }

    fn put_header(&mut self, number: u64, header: &Header) -> Result<(), StoreError> {
        let text = to_json(header)?;
        let checksum = checksum(number, &text);
        self.transaction.execute(
            "INSERT INTO revisions VALUES (?, ?, ?)",
            params![number, text, checksum],
        )?;
        self.head.state.sha256 = checksum;
        Ok(())
    }

    fn append(&mut self, record: &AuditRecord) -> Result<(), StoreError> {
        let text = to_json(record)?;
        let (kind, heads) = (record.result.kind(), &mut self.head.state.audit);
        let link = heads.of(kind).next(record.number, &text);
        self.transaction.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?)",
            params![link.number, kind, text, link.hash],
        )?;
        heads.set(kind, link);
        Ok(())
    }

    /// Removes old revisions, one by one, if there would be no room otherwise. The one that the new
    /// revision is made of stays.
    fn make_room(&self, put: &[Entry], needed: u64) -> Result<(), StoreError> {
        let contents: u64 = put.iter().map(|entry| entry.bytes.len() as u64).sum();
        // Pages are never filled to the last byte.
        let room = contents + contents / 8 + OVERHEAD_BYTES;
        let query = "SELECT number FROM revisions WHERE number <= ? ORDER BY number";
        let mut statement = self.transaction.prepare_cached(query)?;
        let numbers = statement.query_map([needed], |row| row.get(0))?;
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
        for oldest in numbers.into_iter().skip(1) {
            if self.used_bytes()? + room <= self.config.max_bytes.0 {
                break;
            }
            self.prune_before(oldest)?;
        }
        Ok(())
    }

    fn used_bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name| {
            self.transaction
                .pragma_query_value(None, name, |row| row.get::<_, u64>(0))
        };
        let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
        Ok(pages.saturating_mul(pragma("page_size")?))
    }

    /// Removes all but the newest revisions. Rule: what follows files and servers pushes out nothing of
    /// what somebody has changed. As many are kept of either.
    fn prune(&self) -> Result<(), StoreError> {
        let own = own()?;
        let nth = self.config.history.saturating_sub(1);
        let oldest = |is_own: &str| -> Result<u64, StoreError> {
            let query = format!(
                "SELECT number FROM revisions WHERE {is_own} ({own}) \
                 ORDER BY number DESC LIMIT 1 OFFSET {nth}"
            );
            let number = self.transaction.query_row(&query, [], |row| row.get(0));
            Ok(number.optional()?.unwrap_or_default())
        };
        let (pushed, followed) = (oldest("NOT")?, oldest("")?);
        let delete = format!("DELETE FROM revisions WHERE number < ?1 OR number < ?2 AND ({own})");
        match self.transaction.execute(&delete, [pushed, followed])? {
            0 => Ok(()),
            _ => self.remove_unused(),
        }
    }

    /// Removes revisions before this one, and what only they needed.
    fn prune_before(&self, oldest: u64) -> Result<(), StoreError> {
        let delete = "DELETE FROM revisions WHERE number < ?";
        self.transaction.execute(delete, [oldest])?;
        self.remove_unused()
    }

    /// Removes the entries of no revision that is kept, and the contents of no entry.
    fn remove_unused(&self) -> Result<(), StoreError> {
        let entries = "DELETE FROM entries WHERE until IS NOT NULL AND NOT EXISTS \
                       (SELECT 1 FROM revisions WHERE number >= since AND number < until)";
        if self.transaction.execute(entries, [])? > 0 {
            let unused = "DELETE FROM contents WHERE sha256 NOT IN (SELECT sha256 FROM entries)";
            self.transaction.execute(unused, [])?;
        }
        Ok(())
    }
}

/// Whether a revision's header is of an action that is nobody's. Its text is searched, which also works
/// where it is damaged; in strings quotes are escaped, so that nothing else looks like it.
fn own() -> Result<String, StoreError> {
    let of_action = |action| {
        let name = to_json(&action)?;
        Ok(format!("instr(header, '\"action\":{name}') > 0"))
    };
    let all = Action::OWN.into_iter().map(of_action);
    Ok(all.collect::<Result<Vec<_>, StoreError>>()?.join(" OR "))
}

/// Writes the audit records that could not be written before.
pub(super) fn pending(write: &mut Write<'_>) -> Result<(), StoreError> {
    let pending = write.pending;
    for record in pending.records(write.head.state.audit.number()) {
        write.append(&record)?;
    }
    Ok(())
}

/// Takes back what was committed although it was told to have failed.
pub(super) fn take_back(connection: &mut Connection, head: &Head) -> Result<(), StoreError> {
    let number = head.state.audit.number();
    let found = state(connection)?;
    let is_ahead = found.revision > head.state.revision || found.audit.number() > number;
    if !is_ahead {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for query in [
        "DELETE FROM revisions WHERE number > ?",
        "UPDATE entries SET until = NULL WHERE until > ?",
        "DELETE FROM entries WHERE since > ?",
    ] {
        transaction.execute(query, [head.state.revision])?;
    }
    transaction.execute("DELETE FROM audit WHERE number > ?", [number])?;
    for kind in Kind::ALL {
        let link = head.state.audit.of(kind);
        transaction.execute(
            "UPDATE chains SET number = ?, hash = ? WHERE kind = ?",
            params![link.number, link.hash, kind],
        )?;
    }
    transaction.execute(
        "UPDATE state SET revision = ?, sha256 = ?",
        params![head.state.revision, head.state.sha256],
    )?;
    Ok(transaction.commit()?)
}

fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}
