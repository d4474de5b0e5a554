//! Traces: which trace a check is part of, whether it gets a span of its own there, and what a span says.
//! What is masked of it is the business of `decision_log`, where it goes that of `sinks`.

mod context;
mod span;
mod tracer;

#[cfg(test)]
mod tests;

pub use context::{Carriers, HEADERS, SpanId, TraceContext, TraceId, is_carrier};
pub use span::{NAME, Span};
pub use tracer::{Sampling, TraceCounters, Traced, Tracer};
