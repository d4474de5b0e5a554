//! What goes when it is too old or too much: whole blocks.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Params};

use super::{LogStore, remove};

/// Most times that blocks are removed in a row because there is too much.
const ROUNDS: usize = 50;
/// Most blocks that go at once.
const MAX_REMOVED: i64 = 1_000;
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
        loop {
            let old = "SELECT block FROM blocks WHERE last_time_ns < ? LIMIT ?";
            if remove_all(&connection, old, [until, MAX_REMOVED])? == 0 {
                break;
            }
        }
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

/// Removes the oldest blocks of the effect that takes the most, of so many bytes or of half the
/// difference to the other. Returns how many blocks went.
fn make_room(connection: &Connection, excess: i64) -> rusqlite::Result<usize> {
    let sizes = "SELECT effect, sum(bytes) FROM blocks GROUP BY effect ORDER BY sum(bytes) DESC";
    let mut sizes = connection.prepare_cached(sizes)?;
    let sizes = sizes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sizes: Vec<(i64, i64)> = sizes.collect::<Result<_, _>>()?;
    let (Some((effect, most)), other) = (sizes.first(), sizes.get(1)) else {
        return Ok(0);
    };
    let ahead = most - other.map_or(0, |(_, bytes)| *bytes);
    let enough = if other.is_some() {
        excess.min(ahead / 2)
    } else {
        excess
    };
    let oldest = "SELECT block FROM (SELECT block, sum(bytes) OVER (ORDER BY block) - bytes AS before \
                  FROM blocks WHERE effect = ?) WHERE before <= ? LIMIT ?";
    remove_all(connection, oldest, [*effect, enough, MAX_REMOVED])
}

/// Removes the blocks that a query names, in one transaction. Returns how many.
fn remove_all(
    connection: &Connection,
    query: &str,
    parameters: impl Params,
) -> rusqlite::Result<usize> {
    let transaction = connection.unchecked_transaction()?;
    let blocks: Vec<i64> = {
        let mut query = transaction.prepare_cached(query)?;
        let blocks = query.query_map(parameters, |row| row.get(0))?;
        blocks.collect::<Result<_, _>>()?
    };
    for block in &blocks {
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
