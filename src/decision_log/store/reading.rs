//! Answers to questions: blocks from the newest on, as far as it takes to fill a page. Blocks of
//! different effects overlap, so a record is on the page only when no block is left that could hold
//! a newer one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;

use super::{ABOUT, LogStore, about, content};
use crate::decision_log::block::{Damaged, Records, Section, Stored, opened, unpacked};
use crate::decision_log::details;
use crate::decision_log::membership::may_hold;
use crate::decision_log::query::{Cursor, Filter, Page, QueryError, Wanted};

/// How long a question may take: a block that was begun is finished.
const QUERY_LIMIT: Duration = Duration::from_secs(2);
/// Most memory that the records of a page may take, in bytes of their details: the last may exceed it.
const MAX_PAGE: usize = 16 << 20;

/// A page under construction.
struct Finding<'a> {
    connection: &'a Connection,
    wanted: &'a Wanted,
    digests: Vec<u64>,
    /// By number. One more than asked for tells whether there is a next page.
    found: BTreeMap<i64, Found>,
    bytes: usize,
    /// Whether records were left out that belong behind those found.
    has_more: bool,
    /// Whether a block was read that the page before did not begin with.
    is_ahead: bool,
}

/// A record that belongs on the page.
struct Found {
    shown: Value,
    bytes: usize,
}

/// Why a block has nothing for the page.
enum Unread {
    Damaged,
    Store(rusqlite::Error),
}

impl LogStore {
    /// Answers a question.
    pub fn query(&self, filter: &Filter) -> Result<Page, QueryError> {
        self.query_within(filter, QUERY_LIMIT)
    }

    pub(in crate::decision_log) fn query_within(
        &self,
        filter: &Filter,
        limit: Duration,
    ) -> Result<Page, QueryError> {
        let wanted = filter.wanted(Timestamp::now())?;
        let connection = self.connection();
        let start = Instant::now();
        // The statement that goes through the blocks keeps the others at the same state of the file.
        let blocks = format!("SELECT {ABOUT} FROM blocks ORDER BY block DESC");
        let mut blocks = connection.prepare_cached(&blocks)?;
        let mut rows = blocks.query([])?;
        let mut finding = Finding::new(&connection, &wanted);
        while let Some(row) = rows.next()? {
            let (block, about) = about(row)?;
            if finding.is_full(block) {
                break;
            }
            let may_hold = match about {
                Ok(about) => wanted.may_be_in(&about),
                Err(Damaged) => {
                    self.is_damaged(block);
                    false
                }
            };
            if may_hold {
                // Each page gets ahead by a block at least.
                if finding.is_ahead && start.elapsed() > limit {
                    return Ok(finding.page_before(block.saturating_add(1)));
                }
                finding.is_ahead |= block < wanted.before;
                match finding.read(block) {
                    Ok(()) => {}
                    Err(Unread::Damaged) => self.is_damaged(block),
                    Err(Unread::Store(error)) => return Err(error.into()),
                }
            }
        }
        Ok(finding.page())
    }
}

// === impl Finding ===

impl<'a> Finding<'a> {
    fn new(connection: &'a Connection, wanted: &'a Wanted) -> Self {
        Self {
            connection,
            wanted,
            digests: wanted.digests(),
            found: BTreeMap::new(),
            bytes: 0,
            has_more: false,
            is_ahead: false,
        }
    }

    /// Whether nothing that is up to this number can still be on the page.
    fn is_full(&self, block: i64) -> bool {
        let last = self.found.first_key_value();
        self.has_more && last.is_some_and(|(last, _)| block < *last)
    }

    fn read(&mut self, block: i64) -> Result<(), Unread> {
        let members = self.content("members", block)?;
        let members = opened(Section::Members, block, &members)?;
        if !self.digests.iter().all(|one| may_hold(members, *one)) {
            return Ok(());
        }
        let index = unpacked(Section::Index, block, &self.content("entries", block)?)?;
        let mut records = Vec::new();
        for record in Records::of(&index) {
            let record = record?;
            if self.wanted.is_met_by(&record) {
                records.push(record);
            }
        }
        // The oldest of them have no place, whatever else there is.
        let surplus = records.len().saturating_sub(self.wanted.limit);
        records.drain(..surplus);
        if records.is_empty() {
            return Ok(());
        }
        let details = unpacked(Section::Details, block, &self.content("details", block)?)?;
        for record in records.iter().rev() {
            if self.is_full(record.seq) {
                break;
            }
            self.add(record, &details)?;
        }
        self.has_more |= surplus > 0;
        Ok(())
    }

    fn content(&self, column: &'static str, block: i64) -> Result<Vec<u8>, Unread> {
        let content = content(self.connection, column, block).map_err(Unread::Store)?;
        content.ok_or(Unread::Damaged)
    }

    fn add(&mut self, record: &Stored<'_>, details: &[u8]) -> Result<(), Damaged> {
        let (start, length) = record.details;
        let details = details.get(start..).and_then(|rest| rest.get(..length));
        let details = details.ok_or(Damaged)?;
        let found = Found {
            shown: details::shown(record, details).ok_or(Damaged)?,
            bytes: details.len(),
        };
        self.bytes += found.bytes;
        self.found.insert(record.seq, found);
        while self.found.len() > self.wanted.limit || self.bytes > MAX_PAGE && self.found.len() > 1
        {
            let (_, last) = self.found.pop_first().ok_or(Damaged)?;
            self.bytes -= last.bytes;
            self.has_more = true;
        }
        Ok(())
    }

    /// The page of what was found before the time was over; older blocks begin before this number.
    fn page_before(mut self, before: i64) -> Page {
        self.found = self.found.split_off(&before);
        Page {
            next_cursor: Some(Cursor(before).to_string()),
            ..self.page()
        }
    }

    fn page(self) -> Page {
        let last = self.found.first_key_value().map(|(seq, _)| *seq);
        let next_cursor = last.filter(|_| self.has_more);
        Page {
            next_cursor: next_cursor.map(|seq| Cursor(seq).to_string()),
            decisions: self
                .found
                .into_values()
                .rev()
                .map(|found| found.shown)
                .collect(),
        }
    }
}

impl From<Damaged> for Unread {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
}
