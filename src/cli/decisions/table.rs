//! Records as lines of a table: one line each, whatever is in it.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

use super::screen::{Color, Screen, clean, cut};

/// Columns that are as wide as what can be in them.
const FIXED: [(&str, usize); 4] = [("TIME", 24), ("EFFECT", 6), ("STATUS", 6), ("METHOD", 7)];
/// The others, and which part of the rest of a line they get, in percent.
const SHARED: [(&str, usize); 5] = [
    ("HOST", 15),
    ("PATH", 25),
    ("PRINCIPAL", 20),
    ("POLICY", 20),
    ("REASON", 20),
];
/// How wide these are at least, and where lines have no end.
const MIN_WIDTH: usize = 8;
const GAP: &str = "  ";

/// The line above them.
pub(super) fn head(screen: Screen) -> String {
    let fixed = FIXED.iter().map(|(name, _)| (*name).to_owned());
    let shared = SHARED.iter().map(|(name, _)| (*name).to_owned());
    line(screen, &fixed.chain(shared).collect::<Vec<_>>(), None)
}

/// A record.
pub(super) fn row(screen: Screen, record: &Value) -> String {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let time = text("/time").unwrap_or_default();
    let time = match time.parse::<Timestamp>() {
        Ok(time) => format!("{time:.3}"),
        Err(_) => time.to_owned(),
    };
    let effect = text("/effect").unwrap_or_default();
    let status = record.get("status").and_then(Value::as_u64);
    let principal = text("/request_principal").or_else(|| text("/peer_principal"));
    let policy = match (text("/reason/policy"), record.pointer("/reason/rule")) {
        (Some(policy), Some(rule)) => Some(format!("{policy}[{rule}]")),
        (Some(policy), None) => Some(policy.to_owned()),
        (None, _) => text("/reason/entrypoint").map(str::to_owned),
    };
    let reason = [text("/reason/kind"), text("/reason/message")];
    let reason: Vec<&str> = reason.into_iter().flatten().collect();
    let cells = [
        time,
        effect.to_owned(),
        status.map(|status| status.to_string()).unwrap_or_default(),
        text("/request/method").unwrap_or("-").to_owned(),
        text("/request/host").unwrap_or("-").to_owned(),
        text("/request/path").unwrap_or("-").to_owned(),
        principal.unwrap_or("-").to_owned(),
        policy.unwrap_or_else(|| "-".to_owned()),
        reason.join(": "),
    ];
    let color = match effect {
        "allow" => Color::Green,
        _ => Color::Red,
    };
    line(screen, &cells, Some(color))
}

/// Cells of a line, the effect in its colour.
fn line(screen: Screen, cells: &[String], color: Option<Color>) -> String {
    let widths = widths(screen);
    let last = cells.len().saturating_sub(1);
    let cells = cells.iter().zip(widths).enumerate();
    let cells = cells.map(|(at, (cell, width))| {
        let mut cell = clean(cell);
        if screen.width.is_some() {
            cell = cut(&cell, width);
        }
        let padded = match at == last {
            true => cell,
            false => format!("{cell:width$}"),
        };
        match color {
            Some(color) if at == 1 => screen.colored(&padded, color),
            _ => padded,
        }
    });
    cells.collect::<Vec<_>>().join(GAP)
}

fn widths(screen: Screen) -> Vec<usize> {
    let fixed: usize = FIXED.iter().map(|(_, width)| width + GAP.len()).sum();
    let gaps = (SHARED.len() - 1) * GAP.len();
    let rest = screen
        .width
        .map_or(0, |width| width.saturating_sub(fixed + gaps));
    let shared = SHARED
        .iter()
        .map(|(_, share)| (rest * share / 100).max(MIN_WIDTH));
    FIXED
        .iter()
        .map(|(_, width)| *width)
        .chain(shared)
        .collect()
}
