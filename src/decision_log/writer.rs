//! The log's thread: takes records, puts them into blocks, stores these, and keeps the file in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block::{Block, Builder};
use super::breath::Breath;
use super::chunk::{Chunk, Head};
use super::entry::{Edited, Editor, Entry};
use super::outlet::Finished;
use super::queue::{Queue, Taken};
use super::spans::span_of;

use super::{LogSettings, LogStore, Overflow, filtering, sampling};
use crate::decision::Effect;

/// How often old records are removed and small blocks merged, and after how many bytes of new blocks
/// at the latest.
const TIDY_INTERVAL: Duration = Duration::from_secs(10);
const TIDY_BYTES: usize = 16 << 20;
/// How long a record may wait in a block that is not full, under load.
const BLOCK_DELAY: Duration = Duration::from_millis(100);
/// Bytes of blocks that are stored at once at the latest.
const MAX_BATCH: usize = 8 << 20;

/// When so much waits, input and result are left out of records where nothing but names says what is
/// masked: rather fewer words of each decision than fewer decisions.
const BEHIND: usize = 16 << 20;
/// How long records wait, all that were taken together, for what shadows say of them; and while many
/// come.
const PATIENCE: Duration = Duration::from_millis(500);
const BUSY_PATIENCE: Duration = Duration::from_millis(100);

/// How long it takes until what cannot be stored is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// After so many panics the log ends, unless one came so long after the one before.
pub(super) const MAX_PANICS: u32 = 10;
const CALM: Duration = Duration::from_secs(3600);
/// After so many attempts in a row that a file failed as it is damaged, a new one is begun.
const MAX_DAMAGED: u32 = 3;
/// What takes longer is logged: records that came meanwhile may have been dropped.
const SLOW: Duration = Duration::from_secs(1);

/// What the thread works with.
pub(super) struct Writer<'a> {
    queue: &'a Queue,
    settings: LogSettings,
    store: &'a LogStore,
    editor: Editor,
    filling: Filling,
    /// Number of the last record that was taken.
    last: i64,
    /// Attempts in a row that failed because the file is damaged.
    damaged: u32,
    /// When the oldest record came that is not stored yet.
    began: Option<Instant>,
}

/// Blocks that are being filled, and those that are to be stored next, with their size in bytes.
struct Filling {
    allows: Builder,
    denials: Builder,
    blocks: Vec<Block>,
    bytes: usize,
}

/// Why a record is not stored that came whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwanted {
    /// Nothing is recorded: it is here for its span.
    Off,
    /// No Telemetry wants it.
    Filtered,
    /// It is not in the share that is kept.
    Sampled,
}

/// How many records of a chunk are not stored.
#[derive(Debug, Default)]
struct Tally {
    off: u64,
    filtered: u64,
    sampled: u64,
    /// By policy.
    dropped: u64,
    too_large: u64,
}

/// Does the thread's work. Rule: after a panic it begins again, without what had been taken, which is
/// counted as lost. After so many, each soon after the one before, or at the end, the log ends and nothing
/// else: from then on every record is counted as lost.
pub(super) fn guarded(queue: &Queue, most: u32, mut work: impl FnMut()) {
    let mut panics = 0;
    loop {
        let began = Instant::now();
        // Of what the work has left behind only the queue is used, and that only as its lock leaves it; of
        // the store, what SQLite rolls back.
        if catch_unwind(AssertUnwindSafe(&mut work)).is_ok() {
            return;
        }
        panics = if began.elapsed() > CALM {
            1
        } else {
            panics + 1
        };
        if panics >= most {
            break;
        }
        let lost = queue.forsake();
        tracing::error!(lost, "the decision log panicked, and begins again");
        if queue.pause(RETRY) {
            break;
        }
    }
    let lost = queue.abandon();
    tracing::error!(
        lost,
        "the decision log panicked: no decisions are recorded until a restart"
    );
}

/// Does a piece of work on the file, and logs if it took long.
fn noting<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    if took > SLOW {
        tracing::warn!(?took, "the decision log was held up by {what}");
    }
    done
}

impl<'a> Writer<'a> {
    pub(super) fn new(queue: &'a Queue, settings: LogSettings, store: &'a LogStore) -> Self {
        Self {
            queue,
            editor: Editor::new(settings.mask.clone(), settings.scope.clone()),
            settings,
            store,
            filling: Filling::new(),
            last: 0,
            damaged: 0,
            began: None,
        }
    }

