//! The decision log: takes records off the request path, masks and stores them on a thread of its
//! own, and answers queries. What becomes of a record that cannot be kept is the operator's choice;
//! it is counted in any case.

mod block;
mod breath;
mod chunk;
mod details;
mod entry;
mod examiner;
mod facts;
mod fields;
mod filtering;
mod follower;
mod hidden;
mod looks;
mod mask;
mod membership;
mod noter;
mod outlet;
mod pending;
mod pointer;
mod query;
mod queue;
mod record;
mod result;
mod sampling;
mod scope;
mod shadowed;
mod secrets;
mod spans;
mod store;
mod summary;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use breath::Breath;
pub use follower::{Follower, Followers, Step};
pub use hidden::{hidden_in, workload_name};
pub use mask::Mask;
pub use outlet::{Finished, Outlet, line};
pub use pending::{Pending, Recorded};
pub use query::{Cursor, Filter, Page, QueryError};
pub use record::Record;
pub use sampling::Sampling;
pub use scope::{Detail, Level, Scope};
pub use shadowed::Shadowed;
pub use spans::Tracing;
pub use store::{Kept, LogReaders, LogStore};
pub use summary::{Summary, SummaryOf};

use noter::Noter;
use pointer::Pointer;
use queue::Queue;
use store::{Damage, Resumed, is_beyond_use, set_aside};
use writer::{MAX_PANICS, Writer};

use crate::policy::RecordRules;
use crate::policy::rego::is_same_path;
use crate::telemetry::Metrics;
use crate::units::{Size, Span};

/// Stack of the log's thread, in bytes, since policies nest that say what is masked.
const STACK: usize = 16 << 20;

/// Section `decision_log` of the configuration. What a sink is, the log does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config<S = ()> {
    /// Whether decisions are recorded. What was recorded before can be asked for either way, and is
    /// kept no longer.
    pub enabled: bool,
    /// How long decisions are kept.
    pub retention: Span,
    /// How large the log's file may grow.
    pub max_bytes: Size,
    /// Names of headers and parameters to mask beside the built-in ones, and pointers into events, which
    /// begin with `/`.
    pub mask: Vec<String>,
    /// Paths of the rules by which policies say what is masked, and which decisions are not recorded.
    pub mask_decision: String,
    pub drop_decision: String,
    pub detail: Detail,
    /// Which share of which decisions is recorded; the first that is for a decision counts.
    pub sample: Vec<Sampling>,
    pub overflow: Overflow,
    /// Where decisions go beside the log's own file.
    pub sinks: Vec<S>,
}

/// What happens when decisions come faster than they can be stored, or cannot be stored at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The newest are dropped and counted.
    #[default]
    Count,
    /// Their checks wait for room, until their deadline; then they are dropped and counted.
    Block,
    /// No record, no allow: what would be allowed is denied as long as it cannot be recorded.
    Deny,
}

impl<S> Default for Config<S> {
    fn default() -> Self {
        Self {
            enabled: true,
            retention: Span::from_secs(7 * 24 * 60 * 60),
            max_bytes: Size::from_mib(1024),
            mask: Vec::new(),
            mask_decision: "system/log/mask".to_owned(),
            drop_decision: "system/log/drop".to_owned(),
            detail: Detail::default(),
            sample: Vec::new(),
            overflow: Overflow::Count,
            sinks: Vec::new(),
        }
    }
}

impl<S> Config<S> {
    /// One of these paths that is a rule of the log's.
    pub fn rule_among<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let own = [&self.mask_decision, &self.drop_decision];
        let is_own = |path: &&str| own.iter().any(|own| is_same_path(own, path));
        paths.into_iter().find(is_own)
    }

    /// Values that parse but cannot be meant.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.overflow == Overflow::Deny && !self.enabled {
            let why = "`deny` allows nothing that is not recorded: it needs `enabled: true`";
            problems.push(("decision_log.overflow", why.to_owned()));
        }
        for text in self.mask.iter().filter(|text| is_pointer(text)) {
            if let Err(why) = Pointer::parse(text) {
                problems.push(("decision_log.mask", format!("`{text}` {why}")));
            }
        }
        if self.sample.len() > sampling::MAX_RULES {
            let why = format!("more than {} rules", sampling::MAX_RULES);
            problems.push(("decision_log.sample", why));
        }
        for rule in &self.sample {
            if !(0.0..=1.0).contains(&rule.ratio) {
                let why = format!("ratio {} is not between 0 and 1", rule.ratio);
                problems.push(("decision_log.sample", why));
            }
        }
        problems
    }
}

/// Whether an entry of `mask` is a pointer and no name.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/')
}

impl<S> From<&Config<S>> for LogSettings {
    fn from(config: &Config<S>) -> Self {
        let (pointers, names): (Vec<_>, Vec<_>) = config
            .mask
            .iter()
            .cloned()
            .partition(|text| is_pointer(text));
        let pointers = pointers.iter().filter_map(|text| Pointer::parse(text).ok());
        let rules = RecordRules::at(&config.mask_decision, &config.drop_decision);
        Self {
            scope: Scope {
                detail: config.detail,
                pointers: pointers.collect(),
                rules: Arc::new(rules),
            },
            sample: config.sample.clone(),
            enabled: config.enabled,
            retention: config.retention.0,
            max_bytes: config.max_bytes.0,
            mask: Mask::new(&names),
            overflow: config.overflow,
            outlets: Vec::new(),
            tracing: None,
        }
    }
}

