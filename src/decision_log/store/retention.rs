//! What goes when it is too old or too much: whole blocks. Half of the room is each effect's own,
//! whatever comes of the other; what one leaves free the other may use.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::damage::{Damage, is_damage};
use super::scanning::{Order, each_row};
use super::{LogStore, remove};
use crate::decision::Effect;

/// Most blocks that go in one transaction, and in one go.
const BATCH: usize = 200;
const MAX_REMOVED: usize = 10_000;
/// Removing many leaves pages half empty: the file is looked at again so often.
const ROUNDS: usize = 8;
/// Blocks that cannot be removed until it is given up for this time.
const MAX_FAILURES: usize = 100;
/// Free pages are given back when they are more than this share of the file, so many at once: what is
/// written next needs pages as well.
const FREE_SHARE: i64 = 4;
const MAX_VACUUM: usize = 8_192;

/// Why a block goes. The names are labels of a metric.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Age,
    Size,
}

/// A block as far as it matters here.
#[derive(Debug, Clone, Copy)]
struct Known {
    block: i64,
    effect: Effect,
    count: i64,
    bytes: i64,
    last_time_ns: i64,
}

/// What is stored of one effect.
#[derive(Debug, Default, Clone, Copy)]
struct Stored {
    records: i64,
    bytes: i64,
}

/// What is stored of both.
#[derive(Debug, Default)]
struct Survey {
    allows: Stored,
    denials: Stored,
}

/// How many bytes of blocks each effect gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::decision_log) struct Gives {
    pub(in crate::decision_log) allows: i64,
    pub(in crate::decision_log) denials: i64,
}

impl LogStore {
    /// Removes blocks of which all is too old, and the oldest while the file is too large.
    pub fn prune(&self, retention: Duration, max_bytes: u64) -> rusqlite::Result<()> {
        let connection = self.connection();
        let age = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let removing = Removing {
            connection: &connection,
            damage: &self.damage,
        };
        removing.old(now.saturating_sub(age))?;
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        for _ in 0..ROUNDS {
            if !removing.surplus(max_bytes)? {
                break;
            }
        }
        if !self.damage.keeps_its_size() {
            match give_back(&connection) {
                Err(error) if is_damage(&error) => self.damage.has_to_keep_its_size(),
                given => given?,
            }
        }
        // Readers are not waited for: what they still need is written back another time.
        let checkpoint = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], checkpoint)?;
        Ok(())
    }
}

/// Removes blocks, and counts the records in them.
struct Removing<'a> {
    connection: &'a Connection,
    damage: &'a Damage,
}

