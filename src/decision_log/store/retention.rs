//! What goes when it is too old or too much: whole blocks.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{LogStore, remove};

/// Most times that blocks are removed in a row because there is too much.
const ROUNDS: usize = 50;
/// Most blocks that go at once.
const MAX_REMOVED: i64 = 200;
/// Of two effects that take about the same, the larger gives at least this part of what is too much.
const LEAST_SHARE: i64 = 8;
/// Free pages are given back when they are more than this share of the file, so many at once: what is
/// written next needs pages as well.
const FREE_SHARE: i64 = 4;
const MAX_VACUUM: usize = 8_192;

impl LogStore {
    /// Removes blocks of which all is too old, and the oldest while the file is too large. Rule: of
    /// those effects that there are, the one that takes the most gives way, so that a flood of the
    /// one never drives out the other.
    pub fn prune(&self, retention: Duration, max_bytes: u64) -> rusqlite::Result<()> {
        let connection = self.connection();
        let age = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let until = now.saturating_sub(age);
        while remove_old(&connection, until)? > 0 {}
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        for _ in 0..ROUNDS {
            let excess = used_bytes(&connection)?.saturating_sub(max_bytes);
            if excess <= 0 || make_room(&connection, excess)? == 0 {
                break;
            }
        }
        give_back(&connection)?;
        // Readers are not waited for: what they still need is written back another time.
        let checkpoint = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], checkpoint)?;
        Ok(())
    }
}

/// Removes the oldest blocks of the effect that takes the most: of so many bytes, or of half of what it
/// has more than the other, but always some. Returns how many blocks went.
fn make_room(connection: &Connection, excess: i64) -> rusqlite::Result<usize> {
    let sizes = "SELECT effect, sum(bytes) FROM blocks GROUP BY effect ORDER BY sum(bytes) DESC";
    let mut sizes = connection.prepare_cached(sizes)?;
    let sizes = sizes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sizes: Vec<(i64, i64)> = sizes.collect::<Result<_, _>>()?;
    let Some((effect, most)) = sizes.first() else {
        return Ok(0);
    };
    let enough = match sizes.get(1) {
        None => excess,
        Some((_, other)) => excess.min((most - other) / 2).max(excess / LEAST_SHARE),
    };
    let oldest = "SELECT block, bytes FROM blocks WHERE effect = ? ORDER BY block LIMIT ?";
    let mut oldest = connection.prepare_cached(oldest)?;
    let mut rows = oldest.query([*effect, MAX_REMOVED])?;
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()?
        && (bytes < enough || blocks.is_empty())
    {
        blocks.push(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    drop(rows);
    remove_all(connection, &blocks)
}

/// Removes at once the blocks of which all is older than this. Returns how many.
fn remove_old(connection: &Connection, until: i64) -> rusqlite::Result<usize> {
    let old = "SELECT block FROM blocks WHERE last_time_ns < ? LIMIT ?";
    let mut old = connection.prepare_cached(old)?;
    let blocks = old.query_map([until, MAX_REMOVED], |row| row.get(0))?;
    let blocks: Vec<i64> = blocks.collect::<Result<_, _>>()?;
    remove_all(connection, &blocks)
}

fn remove_all(connection: &Connection, blocks: &[i64]) -> rusqlite::Result<usize> {
    let transaction = connection.unchecked_transaction()?;
    for block in blocks {
        remove(&transaction, *block)?;
    }
    transaction.commit()?;
    Ok(blocks.len())
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
