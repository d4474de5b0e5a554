//! Files of the version before: one row a record. Their records are put into blocks bit by bit, the
//! newest first, while new ones are stored.

use rusqlite::{Row, Transaction};
use serde_json::{Map, Value};

use super::{LogStore, insert};
use crate::decision::Effect;
use crate::decision_log::block::{Block, Builder};
use crate::decision_log::details::put_as_shown;
use crate::decision_log::entry::{Entry, Verdict};

pub(super) const SCHEMA_VERSION: i64 = 1;
/// Records that are taken over in one transaction.
const BATCH: i64 = 2_000;

/// Makes the file ready: what only questions needed goes, and numbers go on where they were.
pub(super) fn begin(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DROP INDEX decisions_by_id;
         DROP INDEX decisions_by_time;
         DROP INDEX decisions_by_effect;
         UPDATE numbers SET next_seq =
             1 + max(0, coalesce((SELECT max(seq) FROM decisions), 0),
                        coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'decisions'), 0));",
    )
}

impl LogStore {
    /// Takes over the newest records that are still as the earlier version stored them. `false` when
    /// there are none any more.
    pub(in crate::decision_log) fn take_over(&self) -> rusqlite::Result<bool> {
        let connection = self.connection();
        if !connection.table_exists(None, "decisions")? {
            return Ok(false);
        }
        let transaction = connection.unchecked_transaction()?;
        let Some((first, blocks)) = newest(&transaction)? else {
            transaction.execute_batch("DROP TABLE decisions")?;
            transaction.commit()?;
            return Ok(false);
        };
        for block in &blocks {
            insert(&transaction, block)?;
        }
        transaction.execute("DELETE FROM decisions WHERE seq >= ?", [first])?;
        transaction.commit()?;
        Ok(true)
    }
}

/// The newest records as blocks, and the number of the first of them.
fn newest(transaction: &Transaction<'_>) -> rusqlite::Result<Option<(i64, Vec<Block>)>> {
    let rows = "SELECT * FROM (SELECT seq, id, time_ns, revision, effect, principal, \
                request_principal, host, path, policy, trace_id, shown \
                FROM decisions ORDER BY seq DESC LIMIT ?) ORDER BY seq";
    let mut rows = transaction.prepare_cached(rows)?;
    let mut rows = rows.query([BATCH])?;
    let mut builders = [Builder::new(Effect::Allow), Builder::new(Effect::Deny)];
    let mut made = Vec::new();
    let mut first = None;
    while let Some(row) = rows.next()? {
        first = first.or(Some(row.get(0)?));
        add(row, &mut builders, &mut made)?;
    }
    made.extend(builders.iter_mut().filter_map(Builder::finish));
    Ok(first.map(|first| (first, made)))
}

fn add(
    row: &Row<'_>,
    [allows, denials]: &mut [Builder; 2],
    made: &mut Vec<Block>,
) -> rusqlite::Result<()> {
    let (effect, builder) = match row.get::<_, i64>(4)? {
        0 => (Effect::Deny, denials),
        _ => (Effect::Allow, allows),
    };
    let shown: String = row.get(11)?;
    let verdict = Verdict {
        effect,
        principal: row.get(5)?,
        request_principal: row.get(6)?,
        policy: row.get(9)?,
        shown: facts_of(&shown),
    };
    let texts: [Option<String>; 3] = [row.get(7)?, row.get(8)?, row.get(10)?];
    let [host, path, trace_id] = texts.each_ref().map(Option::as_deref);
    let mut details = Vec::new();
    put_as_shown(&mut details, &shown);
    let entry = Entry {
        seq: row.get(0)?,
        id: uuid::Uuid::from_slice(&row.get::<_, Vec<u8>>(1)?).unwrap_or_default(),
        time_ns: row.get(2)?,
        revision: row.get::<_, i64>(3)?.try_into().unwrap_or(0),
        cached: false,
        shadow: None,
        verdict: &verdict,
        host,
        path,
        trace_id,
        details: &details,
    };
    if !builder.has_room(entry.time_ns) {
        made.extend(builder.finish());
    }
    builder.push(&entry);
    Ok(())
}

/// What questions are about, of a record as it was shown.
fn facts_of(shown: &str) -> String {
    let mut members: Map<String, Value> = serde_json::from_str(shown).unwrap_or_default();
    members.retain(|name, _| matches!(name.as_str(), "status" | "reason" | "workload"));
    Value::Object(members).to_string()
}