/// Whether anything is recorded, how long and how much is kept.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub enabled: bool,
    pub retention: Duration,
    pub max_bytes: u64,
    pub mask: Mask,
    pub scope: Scope,
    pub sample: Vec<Sampling>,
    pub overflow: Overflow,
    /// Who takes records beside the store.
    pub outlets: Vec<Arc<dyn Outlet>>,
    /// Also where nothing is recorded.
    pub tracing: Option<Tracing>,
}

/// Takes records. Cheap to clone; without a log behind it everything is discarded uncounted.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    queue: Option<Arc<Queue>>,
}

/// The running log.
#[derive(Debug)]
pub struct DecisionLog {
    queue: Arc<Queue>,
    /// Whether anything is to be taken.
    takes: bool,
    store: Arc<LogStore>,
    readers: Arc<LogReaders>,
    writer: Option<JoinHandle<()>>,
    noter: Option<Noter>,
}

/// Opens the log's file, or a new one in place of one that is no such file any more.
fn open(path: &Path, damage: &Damage) -> anyhow::Result<LogStore> {
    LogStore::open(path).or_else(|error| match error.downcast_ref() {
        Some(why) if is_beyond_use(why) => {
            damage.of_all(&set_aside(path)?);
            LogStore::open_anew(path)
        }
        _ => Err(error),
    })
}

/// Tells what a crash of the process before has cost.
fn tell(resumed: &Resumed, metrics: &Metrics) {
    let Some(crash) = resumed.crash else { return };
    metrics.log.lost_in_crash.set(crash.lost);
    let last = crash.first.saturating_add(crash.lost).saturating_sub(1);
    let next = resumed.next_seq;
    match crash.lost {
        0 => tracing::warn!(next, "the process before this one ended without notice"),
        lost => tracing::warn!(
            lost,
            crash.first,
            last,
            next,
            "the process before this one ended without notice: decisions with these numbers are not \
             recorded"
        ),
    }
    if crash.of_machine {
        tracing::warn!("so did the machine, whose disk may lack more than that");
    }
}

// === impl Recorder ===

impl Recorder {
    /// Whether checks are traced.
    pub fn is_tracing(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_tracing())
    }

    /// Hands a record over, or tells what else becomes of it. Never waits.
    pub fn record(&self, record: &Record<'_>) -> Recorded {
        match &self.queue {
            Some(queue) => queue.push(record),
            None => Recorded::Settled,
        }
    }
}

// === impl DecisionLog ===

impl DecisionLog {
    /// Opens the log's file and starts its thread: also where nothing is to be recorded, what is old
    /// has to go.
    pub fn start(
        path: &Path,
        settings: LogSettings,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let damage = Damage::counted_by(Arc::clone(&metrics));
        let opened = open(path, &damage).and_then(|mut store| {
            let resumed = store.resume(path)?;
            Ok((store, resumed))
        });
        let (store, resumed) = opened
            .with_context(|| format!("the decision log {} cannot be opened", path.display()))?;
        tell(&resumed, &metrics);
        let store = Arc::new(store.noting(Arc::clone(&damage)));
        let readers = Arc::new(LogReaders::noting(path, damage));
        let enabled = settings.enabled;
        let takes = enabled || settings.tracing.is_some();
        let queue = Arc::new(Queue::new(resumed.next_seq, &settings, metrics));
        let (writer_queue, writer_store) = (Arc::clone(&queue), Arc::clone(&store));
        let writer = std::thread::Builder::new()
            .name("decision-log".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let work = || Writer::new(&writer_queue, settings.clone(), &writer_store).run();
                writer::guarded(&writer_queue, MAX_PANICS, work);
                let next = writer_queue.next_seq();
                writer_store.has_given(next);
                writer_store.has_settled(next);
            })?;
        let noter = enabled.then(|| Noter::start(&queue, &store)).transpose()?;
        Ok(Self {
            queue,
            takes,
            store,
            readers,
            writer: Some(writer),
            noter,
        })
    }

    pub fn recorder(&self) -> Recorder {
        let queue = self.takes.then(|| Arc::clone(&self.queue));
        Recorder { queue }
    }

    /// Where queries are answered.
    pub fn readers(&self) -> Arc<LogReaders> {
        Arc::clone(&self.readers)
    }

    /// What those begin with who follow what is stored.
    pub fn followers(&self) -> Followers {
        Followers::new(self.readers(), self.queue.settled())
    }

    /// Stores what is queued and ends the thread.
    pub fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.queue.end();
            if writer.join().is_err() {
                tracing::error!("the decision log thread panicked");
            }
            self.noter.take().into_iter().for_each(Noter::stop);
            self.store.close(self.queue.next_seq());
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.stop();
    }
}
