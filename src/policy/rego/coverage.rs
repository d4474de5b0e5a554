//! Which lines of policies their tests have reached, in the form in which OPA reports it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Lines by file.
pub(super) type Lines = BTreeMap<String, BTreeSet<u32>>;

/// What tests have reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Coverage {
    pub files: BTreeMap<String, FileCoverage>,
    pub covered_lines: usize,
    pub not_covered_lines: usize,
    /// In percent.
    pub coverage: f64,
}

/// What tests have reached of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FileCoverage {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub covered: Vec<Range>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<Range>,
    #[serde(skip_serializing_if = "is_zero")]
    pub covered_lines: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub not_covered_lines: usize,
    #[serde(skip_serializing_if = "is_nothing")]
    pub coverage: f64,
}

/// Lines from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    pub start: Position,
    pub end: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    pub row: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_nothing(percent: &f64) -> bool {
    *percent == 0.0
}

impl Coverage {
    /// `counted` are the lines that count, `reached` those that were evaluated.
    pub(super) fn of(counted: &Lines, reached: &Lines) -> Self {
        let mut whole = Self::default();
        let nothing = BTreeSet::new();
        for (file, counted) in counted {
            let reached = reached.get(file).unwrap_or(&nothing);
            let (covered, missed): (Vec<u32>, Vec<u32>) =
                counted.iter().partition(|row| reached.contains(row));
            whole.covered_lines += covered.len();
            whole.not_covered_lines += missed.len();
            let file_coverage = FileCoverage {
                covered: ranges(&covered),
                not_covered: ranges(&missed),
                covered_lines: covered.len(),
                not_covered_lines: missed.len(),
                coverage: percent(covered.len(), missed.len()),
            };
            whole.files.insert(file.clone(), file_coverage);
        }
        whole.coverage = percent(whole.covered_lines, whole.not_covered_lines);
        whole
    }
}

/// Rule: nothing of nothing is nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "files have fewer than 2^52 lines"
)]
fn percent(covered: usize, missed: usize) -> f64 {
    match covered + missed {
        0 => 0.0,
        all => 100.0 * covered as f64 / all as f64,
    }
}

fn ranges(rows: &[u32]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for &row in rows {
        match ranges.last_mut() {
            Some(last) if last.end.row + 1 == row => last.end.row = row,
            _ => ranges.push(Range {
                start: Position { row },
                end: Position { row },
            }),
        }
    }
    ranges
}
