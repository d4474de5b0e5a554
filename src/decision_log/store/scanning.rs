//! The rows of `blocks`, one after the other, over pages of the file that cannot be read: those are
//! jumped over, in steps that grow, and the rows behind them are found again.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row};

use super::damage::{Damage, is_damage};

/// From which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    fn condition(self) -> &'static str {
        match self {
            Self::NewestFirst => "block < ? ORDER BY block DESC",
            Self::OldestFirst => "block > ? ORDER BY block",
        }
    }

    fn start(self) -> i64 {
        match self {
            Self::NewestFirst => i64::MAX,
            Self::OldestFirst => i64::MIN,
        }
    }

    /// So many numbers further. `None` is behind the end.
    fn beyond(self, at: i64, step: i64, end: i64) -> Option<i64> {
        let beyond = match self {
            // Numbers begin at 1, and none is as high as the end.
            Self::NewestFirst => at.min(end).saturating_sub(step),
            Self::OldestFirst => at.max(0).saturating_add(step),
        };
        (0..=end).contains(&beyond).then_some(beyond)
    }
}

/// Hands on rows, of which `columns` begin with `block`, until it is told to stop. Returns how often rows
/// were jumped over.
pub(super) fn each_row<E: From<rusqlite::Error>>(
    connection: &Connection,
    damage: &Damage,
    columns: &str,
    order: Order,
    mut take: impl FnMut(i64, &Row<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<u64, E> {
    let statement = format!("SELECT {columns} FROM blocks WHERE {}", order.condition());
    let mut statement = connection.prepare_cached(&statement)?;
    let (mut at, mut step, mut jumps) = (order.start(), 1, 0);
    loop {
        let mut rows = statement.query([at])?;
        let error = loop {
            match rows.next() {
                Ok(None) => return Ok(jumps),
                Ok(Some(row)) => {
                    at = row.get(0)?;
                    step = 1;
                    if take(at, row)?.is_break() {
                        return Ok(jumps);
                    }
                }
                Err(error) => break error,
            }
        };
        if !is_damage(&error) {
            return Err(error.into());
        }
        // Further steps are over the same damage.
        if step == 1 {
            damage.of_rows_at(at);
            jumps += 1;
        }
        drop(rows);
        let end = "SELECT next_seq FROM numbers";
        let end = connection.query_row(end, [], |row| row.get(0))?;
        let Some(beyond) = order.beyond(at, step, end) else {
            return Ok(jumps);
        };
        at = beyond;
        step = i64::saturating_mul(step, 2);
    }
}
