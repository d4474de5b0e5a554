//! Metrics of the decision log: what it stored, what it did not and why, and what its file holds.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::{Labels, new};

/// Every decision that is handed over is written, dropped or sampled.
#[derive(Debug)]
pub struct LogMetrics {
    pub written: Counter,
    dropped: Family<Labels<1>, Counter>,
    sampled: Family<Labels<1>, Counter>,
    input_omitted: Family<Labels<1>, Counter>,
    /// Records of which a mask failed, so that nothing of their requests is shown.
    pub mask_failures: Counter,
    /// What the process before this one had under way when it ended without notice.
    pub lost_in_crash: Gauge,
    /// Blocks of the file that do not hold what was written.
    pub damaged: Counter,
    records: Family<Labels<1>, Gauge>,
    bytes: Family<Labels<1>, Gauge>,
    removed: Family<Labels<2>, Counter>,
}

// === impl LogMetrics ===

impl LogMetrics {
    pub(super) fn new(known: &mut Registry) -> Self {
        Self {
            written: new(
                known,
                "decision_log_written",
                "Decisions stored in the decision log",
            ),
            dropped: new(
                known,
                "decision_log_dropped",
                "Decisions lost to the decision log",
            ),
            sampled: new(
                known,
                "decision_log_sampled",
                "Decisions that are not to be recorded, by what says so",
            ),
            input_omitted: new(
                known,
                "decision_log_input_omitted",
                "Records without the input and result they should have, by why",
            ),
            mask_failures: new(
                known,
                "decision_log_mask_failures",
                "Records without their request because a mask failed",
            ),
            lost_in_crash: new(
                known,
                "decision_log_lost_in_crash",
                "Decisions of the process before this one that it had no time to store",
            ),
            damaged: new(
                known,
                "decision_log_damaged",
                "Blocks of the decision log that could not be read",
            ),
            records: new(
                known,
                "decision_log_records",
                "Decisions that the decision log holds, by effect",
            ),
            bytes: new(
                known,
                "decision_log_bytes",
                "Bytes they take in its file, by effect",
            ),
            removed: new(
                known,
                "decision_log_removed",
                "Decisions that left the decision log, by effect and cause",
            ),
        }
    }

    /// Counts records that were not stored.
    pub fn dropped(&self, reason: &'static str, count: u64) {
        let dropped = self.dropped.get_or_create(&[("reason", reason)]);
        dropped.inc_by(count);
    }

    /// Counts records that are not wanted.
    pub fn sampled(&self, by: &'static str, count: u64) {
        self.sampled.get_or_create(&[("by", by)]).inc_by(count);
    }

    /// Counts a record without the input that it should have.
    pub fn input_omitted(&self, reason: &'static str) {
        let omitted = self.input_omitted.get_or_create(&[("reason", reason)]);
        omitted.inc();
    }

    /// Notes what is stored of an effect.
    pub fn holds(&self, effect: &'static str, records: i64, bytes: i64) {
        let effect = [("effect", effect)];
        self.records.get_or_create(&effect).set(records);
        self.bytes.get_or_create(&effect).set(bytes);
    }

    /// Notes what was stored besides.
    pub fn stored(&self, effect: &'static str, records: i64, bytes: i64) {
        let effect = [("effect", effect)];
        self.records.get_or_create(&effect).inc_by(records);
        self.bytes.get_or_create(&effect).inc_by(bytes);
    }

    /// Counts what retention removed.
    pub fn removed(&self, effect: &'static str, cause: &'static str, records: i64, bytes: i64) {
        self.stored(effect, -records, -bytes);
        let labels = [("effect", effect), ("cause", cause)];
        let removed = self.removed.get_or_create(&labels);
        removed.inc_by(u64::try_from(records).unwrap_or(0));
    }
}
