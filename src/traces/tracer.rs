//! Which checks get a span: asked on the request path, so it takes a look at the headers and no more.
//! A client says what it likes about its trace; how many spans that makes has a bound.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::context::{Carriers, SpanId, TraceContext, TraceId};

/// Which checks are traced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Those whose trace says so are, and those whose trace says no are not.
    pub parent_based: bool,
    /// Which share of the others is, from 0 to 1.
    pub ratio: f64,
}

/// Counts what becomes of checks that are to be traced.
#[derive(Debug, Clone)]
pub struct TraceCounters {
    /// Their span went to the exporter.
    pub made: Counter,
    /// There were too many.
    pub limited: Counter,
    /// They were lost before.
    pub lost: Counter,
}

/// Says which checks are traced.
#[derive(Debug)]
pub struct Tracer {
    sampling: Sampling,
    limit: Limit,
    began: Instant,
    counters: Arc<TraceCounters>,
}

/// A check that gets a span. Dropped before it has one, it is counted as lost.
#[derive(Debug)]
pub struct Traced {
    pub trace: TraceId,
    pub span: SpanId,
    /// The span that it is a part of.
    pub parent: Option<SpanId>,
    /// Whether nothing more is to be counted of it.
    is_settled: Cell<bool>,
    counters: Arc<TraceCounters>,
}

/// So many a second: the second in the upper half, and how many there were in the lower.
#[derive(Debug)]
pub(super) struct Limit {
    most: u32,
    window: AtomicU64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            parent_based: true,
            ratio: 1.0,
        }
    }
}

// === impl Sampling ===

impl Sampling {
    pub(super) fn takes(&self, context: &TraceContext, trace: TraceId) -> bool {
        match context.sampled {
            Some(sampled) if self.parent_based => sampled,
            _ => trace.is_among(self.ratio),
        }
    }
}

// === impl Tracer ===

impl Tracer {
    pub fn new(sampling: Sampling, most_per_second: u32, counters: TraceCounters) -> Self {
        Self {
            sampling,
            limit: Limit::new(most_per_second),
            began: Instant::now(),
            counters: Arc::new(counters),
        }
    }

    /// Begins the span of a check with these headers, if it gets one. Rule: whoever asks knows best which
    /// trace it does so for; where that is not told, the request that it asks about tells.
    pub fn begin<'a>(
        &self,
        caller: TraceContext,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Option<Box<Traced>> {
        let context = match caller {
            TraceContext { parent: None, .. } => Carriers::of(headers).context(),
            caller => caller,
        };
        let (trace, parent) = match context.parent {
            Some((trace, span)) => (trace, Some(span)),
            None => (TraceId::random(), None),
        };
        if !self.sampling.takes(&context, trace) {
            return None;
        }
        let second = self.began.elapsed().as_secs();
        if !self.limit.admits(u32::try_from(second).unwrap_or(u32::MAX)) {
            self.counters.limited.inc();
            return None;
        }
        Some(Box::new(Traced {
            trace,
            span: SpanId::random(),
            parent,
            is_settled: Cell::new(false),
            counters: Arc::clone(&self.counters),
        }))
    }
}

// === impl Traced ===

impl Traced {
    /// It has its span.
    pub fn finish(&self) {
        if !self.is_settled.replace(true) {
            self.counters.made.inc();
        }
    }

    /// There is no such check any more.
    pub fn cancel(&self) {
        self.is_settled.set(true);
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if !self.is_settled.get() {
            self.counters.lost.inc();
        }
    }
}

// === impl Limit ===

impl Limit {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            window: AtomicU64::new(0),
        }
    }

    /// Rule: a thread that comes late with an earlier second counts in the later one.
    pub(super) fn admits(&self, second: u32) -> bool {
        let admitted = |window: u64| {
            let (current, count) = ((window >> 32) as u32, window as u32);
            let (current, count) = match second > current {
                true => (second, 0),
                false => (current, count),
            };
            (count < self.most).then(|| u64::from(current) << 32 | u64::from(count + 1))
        };
        let order = Ordering::Relaxed;
        self.window.fetch_update(order, order, admitted).is_ok()
    }
}

// === impl TraceId ===

impl TraceId {
    fn random() -> Self {
        loop {
            let bits = u128::from(random()) << 64 | u128::from(random());
            if let Some(id) = Self::new(bits.to_be_bytes()) {
                return id;
            }
        }
    }

    /// Whether it is in a share of all traces. Rule (TraceIdRatioBased, as OpenTelemetry's SDK for Go has
    /// it): the last 63 bits are below as much of them, so that all that look at a trace say the same.
    fn is_among(self, ratio: f64) -> bool {
        let bound = ratio * (1_u64 << 63) as f64;
        self.low() >> 1 < bound as u64
    }
}

// === impl SpanId ===

impl SpanId {
    fn random() -> Self {
        loop {
            if let Some(id) = Self::new(random().to_be_bytes()) {
                return id;
            }
        }
    }
}

/// All bits are random: those that are the same in every UUID are not at the same place of its halves.
fn random() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    high ^ low
}
