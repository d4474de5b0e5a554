//! What Rego tests have reached of the policies, as `opa test --coverage` prints it.

use super::super::{complain, say};
use crate::policy::rego::{Coverage, Range};

/// Prints the report. `false` if less than `threshold` percent was reached.
pub(super) fn tell(coverage: &Coverage, threshold: f64, verbose: bool) -> bool {
    if coverage.coverage < threshold {
        let got = coverage.coverage;
        complain(&format!(
            "code coverage threshold not met: got {got:.2} instead of {threshold:.2}"
        ));
        if verbose {
            complain("lines not covered:");
            for (file, of_file) in &coverage.files {
                let ranges = of_file.not_covered.iter();
                ranges.for_each(|range| complain(&format!("  {file}:{}", rows(range))));
            }
        }
        return false;
    }
    let text = serde_json::to_string_pretty(coverage);
    for text in text.iter() {
        say(text);
    }
    true
}

fn rows(range: &Range) -> String {
    match (range.start.row, range.end.row) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    }
}