impl Removing<'_> {
    /// Removes the blocks of which all is older than this.
    fn old(&self, until: i64) -> rusqlite::Result<()> {
        let mut old = Vec::new();
        self.each(|known| {
            if known.last_time_ns < until {
                old.push(known);
            }
            old.len() < MAX_REMOVED
        })?;
        self.all(&old, Cause::Age)?;
        Ok(())
    }

    /// Removes the oldest blocks, of so many bytes as there are too many. Returns whether any went.
    fn surplus(&self, max_bytes: i64) -> rusqlite::Result<bool> {
        let survey = self.survey()?;
        let used = used_bytes(self.connection)?;
        let mut gives = gives(survey.allows.bytes, survey.denials.bytes, used, max_bytes);
        let mut surplus = Vec::new();
        if gives == Gives::default() {
            return Ok(false);
        }
        self.each(|known| {
            let give = match known.effect {
                Effect::Allow => &mut gives.allows,
                Effect::Deny => &mut gives.denials,
            };
            if *give > 0 {
                *give -= known.bytes;
                surplus.push(known);
            }
            (gives.allows > 0 || gives.denials > 0) && surplus.len() < MAX_REMOVED
        })?;
        Ok(self.all(&surplus, Cause::Size)? > 0)
    }

    /// What is stored, which the metrics are told as well.
    fn survey(&self) -> rusqlite::Result<Survey> {
        let mut survey = Survey::default();
        self.each(|known| {
            let stored = match known.effect {
                Effect::Allow => &mut survey.allows,
                Effect::Deny => &mut survey.denials,
            };
            stored.records = stored.records.saturating_add(known.count);
            stored.bytes = stored.bytes.saturating_add(known.bytes);
            true
        })?;
        for (effect, stored) in [
            (Effect::Allow, survey.allows),
            (Effect::Deny, survey.denials),
        ] {
            let metrics = self.damage.metrics();
            metrics
                .log
                .holds(effect.as_str(), stored.records, stored.bytes);
        }
        Ok(survey)
    }

    /// Hands on blocks, the oldest first, until no more are wanted. What cannot be removed is not
    /// among them.
    fn each(&self, mut wants_more: impl FnMut(Known) -> bool) -> rusqlite::Result<()> {
        let columns = "block, effect, count, bytes, last_time_ns";
        let order = Order::OldestFirst;
        each_row(
            self.connection,
            self.damage,
            columns,
            order,
            |block, row| {
                let known = || -> rusqlite::Result<Known> {
                    Ok(Known {
                        block,
                        effect: match row.get(1)? {
                            0 => Effect::Deny,
                            _ => Effect::Allow,
                        },
                        count: row.get(2)?,
                        bytes: row.get(3)?,
                        last_time_ns: row.get(4)?,
                    })
                };
                Ok(match known() {
                    Ok(known) if !self.damage.is_stuck(block) && !wants_more(known) => {
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                })
            },
        )
        .map(drop)
    }

    /// Removes blocks, many at once. Returns how many went.
    fn all(&self, blocks: &[Known], cause: Cause) -> rusqlite::Result<usize> {
        let (mut removed, mut failures) = (0, 0);
        for batch in blocks.chunks(BATCH) {
            match self.together(batch, cause) {
                Ok(()) => removed += batch.len(),
                Err(error) if !is_damage(&error) => return Err(error),
                // One of them is in the others' way.
                Err(_) => {
                    for block in batch {
                        match self.together(std::slice::from_ref(block), cause) {
                            Ok(()) => removed += 1,
                            Err(error) if failures == MAX_FAILURES || !is_damage(&error) => {
                                return Err(error);
                            }
                            Err(_) => {
                                failures += 1;
                                self.damage.of_stuck(block.block);
                            }
                        }
                    }
                }
            }
        }
        Ok(removed)
    }

    fn together(&self, blocks: &[Known], cause: Cause) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        for block in blocks {
            remove(&transaction, block.block)?;
        }
        // Rule: what is gone is known to be gone. A damaged time is not believed beyond now.
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let until = blocks.iter().map(|block| block.last_time_ns).max();
        let until = until.unwrap_or(0).min(now);
        let note = "UPDATE numbers SET removed_until_ns = max(removed_until_ns, ?)";
        transaction.prepare_cached(note)?.execute([until])?;
        transaction.commit()?;
        let metrics = self.damage.metrics();
        for block in blocks {
            let cause = match cause {
                Cause::Age => "age",
                Cause::Size => "size",
            };
            metrics
                .log
                .removed(block.effect.as_str(), cause, block.count, block.bytes);
        }
        Ok(())
    }
}

/// How much each effect gives, of blocks of so many bytes in a file that uses so many. Rule: half of
/// the room is each effect's own; who has more gives what is too much, the one with the most first.
pub(in crate::decision_log) fn gives(allows: i64, denials: i64, used: i64, max: i64) -> Gives {
    let all = allows.saturating_add(denials);
    // What the file needs besides is nobody's.
    let besides = used.saturating_sub(all).max(0);
    let room = max.saturating_sub(besides).max(0);
    let excess = all.saturating_sub(room).max(0);
    let own = room / 2;
    if allows >= denials {
        let allows = excess.min((allows - own).max(0));
        let denials = excess - allows;
        Gives { allows, denials }
    } else {
        let denials = excess.min((denials - own).max(0));
        let allows = excess - denials;
        Gives { allows, denials }
    }
}

/// Gives pages back that are not needed soon.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let free = pragma(connection, "freelist_count")?;
    if free.saturating_mul(FREE_SHARE) <= pragma(connection, "page_count")? {
        return Ok(());
    }
    // Each step gives back one page.
    let mut vacuum = connection.prepare_cached("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query([])?;
    for _ in 0..MAX_VACUUM {
        if steps.next()?.is_none() {
            break;
        }
    }
    Ok(())
}

fn used_bytes(connection: &Connection) -> rusqlite::Result<i64> {
    let pages = pragma(connection, "page_count")? - pragma(connection, "freelist_count")?;
    Ok(pages.saturating_mul(pragma(connection, "page_size")?))
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
