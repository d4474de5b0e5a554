//! Answers to questions: blocks from the newest on, as far as it takes to fill a page. Blocks of
//! different effects overlap, so a record is on the page only when no block is left that could hold
//! a newer one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::asking::{Asking, Unread};
use super::scanning::{Order, each_row};
use super::{ABOUT, LogStore, about};
use crate::decision_log::block::{Damaged, Stored};
use crate::decision_log::details;
use crate::decision_log::query::{Cursor, Filter, Page, QueryError};

/// How long a question may take: a block that was begun is finished.
pub(super) const QUERY_LIMIT: Duration = Duration::from_secs(2);
/// Most memory that the records of a page may take, in bytes as they are stored: the last may exceed it.
const MAX_PAGE: usize = 4 << 20;

/// A page under construction.
struct Finding {
    limit: usize,
    /// By number. One more than asked for tells whether there is a next page.
    found: BTreeMap<i64, Found>,
    bytes: usize,
    /// Whether records were left out that belong behind those found.
    has_more: bool,
    /// Whether a block was read that the page before did not begin with.
    is_ahead: bool,
    /// Blocks, or rows of them, that cannot be read.
    passed_over: u64,
}

/// A record that belongs on the page.
struct Found {
    shown: Value,
    bytes: usize,
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
        let asking = Asking::new(&connection, &wanted)?;
        let mut finding = Finding::of(wanted.limit);
        let start = Instant::now();
        let mut before = None;
        // The statement that goes through the blocks keeps the others at the same state of the file.
        let order = Order::NewestFirst;
        let jumps = each_row(&connection, &self.damage, ABOUT, order, |block, row| {
            if finding.is_full(block) {
                return Ok::<_, QueryError>(ControlFlow::Break(()));
            }
            let Ok(about) = about(row) else {
                self.damage.of_block(block);
                finding.passed_over += 1;
                return Ok(ControlFlow::Continue(()));
            };
            if block >= wanted.before && about.seq.first >= wanted.before {
                return Ok(ControlFlow::Continue(()));
            }
            // Each page gets ahead by a block at least.
            if finding.is_ahead && start.elapsed() > limit {
                before = Some(block.saturating_add(1));
                return Ok(ControlFlow::Break(()));
            }
            finding.is_ahead |= block < wanted.before;
            if wanted.may_be_in(&about) {
                match finding.read(&asking, block) {
                    Ok(()) => {}
                    Err(Unread::Damaged) => {
                        self.damage.of_block(block);
                        finding.passed_over += 1;
                    }
                    Err(Unread::Store(error)) => return Err(error.into()),
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        finding.passed_over += jumps;
        Ok(match before {
            Some(before) => finding.page_before(before),
            None => finding.page(),
        })
    }
}

// === impl Finding ===

impl Finding {
    fn of(limit: usize) -> Self {
        Self {
            limit,
            found: BTreeMap::new(),
            bytes: 0,
            has_more: false,
            is_ahead: false,
            passed_over: 0,
        }
    }

    /// Whether nothing that is up to this number can still be on the page.
    fn is_full(&self, block: i64) -> bool {
        let last = self.found.first_key_value();
        self.has_more && last.is_some_and(|(last, _)| block < *last)
    }

    fn read(&mut self, asking: &Asking<'_>, block: i64) -> Result<(), Unread> {
        asking.look_into(block, |mut records, details| {
            // The oldest of them have no place, whatever else there is.
            let surplus = records.len().saturating_sub(self.limit);
            records.drain(..surplus);
            for record in records.iter().rev() {
                if self.is_full(record.seq) {
                    break;
                }
                self.add(record, details.of(record)?)?;
            }
            self.has_more |= surplus > 0;
            Ok(())
        })
    }

    fn add(&mut self, record: &Stored<'_>, details: &[u8]) -> Result<(), Damaged> {
        let found = Found {
            shown: details::shown(record, details).ok_or(Damaged)?,
            bytes: details.len() + record.verdict.shown.len(),
        };
        self.bytes += found.bytes;
        self.found.insert(record.seq, found);
        while self.found.len() > self.limit || self.bytes > MAX_PAGE && self.found.len() > 1 {
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
            passed_over: self.passed_over,
        }
    }
}