    /// Runs until the queue has ended and all that was handed over before is stored.
    pub(super) fn run(mut self) {
        let mut has_earlier = true;
        self.tidy();
        let mut tidied = Instant::now();
        let mut written = 0;
        loop {
            let patience = if has_earlier || self.began.is_some() {
                Duration::ZERO
            } else {
                TIDY_INTERVAL
            };
            let taken = self.queue.take(patience);
            let is_last = taken.is_last;
            written += self.store(taken);
            if is_last {
                return;
            }
            if has_earlier {
                has_earlier = self.take_over();
            }
            if tidied.elapsed() >= TIDY_INTERVAL || written >= TIDY_BYTES {
                self.tidy();
                tidied = Instant::now();
                written = 0;
            }
        }
    }

    /// Stores what was taken, at once or, while more comes, soon. Returns how many bytes were stored.
    pub(super) fn store(&mut self, taken: Taken) -> usize {
        self.store.has_given(taken.next_seq);
        let mut stored = 0;
        if !taken.chunks.is_empty() && self.began.is_none() {
            self.began = Some(Instant::now());
        }
        self.editor.set_behind(taken.weight() > BEHIND);
        self.editor.set_patience(match taken.is_busy {
            true => BUSY_PATIENCE,
            false => PATIENCE,
        });
        // While records come faster than that, it is the log that needs the core.
        let mut breath = (!taken.is_busy).then(Breath::new);
        for chunk in taken.chunks {
            self.add(&chunk, breath.as_mut());
            self.queue.give_back(chunk);
            if self.filling.bytes >= MAX_BATCH {
                stored += self.commit(self.last.saturating_add(1));
            }
        }
        let is_due = |began: Instant| began.elapsed() >= BLOCK_DELAY;
        if !taken.is_busy || taken.is_last || self.began.is_some_and(is_due) {
            stored += self.commit(taken.next_seq);
            self.began = None;
            self.store.has_settled(taken.next_seq);
            self.queue.has_settled(self.last);
        }
        stored
    }

    fn add(&mut self, chunk: &Chunk, mut breath: Option<&mut Breath>) {
        let filling = &mut self.filling;
        let leaves = !self.settings.outlets.is_empty();
        let mut tally = Tally::default();
        let (mut leaving, mut spans) = (Vec::new(), Vec::new());
        for (head, request) in chunk.records() {
            self.last = head.seq;
            if let Some(breath) = &mut breath {
                breath.draw();
            }
            let unwanted = unwanted(&self.settings, head, request);
            let traced = head.traced.as_deref();
            tally.note(unwanted);
            if unwanted.is_some() && traced.is_none() {
                continue;
            }
            let mut add_span = |entry: Option<&Entry<'_>>| {
                spans.extend(traced.map(|traced| Arc::new(span_of(head, traced, entry))));
            };
            let mut is_lost = false;
            let mut put = |entry: &Entry<'_>| {
                add_span(Some(entry));
                if unwanted.is_none() {
                    leaving.extend(leaves.then(|| Arc::new(Finished::of(entry))));
                    is_lost = !filling.put(entry);
                }
            };
            match self.editor.edit(head, request, &mut put) {
                // Rule: what policy keeps out of the log shows nothing of its request in its span.
                Some(Edited::Dropped) => {
                    add_span(None);
                    tally.dropped += u64::from(unwanted.is_none());
                }
                _ if unwanted.is_some() => {}
                Some(Edited::Stored(findings)) => {
                    tally.too_large += u64::from(is_lost);
                    if let Some(findings) = findings {
                        self.queue.count_findings(&findings);
                    }
                }
                None => tally.too_large += 1,
            }
        }
        for outlet in &self.settings.outlets {
            outlet.take(&leaving);
        }
        if let Some(tracing) = self.settings.tracing.as_ref().filter(|_| !spans.is_empty()) {
            tracing.outlet.take(&spans);
        }
        tally.tell(self.queue);
    }

    /// Stores all that was taken up to this number. Rule: nothing older is left for later, so that a crash
    /// costs what comes behind it and nothing else.
    fn commit(&mut self, settled: i64) -> usize {
        self.filling.finish();
        if self.filling.blocks.is_empty() {
            return 0;
        }
        let counts = self.filling.blocks.iter().map(|block| block.about.count);
        let count = counts.sum::<i64>().cast_unsigned();
        match self.append(settled) {
            Ok(()) => self.queue.count_written(count),
            Err(error) => {
                self.queue.count_dropped("store", count);
                tracing::error!(%error, count, "decisions could not be stored");
            }
        }
        let stored = self.filling.blocks.iter().map(Block::size).sum();
        self.filling.blocks.clear();
        self.filling.bytes = 0;
        stored
    }

    /// Rule: where there is no allow without a record, what cannot be stored is kept and tried again
    /// until it can, or the log is to end; meanwhile nothing is allowed.
    fn append(&mut self, settled: i64) -> rusqlite::Result<()> {
        let keeps = self.settings.overflow == Overflow::Deny;
        let mut is_last = !keeps;
        loop {
            let stored = self.attempt(settled);
            let error = match stored {
                Err(error) if !is_last => error,
                done => {
                    if keeps && done.is_ok() && !self.queue.set_failing(false) {
                        tracing::info!("decisions can be stored again");
                    }
                    return done;
                }
            };
            if self.queue.set_failing(true) {
                tracing::error!(%error, "decisions cannot be stored: nothing is allowed until they can");
            }
            is_last = self.queue.pause(RETRY);
            // What it gives back is room.
            drop(self.prune());
        }
    }

    /// Stores once. Rule: a file that is too damaged to take anything is set aside, and a new one begun.
    fn attempt(&mut self, settled: i64) -> rusqlite::Result<()> {
        let store = || self.store.append(&self.filling.blocks, settled);
        let stored = noting("storing decisions", store);
        self.damaged = match &stored {
            Err(error) if self.store.is_beyond_use(error) => self.damaged + 1,
            _ => 0,
        };
        if self.damaged < MAX_DAMAGED {
            return stored;
        }
        if let Err(error) = self.store.begin_anew() {
            tracing::error!(%error, "a damaged decision log could not be set aside");
            return stored;
        }
        self.damaged = 0;
        store()
    }

    fn take_over(&self) -> bool {
        let taken_over = noting("taking over decisions", || self.store.take_over());
        taken_over.unwrap_or_else(|error| {
            tracing::error!(%error, "decisions of an earlier version could not be taken over");
            false
        })
    }

    fn tidy(&mut self) {
        // After a flood, what it took is given back.
        self.editor.rest();
        self.queue.rest();
        if let Err(error) = noting("removing old decisions", || self.prune()) {
            tracing::error!(%error, "old decisions could not be removed");
        }
        if let Err(error) = noting("putting blocks together", || self.store.merge()) {
            tracing::error!(%error, "decisions could not be put together");
        }
    }

    fn prune(&self) -> rusqlite::Result<()> {
        let (retention, max_bytes) = (self.settings.retention, self.settings.max_bytes);
        self.store.prune(retention, max_bytes)
    }
}

