//! Counts of decisions: what they can be grouped by, and the table that they are counted in. Which
//! blocks are read for that is the business of `store/summing.rs`.

mod group;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::query::{Filter, QueryError, Wanted, duration, parameter};
use group::GroupBy;
pub(super) use group::{Keys, VerdictKeys};

/// Groups that are shown unless more are asked for, and how many at most.
const DEFAULT_GROUPS: u32 = 100;
const MAX_GROUPS: u32 = 1_000;
/// Most groups that are told apart while counting, and most memory their names may take, in bytes.
const MAX_COUNTED: usize = 10_000;
const MAX_NAMES: usize = 8 << 20;
/// Most spans of time, and most numbers of all groups together.
const MAX_BUCKETS: i64 = 1_000;
const MAX_CELLS: usize = 200_000;
/// Most names to group by.
const MAX_GROUP_BY: usize = 4;

/// Parameters of `GET /v1/decisions/summary` as they are written.
#[derive(Debug, Clone, Default)]
pub struct SummaryOf {
    pub filter: Filter,
    /// Names, with commas between them; `effect` unless given.
    pub group_by: Option<String>,
    /// Length of the spans of time that are counted apart.
    pub bucket: Option<String>,
    /// How many groups to show; all others are one.
    pub limit: Option<u32>,
}

/// How many decisions there are of each group, the largest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub total: u64,
    pub groups: Vec<Group>,
    pub other: Other,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Buckets>,
    /// Whether all that was asked for is counted.
    pub complete: bool,
    /// If not: all from this time on is, and of what is older a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_since: Option<Timestamp>,
}

/// Decisions that have what they are grouped by in common; what they lack is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub key: Map<String, Value>,
    pub count: u64,
    /// In each span of time, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<u64>,
}

/// Decisions of all groups that are not shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Other {
    pub count: u64,
    /// How many groups these are; `null` if there were too many to tell them apart.
    pub groups: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<u64>,
}

/// Spans of time, all of the same length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Buckets {
    pub start: Timestamp,
    pub seconds: i64,
    pub count: i64,
}

/// A summary under construction.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) wanted: Wanted,
    pub(super) keys: Keys,
    buckets: Option<Buckets>,
    limit: usize,
    numbers: HashMap<Box<[u8]>, usize>,
    names: usize,
    groups: Vec<Counts>,
    other: Counts,
    /// Whether there was a group for which there was no place.
    is_full: bool,
    max_counted: usize,
}

/// Of one group: all together, and of each span of time.
#[derive(Debug, Clone, Default)]
struct Counts {
    count: u64,
    counts: Vec<u64>,
}

// === impl SummaryOf ===

impl SummaryOf {
    pub(super) fn counting(&self, now: Timestamp) -> Result<Counting, QueryError> {
        let limit = self.limit.unwrap_or(DEFAULT_GROUPS);
        if !(1..=MAX_GROUPS).contains(&limit) {
            let why = format!("must be from 1 to {MAX_GROUPS}");
            return Err(parameter("limit", why));
        }
        if self.filter.cursor.is_some() {
            return Err(parameter("cursor", "a summary has no pages"));
        }
        let mut wanted = self.filter.wanted(now)?;
        let buckets = self.buckets(&mut wanted, now)?;
        let spans = buckets.map_or(0, |buckets| usize::try_from(buckets.count).unwrap_or(0));
        Ok(Counting {
            wanted,
            keys: Keys::of(self.group_by()?),
            buckets,
            limit: limit as usize,
            numbers: HashMap::new(),
            names: 0,
            groups: Vec::new(),
            other: Counts::of(spans),
            is_full: false,
            max_counted: MAX_COUNTED.min(MAX_CELLS / spans.max(1)),
        })
    }

    fn group_by(&self) -> Result<Vec<GroupBy>, QueryError> {
        let names = self.group_by.as_deref().unwrap_or("effect").split(',');
        let names: Result<Vec<GroupBy>, _> = names.map(str::parse).collect();
        let names = names.map_err(|why| parameter("group_by", why))?;
        let is_twice = |name| names.iter().filter(|it| *it == name).count() > 1;
        if names.len() > MAX_GROUP_BY || names.iter().any(is_twice) {
            let why = format!("must be up to {MAX_GROUP_BY} names, each once");
            return Err(parameter("group_by", why));
        }
        Ok(names)
    }

