//! Small blocks made into larger ones, so that a quiet server does not end with a block for each
//! decision.

use rusqlite::Connection;

use super::asking::Unread;
use super::{ABOUT, LogStore, about, content, insert, remove};
use crate::decision::Effect;
use crate::decision_log::block::{
    About, Block, Builder, Damaged, FULL, MAX_RECORDS, MAX_SPAN_NS, Records, Section, Stored,
    unpacked,
};
use crate::decision_log::entry::{Entry, Verdict};

/// Blocks with so many records are large enough.
const LARGE: i64 = MAX_RECORDS as i64 / 2;
/// Together, blocks may have so many bytes before they are compressed: a record may take one more
/// beside others, for the number of its verdict.
const MAX_RAW_BYTES: i64 = (FULL - MAX_RECORDS) as i64;
/// Most blocks that are looked at in one go.
const MAX_LOOKED_AT: i64 = 1_024;

/// Blocks of one effect that are next to each other.
#[derive(Debug)]
struct Neighbours {
    blocks: Vec<About>,
    count: i64,
    raw_bytes: i64,
}

impl LogStore {
    /// Merges small blocks that are next to each other among the newest. Rule: two that are next to
    /// each other become one if the newer has at least half as many records as the older, so that
    /// a record is written again but a few times.
    pub(in crate::decision_log) fn merge(&self) -> rusqlite::Result<()> {
        for effect in [Effect::Allow, Effect::Deny] {
            for neighbours in self.small_neighbours(effect)? {
                self.make_one(effect, &neighbours.blocks)?;
            }
        }
        Ok(())
    }

    fn small_neighbours(&self, effect: Effect) -> rusqlite::Result<Vec<Neighbours>> {
        let connection = self.connection();
        let newest = format!(
            "SELECT {ABOUT} FROM blocks WHERE effect = ? ORDER BY block DESC LIMIT {MAX_LOOKED_AT}"
        );
        let mut newest = connection.prepare_cached(&newest)?;
        let blocks =
            newest.query_map([i64::from(effect == Effect::Allow)], |row| Ok(about(row)))?;
        let mut blocks: Vec<_> = blocks.collect::<Result<_, _>>()?;
        blocks.reverse();
        let mut groups: Vec<Neighbours> = Vec::new();
        for block in blocks {
            // What is damaged keeps its neighbours apart, and so does a large one.
            let mut group = match block {
                Ok(block) if !self.damage.is_known(block.seq.last) => Neighbours::of(block),
                _ => Neighbours::DAMAGED,
            };
            while let Some(older) = groups.pop() {
                if older.takes(&group) {
                    group = older.with(group);
                } else {
                    groups.push(older);
                    break;
                }
            }
            groups.push(group);
        }
        groups.retain(|group| group.blocks.len() > 1);
        Ok(groups)
    }

    /// Puts one block, or few, in the place of several. Those that cannot be read stay.
    fn make_one(&self, effect: Effect, blocks: &[About]) -> rusqlite::Result<()> {
        let connection = self.connection();
        let mut builder = Builder::new(effect);
        let mut made = Vec::new();
        for block in blocks {
            let key = block.seq.last;
            match copy(&connection, key, &mut builder, &mut made) {
                Ok(()) => {}
                Err(Unread::Damaged) => {
                    self.damage.of_block(key);
                    return Ok(());
                }
                Err(Unread::Store(error)) => return Err(error),
            }
        }
        made.extend(builder.finish());
        // Written again for nothing, they would be at every turn.
        if made.len() >= blocks.len() {
            return Ok(());
        }
        let transaction = connection.unchecked_transaction()?;
        for block in blocks {
            remove(&transaction, block.seq.last)?;
        }
        for block in &made {
            insert(&transaction, block)?;
        }
        transaction.commit()
    }
}

/// Adds a stored block's records to one under construction.
fn copy(
    connection: &Connection,
    block: i64,
    builder: &mut Builder,
    made: &mut Vec<Block>,
) -> Result<(), Unread> {
    let entries = content(connection, "entries", block)?.unwrap_or_default();
    let details = content(connection, "details", block)?.unwrap_or_default();
    Ok(copy_records(block, &entries, &details, builder, made)?)
}

fn copy_records(
    block: i64,
    entries: &[u8],
    details: &[u8],
    builder: &mut Builder,
    made: &mut Vec<Block>,
) -> Result<(), Damaged> {
    let index = unpacked(Section::Index, block, entries)?;
    let details = unpacked(Section::Details, block, details)?;
    for record in Records::of(&index) {
        let record = record?;
        if !builder.has_room(record.time_ns) {
            made.extend(builder.finish());
        }
        push(builder, &record, &details)?;
    }
    Ok(())
}

fn push(builder: &mut Builder, record: &Stored<'_>, details: &[u8]) -> Result<(), Damaged> {
    let (start, length) = record.details;
    let details = details.get(start..).and_then(|rest| rest.get(..length));
    let trace = record.trace.map(|trace| trace.to_string());
    let verdict = Verdict {
        effect: builder.effect(),
        policy: record.verdict.policy.map(str::to_owned),
        principal: record.verdict.principal.map(str::to_owned),
        request_principal: record.verdict.request_principal.map(str::to_owned),
        shown: record.verdict.shown.to_owned(),
    };
    let is_kept = builder.push(&Entry {
        seq: record.seq,
        id: record.id,
        time_ns: record.time_ns,
        revision: u64::try_from(record.revision).unwrap_or(0),
        cached: record.cached,
        shadow: record.shadow,
        verdict: &verdict,
        host: record.host,
        path: record.path,
        trace_id: trace.as_deref(),
        details: details.ok_or(Damaged)?,
    });
    is_kept.then_some(()).ok_or(Damaged)
}

// === impl Neighbours ===

impl Neighbours {
    /// A block that cannot be read takes no other and is taken by none.
    const DAMAGED: Self = Self {
        blocks: Vec::new(),
        count: i64::MAX,
        raw_bytes: i64::MAX,
    };

    fn of(block: About) -> Self {
        Self {
            blocks: vec![block],
            count: block.count,
            raw_bytes: block.raw_bytes,
        }
    }

    fn takes(&self, newer: &Self) -> bool {
        let (Some(first), Some(last)) = (self.blocks.first(), newer.blocks.last()) else {
            return false;
        };
        let span = last.time_ns.last.abs_diff(first.time_ns.first);
        self.count.max(newer.count) < LARGE
            && self.count / 2 <= newer.count
            && self.count + newer.count <= MAX_RECORDS as i64
            && self.raw_bytes.saturating_add(newer.raw_bytes) <= MAX_RAW_BYTES
            && span <= MAX_SPAN_NS
    }

    fn with(mut self, newer: Self) -> Self {
        self.blocks.extend(newer.blocks);
        self.count += newer.count;
        self.raw_bytes = self.raw_bytes.saturating_add(newer.raw_bytes);
        self
    }
}
