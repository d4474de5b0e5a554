//! What the process tells about itself: logs and metrics. Which events there are is said where
//! they happen; how each is counted is said here.

mod bundles;
mod counters;
mod durations;
mod log;
mod logging;
mod metrics;
mod plugin;
mod policies;
mod sinks;
mod steps;
mod stopwatch;
mod traces;

pub use bundles::{BundleMetrics, BundleStage};
pub use counters::Label;
pub use log::LogMetrics;
pub use logging::{LogFormat, init as init_logging, tell_panics};
pub use metrics::{KeyFetch, Metrics};
pub use policies::{PolicyMetrics, Tallies, TallyPlace};
pub use sinks::{SinkCounters, SinkMetrics};
pub use stopwatch::{Arrival, Step, Stopwatch};
pub use traces::TraceMetrics;

use serde::{Deserialize, Serialize};

/// Section `telemetry` of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub log: LogFormat,
}

/// Nanoseconds since 1970: the one place that reads the wall clock for decisions.
pub fn unix_nanos() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}
