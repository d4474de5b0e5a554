//! One replay: page after page of the log, record after record, until all is done or the time is over.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::pace::Pace;
use super::recorded::Recorded;
use super::report::{Finding, Missing, Report, Stopped, Unknown};
use super::{Question, ReplayError};
use crate::decision_log::{Filter, LogReaders};
use crate::pdp::decide_again;
use crate::shadow::Difference;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;

/// Records that are read at once.
const PAGE: u32 = 500;

pub(super) fn run(
    log: &LogReaders,
    metrics: &Metrics,
    question: Question,
    pace: Pace,
) -> Result<Report, ReplayError> {
    let asked = question.filter.clone();
    let mut report = pages(log, metrics, question, pace)?;
    // Afterwards, since some may have gone meanwhile.
    let kept = log.kept()?;
    if kept.lacks_some_of(&asked)? {
        report.misses(Missing::Removed);
    }
    report.oldest = kept.oldest;
    Ok(report)
}

fn pages(
    log: &LogReaders,
    metrics: &Metrics,
    question: Question,
    mut pace: Pace,
) -> Result<Report, ReplayError> {
    let Question {
        mut filter,
        limit,
        now,
        candidate,
    } = question;
    let mut report = Report::under(now.revision, &filter);
    let mut left = limit;
    pace.begin();
    loop {
        filter.limit = Some(left.clamp(1, PAGE));
        let page = log.query(&filter)?;
        if page.passed_over > 0 {
            report.misses(Missing::Damaged);
        }
        let last = page.decisions.len().saturating_sub(1);
        for (at, record) in page.decisions.iter().enumerate() {
            report.add(record, find(record, &now, &candidate, metrics));
            left = left.saturating_sub(1);
            let is_last = at == last && (left == 0 || page.next_cursor.is_none());
            if !is_last && !pace.goes_on() {
                return Ok(report.stopped(Stopped::Time, Filter::before(record)));
            }
        }
        let Some(next) = page.next_cursor else {
            return Ok(report.finish());
        };
        if left == 0 {
            return Ok(report.stopped(Stopped::Limit, Some(next)));
        }
        if !pace.goes_on() {
            return Ok(report.stopped(Stopped::Time, Some(next)));
        }
        filter.cursor = Some(next);
    }
}

/// What comes of one record. A panic takes nothing along but this.
fn find(
    record: &Value,
    now: &Snapshot,
    candidate: &Snapshot,
    metrics: &Metrics,
) -> Result<Finding, Unknown> {
    let find = || decide_both(record, now, candidate);
    let found = catch_unwind(AssertUnwindSafe(find)).unwrap_or(Err(Unknown::Failed));
    if matches!(found, Err(Unknown::Failed)) {
        metrics.panics.inc();
        tracing::error!("a decision could not be replayed by a fault of ours");
    }
    found
}

fn decide_both(record: &Value, now: &Snapshot, candidate: &Snapshot) -> Result<Finding, Unknown> {
    let recorded = Recorded::of(record)?;
    let request = recorded.request();
    let now = decide_again(now, &request)?;
    let candidate = decide_again(candidate, &request)?;
    Ok(Finding {
        difference: Difference::between(&now, &candidate),
        has_drifted: !recorded.was(&now),
        now,
        candidate,
    })
}
