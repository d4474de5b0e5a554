//! Finding a list of items in another by Knuth, Morris and Pratt: none is looked at again for each place
//! that could be the beginning, whatever repeats.

/// Items that are looked for, and how many of them were just seen.
pub(super) struct Sought<'a, T> {
    items: &'a [T],
    /// For each beginning of the items, the length of the longest shorter one that it ends with.
    borders: Vec<usize>,
    seen: usize,
}

impl<'a, T: PartialEq> Sought<'a, T> {
    pub(super) fn new(items: &'a [T]) -> Self {
        let mut sought = Self {
            items,
            borders: Vec::with_capacity(items.len()),
            seen: 0,
        };
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                sought.see(item);
            }
            sought.borders.push(sought.seen);
        }
        sought.seen = 0;
        sought
    }

    /// Whether the items end with one more that comes.
    pub(super) fn ends_with(&mut self, item: &T) -> bool {
        self.see(item);
        self.seen == self.items.len()
    }

    fn see(&mut self, item: &T) {
        while self.items.get(self.seen) != Some(item) {
            let Some(last) = self.seen.checked_sub(1) else {
                return;
            };
            self.seen = self.borders.get(last).copied().unwrap_or(0);
        }
        self.seen += 1;
    }
}
