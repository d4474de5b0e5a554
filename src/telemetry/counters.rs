//! Counters of the request path: one a value of closed sets, found by its place, so that counting takes
//! neither a lock nor a look-up. A series is shown once it has counted something.

use std::array;
use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::metrics::Labels;

/// A value out of a closed set: its place in it, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub at: usize,
    pub name: &'static str,
}

/// A family of so many series with so many labels each.
#[derive(Debug)]
pub(super) struct Counters<const LABELS: usize, const SERIES: usize> {
    family: Family<Labels<LABELS>, Counter>,
    found: [OnceLock<Counter>; SERIES],
}

impl<const LABELS: usize, const SERIES: usize> Counters<LABELS, SERIES> {
    pub(super) fn of(family: Family<Labels<LABELS>, Counter>) -> Self {
        Self {
            family,
            found: array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Counts one in the series of a place, which has these labels.
    pub(super) fn inc(&self, at: usize, labels: &Labels<LABELS>) {
        let find = || self.family.get_or_create_owned(labels);
        match self.found.get(at) {
            Some(found) => found.get_or_init(find).inc(),
            // There are more values than places: slower, and still right.
            None => find().inc(),
        };
    }
}
