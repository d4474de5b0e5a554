//! What a replay has found: counts, and groups of decisions that would change in the same way, with
//! examples. It shows nothing of a request but what its record does, masked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use crate::decision::{Decision, Effect, ReasonKind};
use crate::decision_log::{Filter, workload_name};
use crate::pdp::Undecided;
use crate::shadow::{Compared, Difference};

/// Groups that are told apart, those that are shown, and examples of each.
const MAX_COUNTED: usize = 1_000;
const MAX_GROUPS: usize = 100;
const MAX_EXAMPLES: usize = 3;
/// Longest text of an example, in characters.
const MAX_TEXT: usize = 256;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of the policies in force that were compared with.
    pub revision: u64,
    pub since: Option<String>,
    pub until: Option<String>,
    /// Decisions that were looked at: those that stay the same, those that change, and those of which
    /// it cannot be told.
    pub examined: u64,
    pub same: u64,
    pub changed: Changes,
    pub undetermined: Counted<Unknown>,
    /// Of those that can be told: decided otherwise by the policies in force than they were.
    pub drifted: u64,
    /// The largest first.
    pub groups: Vec<Group>,
    /// Changes that are in none of these groups.
    pub ungrouped: u64,
    /// Whether all that was asked for was looked at.
    pub complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// The time of the oldest decision that the log has: it tells nothing of what was before.
    pub oldest: Option<String>,
    /// What the log may not have any more of what was asked for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<Missing>,
    /// Where it goes on.
    pub next_cursor: Option<String>,
    #[serde(skip)]
    counting: HashMap<Key, Group>,
}

/// Why not all was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// There are more than were asked for.
    Limit,
    Time,
}

/// Why decisions that were recorded are not there to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Blocks of the log are damaged.
    Damaged,
    /// They were too old, or too many.
    Removed,
}

/// Changes of replies, by kind.
pub type Changes = Counted<Changed>;

/// How a reply changes. That of an evaluation which fails is `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Changed(&'static str);

/// How many there are of each, and of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T: Ord> {
    pub total: u64,
    pub each: BTreeMap<T, u64>,
}

/// Why it cannot be told what becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// The record is a summary.
    NoInput,
    /// It should have an input, which was too large to be kept.
    TooLarge,
    /// There was no time to keep it.
    Busy,
    /// It was recorded before a bundle had come that may say what is masked.
    BundleMissing,
    /// What masks it failed, and took it away.
    MaskError,
    /// It is of a form that cannot be read back.
    Unreadable,
    /// Policies read what is masked.
    Masked,
    /// Policies ask others.
    External,
    /// Policies read random numbers.
    Random,
    /// A fault of ours.
    Failed,
}

/// What came of one record.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) now: Arc<Decision>,
    pub(super) candidate: Arc<Decision>,
    pub(super) difference: Difference,
    pub(super) has_drifted: bool,
}

/// Decisions that change in the same way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub result: &'static str,
    pub now: Side,
    pub candidate: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    pub count: u64,
    /// The newest of them.
    pub examples: Vec<Map<String, Value>>,
}

/// What is decided, and why, in words that no request has a part in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Side {
    pub effect: Effect,
    pub status: u16,
    pub reason: ReasonKind,
    /// The native policy or Rego entrypoint that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key(Changed, Side, Side, Option<String>);

// === impl Report ===

impl Report {
    pub(super) fn under(revision: u64, filter: &Filter) -> Self {
        Self {
            revision,
            since: filter.since.clone(),
            until: filter.until.clone(),
            examined: 0,
            same: 0,
            changed: Counted::default(),
            undetermined: Counted::default(),
            drifted: 0,
            groups: Vec::new(),
            ungrouped: 0,
            complete: true,
            stopped: None,
            oldest: None,
            missing: BTreeSet::new(),
            next_cursor: None,
            counting: HashMap::new(),
        }
    }

    /// How many decisions could be told.
    pub fn replayed(&self) -> u64 {
        self.same.saturating_add(self.changed.total)
    }

    pub(super) fn add(&mut self, record: &Value, found: Result<Finding, Unknown>) {
        self.examined += 1;
        let finding = match found {
            Ok(finding) => finding,
            Err(why) => return self.undetermined.add(why),
        };
        self.drifted += u64::from(finding.has_drifted);
        // Rule: an evaluation that fails is no change where the reply is the same.
        if !finding.difference.changed {
            self.same += 1;
            return;
        }
        let changed = Changed::by(finding.difference.result);
        self.changed.add(changed);
        let (now, candidate) = (Side::of(&finding.now), Side::of(&finding.candidate));
        let workload = workload_name(record).map(|name| cut(&name));
        let key = Key(changed, now, candidate, workload);
        if !self.counting.contains_key(&key) && self.counting.len() >= MAX_COUNTED {
            self.ungrouped += 1;
            return;
        }
        let group = self.counting.entry(key.clone());
        let group = group.or_insert_with(|| Group::of(key));
        group.count += 1;
        if group.examples.len() < MAX_EXAMPLES {
            group.examples.push(example(record));
        }
    }

