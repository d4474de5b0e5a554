//! What the process tells about itself: logs and metrics. Which events there are is said where
//! they happen; how each is counted is said here.

mod logging;
mod metrics;

pub use logging::{LogFormat, init as init_logging};
pub use metrics::Metrics;
