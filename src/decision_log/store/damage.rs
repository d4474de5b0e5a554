//! What of the log's file cannot be read: told and counted once, known from then on, so that nobody
//! tries in vain again. One for all connections to the file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ErrorCode;

use crate::decision::Effect;
use crate::telemetry::Metrics;

/// Most damaged blocks that are told apart.
const MAX_KNOWN: usize = 10_000;

/// Damage that was found.
#[derive(Debug, Default)]
pub(in crate::decision_log) struct Damage {
    metrics: Arc<Metrics>,
    blocks: Mutex<HashSet<i64>>,
    /// Blocks next to rows that cannot be read.
    rows: Mutex<HashSet<i64>>,
    /// Blocks that cannot be removed.
    stuck: Mutex<HashSet<i64>>,
    keeps_its_size: AtomicBool,
    /// How often a new file was begun.
    files: AtomicU64,
}

impl Damage {
    pub(in crate::decision_log) fn counted_by(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            ..Self::default()
        })
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Notes that a block cannot be read, once.
    pub(super) fn of_block(&self, block: i64) {
        if is_new(&self.blocks, block) {
            self.metrics.log.damaged.inc();
            tracing::error!(
                block,
                "a block of the decision log is damaged and passed over"
            );
        }
    }

    /// Notes that rows next to this block cannot be read, once.
    pub(super) fn of_rows_at(&self, block: i64) {
        if is_new(&self.rows, block) {
            self.metrics.log.damaged.inc();
            tracing::error!(
                block,
                "a page of the decision log is damaged: blocks next to this one are passed over"
            );
        }
    }

    /// Notes that a block cannot be removed, once.
    pub(super) fn of_stuck(&self, block: i64) {
        if is_new(&self.stuck, block) {
            self.metrics.log.damaged.inc();
            tracing::error!(
                block,
                "a block of the decision log is damaged and cannot be removed"
            );
        }
    }

    /// Notes that free pages cannot be given back, since others would have to move: they are used again.
    pub(super) fn has_to_keep_its_size(&self) {
        if !self.keeps_its_size.swap(true, Ordering::Relaxed) {
            self.metrics.log.damaged.inc();
            tracing::error!("the decision log is damaged: its file does not get smaller any more");
        }
    }

    /// Tells that a file is set aside.
    pub(in crate::decision_log) fn of_all(&self, aside: &Path) {
        self.metrics.log.damaged.inc();
        tracing::error!(
            aside = %aside.display(),
            "THE DECISION LOG IS SO DAMAGED THAT IT TAKES NOTHING: it is set aside, and a new one is begun"
        );
    }

    /// Notes that there is a new file, of which no damage is known.
    pub(super) fn is_over(&self) {
        for known in [&self.blocks, &self.rows, &self.stuck] {
            lock(known).clear();
        }
        self.keeps_its_size.store(false, Ordering::Relaxed);
        for effect in [Effect::Allow, Effect::Deny] {
            self.metrics.log.holds(effect.as_str(), 0, 0);
        }
        self.files.fetch_add(1, Ordering::AcqRel);
    }

    /// Which file it is about.
    pub(super) fn file(&self) -> u64 {
        self.files.load(Ordering::Acquire)
    }

    pub(super) fn keeps_its_size(&self) -> bool {
        self.keeps_its_size.load(Ordering::Relaxed)
    }

    /// Whether a block is known not to be removable.
    pub(super) fn is_stuck(&self, block: i64) -> bool {
        lock(&self.stuck).contains(&block)
    }

    /// Whether a block is known to be damaged.
    pub(super) fn is_known(&self, block: i64) -> bool {
        lock(&self.blocks).contains(&block)
    }
}

fn is_new(known: &Mutex<HashSet<i64>>, block: i64) -> bool {
    let mut known = lock(known);
    known.len() < MAX_KNOWN && known.insert(block)
}

fn lock(known: &Mutex<HashSet<i64>>) -> MutexGuard<'_, HashSet<i64>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an error says that the file does not hold what was written, rather than that it cannot be
/// read now.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) => true,
        error => error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt),
    }
}
