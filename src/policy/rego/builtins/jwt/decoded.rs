//! What `io.jwt.decode` took apart on this thread before: most tokens come again and again. Kept is what
//! they say, under a digest, and nothing that would make a token of it: no signature. That nothing of it
//! is verified is as it is without this memory.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use regorus::Value;

use super::memory::weight;

/// Memory of a thread for this, in bytes.
const MAX_BYTES: usize = 512 << 10;
/// What an entry takes besides its values, in bytes, about.
const ENTRY_BYTES: usize = 128;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Where the content of a token is, or comes to be.
pub(super) struct Place([u8; SHA256_OUTPUT_LEN]);

#[derive(Default)]
struct Known {
    contents: HashMap<[u8; SHA256_OUTPUT_LEN], (Value, Value)>,
    bytes: usize,
}

// === impl Place ===

impl Place {
    /// The place for a token's first two parts, with the period between them.
    pub(super) fn of(parts: &str) -> Self {
        let mut place = Self(Default::default());
        place
            .0
            .copy_from_slice(digest(&SHA256, parts.as_bytes()).as_ref());
        place
    }

    /// Header and payload, if they are there.
    pub(super) fn content(&self) -> Option<(Value, Value)> {
        KNOWN.with_borrow(|known| known.contents.get(&self.0).cloned())
    }

    /// Puts header and payload there. When there is no more room, all that is known goes.
    pub(super) fn put(self, header: &Value, payload: &Value) {
        let bytes = ENTRY_BYTES + weight(header) + weight(payload);
        KNOWN.with_borrow_mut(|known| {
            if known.bytes + bytes > MAX_BYTES {
                *known = Known::default();
            }
            if bytes <= MAX_BYTES {
                known.bytes += bytes;
                known
                    .contents
                    .insert(self.0, (header.clone(), payload.clone()));
            }
        });
    }
}
