//! Tokens whose signature `io.jwt.*` has found good, remembered by digest. A memory belongs to compiled
//! policies and dies with them; an evaluation has it in its thread. What a token says, its times
//! first of all, is checked at every use: only the signature is not.

use std::cell::RefCell;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use moka::sync::Cache;
use regorus::Value;

/// Memory for the tokens of all policies that are compiled together, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// What an entry, and a value in it, take besides their text, in bytes, about.
const ENTRY_OVERHEAD: usize = 256;
const VALUE_OVERHEAD: usize = 96;

/// Neither token nor key is kept: who reads this memory must not be able to use it.
type Digest = [u8; SHA256_OUTPUT_LEN];

/// Header and payload, where they were asked for.
type Content = Option<(Value, Value)>;

/// Tokens found good under one set of policies.
#[derive(Debug, Clone)]
pub(in super::super::super) struct Memory(Cache<Digest, Content>);

thread_local! {
    static CURRENT: RefCell<Option<Memory>> = const { RefCell::new(None) };
}

/// The memory that an evaluation on this thread has, until this is dropped.
pub(in super::super::super) struct Remembering(());

/// What a signature was checked with, as a digest.
pub(super) struct Check(Digest);

// === impl Memory ===

impl Default for Memory {
    fn default() -> Self {
        let weigher = |_: &Digest, content: &Content| {
            let values = content
                .iter()
                .flat_map(|(header, payload)| [header, payload]);
            let weight: usize = values.map(weight).sum();
            u32::try_from(weight + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .max_capacity(MAX_BYTES)
                .weigher(weigher)
                .build(),
        )
    }
}

impl Memory {
    pub(in super::super::super) fn enter(&self) -> Remembering {
        CURRENT.set(Some(self.clone()));
        Remembering(())
    }
}

impl Drop for Remembering {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

// === impl Check ===

impl Check {
    /// A check of one kind, of texts that together are all it depends on.
    pub(super) fn of(texts: &[&str]) -> Self {
        let mut digest = Context::new(&SHA256);
        for text in texts {
            // With its length, so that no two lists of texts come to the same.
            digest.update(&text.len().to_be_bytes());
            digest.update(text.as_bytes());
        }
        let mut bytes = Digest::default();
        bytes.copy_from_slice(digest.finish().as_ref());
        Self(bytes)
    }

    /// What is remembered of a token that was found good before.
    pub(super) fn recall(&self) -> Option<Content> {
        CURRENT.with_borrow(|memory| memory.as_ref()?.0.get(&self.0))
    }

    /// Remembers a token that was found good. Those that were not are not: anybody can make them.
    pub(super) fn remember(self, content: Content) {
        CURRENT.with_borrow(|memory| {
            if let Some(memory) = memory {
                memory.0.insert(self.0, content);
            }
        });
    }
}

/// The memory that a value takes, in bytes, about.
pub(super) fn weight(value: &Value) -> usize {
    let inside: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| weight(name) + weight(value))
            .sum(),
        _ => 0,
    };
    inside + VALUE_OVERHEAD
}
