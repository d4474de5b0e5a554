//! Counts of what was compared, so that a test cannot become empty without being noticed.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often a value of a kind matched and did not, and how often rules did.
#[derive(Debug, Default)]
pub struct Tally(RefCell<BTreeMap<(String, &'static str), [u64; 2]>>);

impl Tally {
    pub fn count(&self, about: String, form: &'static str, matched: bool) {
        let mut counts = self.0.borrow_mut();
        counts.entry((about, form)).or_default()[usize::from(!matched)] += 1;
    }

    /// Every kind of value with how often it matched and did not.
    pub fn counts(&self) -> BTreeMap<(String, &'static str), [u64; 2]> {
        self.0.borrow().clone()
    }
}