fn unwanted(settings: &LogSettings, head: &Head, request: &[u8]) -> Option<Unwanted> {
    if !settings.enabled {
        Some(Unwanted::Off)
    } else if !filtering::keeps(head, request) {
        Some(Unwanted::Filtered)
    } else if !sampling::keeps(&settings.sample, head.id, &head.decision) {
        Some(Unwanted::Sampled)
    } else {
        None
    }
}

// === impl Filling ===

impl Filling {
    fn new() -> Self {
        Self {
            allows: Builder::new(Effect::Allow),
            denials: Builder::new(Effect::Deny),
            blocks: Vec::new(),
            bytes: 0,
        }
    }

    /// Puts a record into a block. `false`: it is larger than one.
    fn put(&mut self, entry: &Entry<'_>) -> bool {
        let builder = match entry.verdict.effect {
            Effect::Allow => &mut self.allows,
            Effect::Deny => &mut self.denials,
        };
        if !builder.has_room(entry.time_ns) {
            let block = builder.finish();
            self.bytes += block.as_ref().map_or(0, Block::size);
            self.blocks.extend(block);
        }
        builder.push(entry)
    }

    /// What there is is to be stored next, in blocks that are full or not.
    fn finish(&mut self) {
        for builder in [&mut self.allows, &mut self.denials] {
            self.blocks.extend(builder.finish());
        }
    }
}

// === impl Tally ===

impl Tally {
    fn note(&mut self, unwanted: Option<Unwanted>) {
        match unwanted {
            None => {}
            Some(Unwanted::Off) => self.off += 1,
            Some(Unwanted::Filtered) => self.filtered += 1,
            Some(Unwanted::Sampled) => self.sampled += 1,
        }
    }

    fn tell(&self, queue: &Queue) {
        if self.off > 0 {
            queue.forget(self.off);
        }
        if self.too_large > 0 {
            queue.count_dropped("too_large", self.too_large);
        }
        for (by, count) in [
            ("telemetry", self.filtered),
            ("sample", self.sampled),
            ("policy", self.dropped),
        ] {
            if count > 0 {
                queue.count_sampled(by, count);
            }
        }
    }
}