    /// Spans of time from `since` to `until`. Rule: they begin at multiples of their length, so that
    /// those of two summaries are the same.
    fn buckets(&self, wanted: &mut Wanted, now: Timestamp) -> Result<Option<Buckets>, QueryError> {
        let Some(text) = &self.bucket else {
            return Ok(None);
        };
        let failed = |why: &str| parameter("bucket", why);
        let seconds = duration(text).map(|it| it.as_secs()).filter(|it| *it > 0);
        let seconds = seconds.ok_or_else(|| failed("is no duration such as `5m`"))?;
        if self.filter.since.is_none() {
            return Err(failed("needs `since`, where the first one begins"));
        }
        let now = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        let until = *wanted.until.get_or_insert(now);
        let first = wanted.since.div_euclid(NANOS).div_euclid(seconds);
        let last = until
            .saturating_sub(1)
            .div_euclid(NANOS)
            .div_euclid(seconds);
        let count = (last - first + 1).max(1);
        if count > MAX_BUCKETS {
            return Err(parameter(
                "bucket",
                format!("makes {count} of them, and {MAX_BUCKETS} are the most"),
            ));
        }
        let start = first.checked_mul(seconds).map(Timestamp::from_second);
        Ok(Some(Buckets {
            start: start
                .and_then(Result::ok)
                .ok_or_else(|| failed("is too long"))?,
            seconds,
            count,
        }))
    }
}

const NANOS: i64 = 1_000_000_000;

// === impl Counting ===

impl Counting {
    /// The span that a time is in; 0 where there are none.
    fn span(&self, time_ns: i64) -> usize {
        let span = self.buckets.map(|buckets| {
            let since = time_ns.div_euclid(NANOS) - buckets.start.as_second();
            since
                .div_euclid(buckets.seconds)
                .clamp(0, buckets.count - 1)
        });
        span.and_then(|span| usize::try_from(span).ok())
            .unwrap_or(0)
    }

    /// Whether two times are counted together.
    pub(super) fn are_together(&self, first_ns: i64, last_ns: i64) -> bool {
        self.span(first_ns) == self.span(last_ns)
    }

    /// Counts decisions of a time, under the key of their group.
    pub(super) fn add(&mut self, key: &[u8], time_ns: i64, count: u64) {
        let span = self.span(time_ns);
        let counts = match self.number_of(key).and_then(|it| self.groups.get_mut(it)) {
            Some(counts) => counts,
            None => &mut self.other,
        };
        counts.count += count;
        if let Some(of_span) = counts.counts.get_mut(span) {
            *of_span += count;
        }
    }

    /// A group's number, which is its from the first decision on: so what is counted of it is all.
    fn number_of(&mut self, key: &[u8]) -> Option<usize> {
        if let Some(number) = self.numbers.get(key) {
            return Some(*number);
        }
        if self.groups.len() >= self.max_counted || self.names + key.len() > MAX_NAMES {
            self.is_full = true;
            return None;
        }
        let number = self.groups.len();
        self.names += key.len();
        self.numbers.insert(key.into(), number);
        self.groups.push(Counts::of(self.other.counts.len()));
        Some(number)
    }

    /// What was counted; if not all was, from which time on it is.
    pub(super) fn finish(mut self, complete_since: Option<Timestamp>) -> Summary {
        let mut groups: Vec<(Map<String, Value>, Counts)> = std::mem::take(&mut self.numbers)
            .into_iter()
            .filter_map(|(key, number)| {
                let counts = self.groups.get_mut(number).map(std::mem::take)?;
                Some((self.keys.shown(&key)?, counts))
            })
            .collect();
        let in_order = |(key, counts): &(Map<String, Value>, Counts)| {
            (
                std::cmp::Reverse(counts.count),
                Value::from(key.clone()).to_string(),
            )
        };
        groups.sort_by_cached_key(in_order);
        let rest = groups.split_off(groups.len().min(self.limit));
        let unshown = rest.len() as u64;
        for (_, counts) in rest {
            self.other.add(&counts);
        }
        let shown: u64 = groups.iter().map(|(_, counts)| counts.count).sum();
        let groups = groups.into_iter().map(|(key, counts)| Group {
            key,
            count: counts.count,
            counts: counts.counts,
        });
        Summary {
            total: shown + self.other.count,
            groups: groups.collect(),
            other: Other {
                count: self.other.count,
                groups: (!self.is_full).then_some(unshown),
                counts: self.other.counts,
            },
            buckets: self.buckets,
            complete: complete_since.is_none(),
            complete_since,
        }
    }
}

impl Counts {
    fn of(spans: usize) -> Self {
        Self {
            count: 0,
            counts: vec![0; spans],
        }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }
}
