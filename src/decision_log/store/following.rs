//! Records in the order they came, from a number on: for those who follow the log. Blocks of different
//! effects overlap, so a record is handed on only when no block is left that could hold an older one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::asking::{Asking, Unread};
use super::{ABOUT, LogStore, about};
use crate::decision::Effect;
use crate::decision_log::block::About;
use crate::decision_log::details;
use crate::decision_log::query::{QueryError, Wanted};

/// How long looking for records may take at a time.
const FOLLOW_LIMIT: Duration = Duration::from_secs(1);
/// Records that are handed on at once, and the memory they may take, in bytes as they are stored: those
/// of the last block may exceed it.
const MAX_RECORDS: usize = 256;
const MAX_BYTES: usize = 1 << 20;
/// Rows of blocks that are looked at in one go, of each effect.
const MAX_ROWS: usize = 256;

/// Records that were found, each with its number, and up to which number all are.
#[derive(Debug, PartialEq)]
pub(in crate::decision_log) struct Followed {
    pub(in crate::decision_log) records: Vec<(i64, Value)>,
    pub(in crate::decision_log) reached: i64,
}

impl LogStore {
    /// Records whose numbers are above `after` and no higher than `until`, as many as there is room for.
    pub(in crate::decision_log) fn follow(
        &self,
        wanted: &Wanted,
        after: i64,
        until: i64,
    ) -> Result<Followed, QueryError> {
        let connection = self.connection();
        let asking = Asking::new(&connection, wanted)?;
        let mut until = until;
        let mut blocks = Vec::new();
        for effect in [Effect::Allow, Effect::Deny] {
            let rows = format!(
                "SELECT {ABOUT} FROM blocks WHERE effect = ? AND block > ? ORDER BY block LIMIT ?"
            );
            let mut rows = connection.prepare_cached(&rows)?;
            let of_effect = i64::from(effect == Effect::Allow);
            let mut rows = rows.query((of_effect, after, MAX_ROWS))?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let block = row.get(0)?;
                count += 1;
                // Of what lies behind the last nothing is known.
                if count == MAX_ROWS {
                    until = until.min(block);
                }
                match about(row) {
                    Ok(about) => blocks.push(about),
                    Err(_) => self.damage.of_block(block),
                }
            }
        }
        blocks.retain(|block| block.seq.first <= until && wanted.may_be_in(block));
        blocks.sort_unstable_by_key(|block| block.seq.first);
        self.gather(&asking, &blocks, after, until)
    }

    fn gather(
        &self,
        asking: &Asking<'_>,
        blocks: &[About],
        after: i64,
        until: i64,
    ) -> Result<Followed, QueryError> {
        let start = Instant::now();
        let mut found = BTreeMap::new();
        let mut bytes = 0;
        let mut reached = until;
        for block in blocks {
            let is_enough = found.len() >= MAX_RECORDS || bytes >= MAX_BYTES;
            let before = block.seq.first.saturating_sub(1);
            // Each time gets ahead by a number at least.
            if before > after && (is_enough || start.elapsed() > FOLLOW_LIMIT) {
                reached = before;
                break;
            }
            let read = asking.look_into(block.seq.last, |records, details| {
                for record in &records {
                    if after < record.seq && record.seq <= until {
                        let details = details.of(record)?;
                        bytes += details.len() + record.verdict.shown.len();
                        let shown = details::shown(record, details).ok_or(Unread::Damaged)?;
                        found.insert(record.seq, shown);
                    }
                }
                Ok(())
            });
            match read {
                Ok(()) => {}
                Err(Unread::Damaged) => self.damage.of_block(block.seq.last),
                Err(Unread::Store(error)) => return Err(error.into()),
            }
        }
        drop(found.split_off(&reached.saturating_add(1)));
        if let Some(last) = found.keys().nth(MAX_RECORDS - 1).copied() {
            drop(found.split_off(&last.saturating_add(1)));
            reached = last;
        }
        Ok(Followed {
            records: found.into_iter().collect(),
            reached,
        })
    }
}