    /// The log may not have all that was asked for.
    pub(super) fn misses(&mut self, why: Missing) {
        self.missing.insert(why);
        self.complete = false;
    }

    /// It ends before all was looked at.
    pub(super) fn stopped(mut self, why: Stopped, next: Option<String>) -> Self {
        self.complete = false;
        self.stopped = Some(why);
        self.next_cursor = next;
        self.finish()
    }

    pub(super) fn finish(mut self) -> Self {
        let mut groups: Vec<_> = std::mem::take(&mut self.counting).into_values().collect();
        groups.sort_by(|left, right| {
            let key = |group: &Group| (group.result, group.workload.clone());
            let by_count = right.count.cmp(&left.count);
            by_count.then_with(|| key(left).cmp(&key(right)))
        });
        let rest = groups.split_off(groups.len().min(MAX_GROUPS));
        self.ungrouped += rest.iter().map(|group| group.count).sum::<u64>();
        self.groups = groups;
        self
    }
}

/// What a record shows of its request in a line.
fn example(record: &Value) -> Map<String, Value> {
    let shown = [
        ("decision_id", "/decision_id"),
        ("time", "/time"),
        ("method", "/request/method"),
        ("host", "/request/host"),
        ("path", "/request/path"),
        ("peer_principal", "/peer_principal"),
        ("request_principal", "/request_principal"),
    ];
    let shown = shown.into_iter().filter_map(|(name, pointer)| {
        let text = record.pointer(pointer)?.as_str()?;
        Some((name.to_owned(), cut(text).into()))
    });
    shown.collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

// === impl Group ===

impl Group {
    fn of(Key(changed, now, candidate, workload): Key) -> Self {
        Self {
            result: changed.0,
            now,
            candidate,
            workload,
            count: 0,
            examples: Vec::new(),
        }
    }
}

// === impl Side ===

impl Side {
    fn of(decision: &Decision) -> Self {
        let reason = &decision.reason;
        Self {
            effect: decision.effect(),
            status: decision.status(),
            reason: reason.kind,
            policy: reason.decided_by().cloned(),
            rule: reason.rule,
        }
    }
}

// === impl Counted ===

impl<T: Ord> Default for Counted<T> {
    fn default() -> Self {
        Self {
            total: 0,
            each: BTreeMap::new(),
        }
    }
}

impl<T: Ord> Counted<T> {
    fn add(&mut self, one: T) {
        self.total += 1;
        *self.each.entry(one).or_default() += 1;
    }
}

/// `{"total": 2, "masked": 2}`.
impl<T: Ord + Named> Serialize for Counted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(self.each.len() + 1))?;
        members.serialize_entry("total", &self.total)?;
        for (one, count) in &self.each {
            members.serialize_entry(one.name(), count)?;
        }
        members.end()
    }
}

/// What has a name in the answer.
pub trait Named {
    fn name(&self) -> &'static str;
}

impl Named for Changed {
    fn name(&self) -> &'static str {
        self.0
    }
}

impl Changed {
    fn by(result: Compared) -> Self {
        Self(result.as_str())
    }
}

// === impl Unknown ===

impl Unknown {
    /// As the log says it.
    pub(super) fn omitted(why: &str) -> Self {
        match why {
            "too_large" => Self::TooLarge,
            "busy" => Self::Busy,
            "bundle_missing" => Self::BundleMissing,
            _ => Self::MaskError,
        }
    }
}

impl Named for Unknown {
    fn name(&self) -> &'static str {
        match self {
            Self::NoInput => "no_input",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::BundleMissing => "bundle_missing",
            Self::MaskError => "mask_error",
            Self::Unreadable => "unreadable",
            Self::Masked => "masked",
            Self::External => "external",
            Self::Random => "random",
            Self::Failed => "failed",
        }
    }
}

impl From<Undecided> for Unknown {
    fn from(why: Undecided) -> Self {
        match why {
            Undecided::Hidden => Self::Masked,
            Undecided::External => Self::External,
            Undecided::Random => Self::Random,
        }
    }
}
