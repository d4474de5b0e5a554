//! What decisions are grouped by, and a group's name: its values one after the other, those of the
//! verdict first, which many records have in common.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::decision::Effect;
use crate::decision_log::block::{Stored, StoredVerdict};
use crate::decision_log::facts::Facts;
use crate::decision_log::fields::{Fields, put_optional};
use crate::decision_log::membership::segments;

/// Something that decisions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GroupBy {
    // Of the verdict, and so of the effect.
    Effect,
    Policy,
    Principal,
    RequestPrincipal,
    ReasonKind,
    Status,
    Workload,
    // Of the record.
    Host,
    Path,
    PathPrefix,
    Revision,
    Cached,
}

const NAMES: [(&str, GroupBy); 12] = [
    ("effect", GroupBy::Effect),
    ("policy", GroupBy::Policy),
    ("principal", GroupBy::Principal),
    ("request_principal", GroupBy::RequestPrincipal),
    ("reason_kind", GroupBy::ReasonKind),
    ("status", GroupBy::Status),
    ("workload", GroupBy::Workload),
    ("host", GroupBy::Host),
    ("path", GroupBy::Path),
    ("path_prefix", GroupBy::PathPrefix),
    ("revision", GroupBy::Revision),
    ("cached", GroupBy::Cached),
];

impl FromStr for GroupBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, it)| *it).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join("`, `");
            format!("must be some of `{names}`, with commas between them")
        })
    }
}

impl GroupBy {
    fn name(self) -> &'static str {
        let known = NAMES.iter().find(|(_, it)| *it == self);
        known.map_or("", |(name, _)| name)
    }

    fn is_of_verdict(self) -> bool {
        self <= Self::Workload
    }
}

/// How groups are named.
#[derive(Debug)]
pub(in crate::decision_log) struct Keys {
    /// In order, those of the verdict first.
    all: Vec<GroupBy>,
}

/// The first parts of names of groups, by the numbers of their block's verdicts.
#[derive(Debug, Default)]
pub(in crate::decision_log) struct VerdictKeys(Vec<Option<Box<[u8]>>>);

impl Keys {
    pub(super) fn of(mut all: Vec<GroupBy>) -> Self {
        all.sort_unstable();
        Self { all }
    }

    /// Whether all records of an effect are one group.
    pub(in crate::decision_log) fn are_of_effect_alone(&self) -> bool {
        self.all == [GroupBy::Effect]
    }

    /// The name of the group of an effect.
    pub(in crate::decision_log) fn of_effect(effect: Effect) -> Vec<u8> {
        let mut key = Vec::new();
        put_optional(&mut key, Some(effect.as_str().as_bytes()));
        key
    }

    /// Writes the name of a record's group.
    pub(in crate::decision_log) fn put(
        &self,
        key: &mut Vec<u8>,
        effect: Effect,
        record: &Stored<'_>,
        known: &mut VerdictKeys,
    ) {
        key.clear();
        let number = record.verdict_number;
        if known.0.len() <= number {
            known.0.resize(number + 1, None);
        }
        match known.0.get_mut(number) {
            Some(Some(known)) => key.extend_from_slice(known),
            known => {
                self.put_verdict(key, effect, &record.verdict);
                if let Some(known) = known {
                    *known = Some(key.as_slice().into());
                }
            }
        }
        for by in &self.all {
            let text: Option<Cow<'_, str>> = match by {
                GroupBy::Host => record.host.map(Cow::Borrowed),
                GroupBy::Path => record.path.map(Cow::Borrowed),
                GroupBy::PathPrefix => record.path.map(prefix),
                GroupBy::Revision => Some(record.revision.to_string().into()),
                GroupBy::Cached => Some(record.cached.to_string().into()),
                _ => continue,
            };
            put_optional(key, text.as_deref().map(str::as_bytes));
        }
    }

    fn put_verdict(&self, key: &mut Vec<u8>, effect: Effect, verdict: &StoredVerdict<'_>) {
        let is_of_facts = |by: &GroupBy| {
            matches!(
                by,
                GroupBy::ReasonKind | GroupBy::Status | GroupBy::Workload
            )
        };
        let facts = match self.all.iter().any(is_of_facts) {
            true => Facts::of(verdict.shown),
            false => Facts::default(),
        };
        let of_verdict = self.all.iter().filter(|by| by.is_of_verdict());
        for by in of_verdict {
            let text: Option<Cow<'_, str>> = match by {
                GroupBy::Effect => Some(effect.as_str().into()),
                GroupBy::Policy => verdict.policy.map(Cow::Borrowed),
                GroupBy::Principal => verdict.principal.map(Cow::Borrowed),
                GroupBy::RequestPrincipal => verdict.request_principal.map(Cow::Borrowed),
                GroupBy::ReasonKind => {
                    let kind = &*facts.reason.kind;
                    (!kind.is_empty()).then_some(kind.into())
                }
                GroupBy::Status => facts.status.map(|status| status.to_string().into()),
                GroupBy::Workload => facts.workload.shown().map(Cow::Owned),
                _ => None,
            };
            put_optional(key, text.as_deref().map(str::as_bytes));
        }
    }

    /// The name of a group as it is shown. `None` if it is none.
    pub(super) fn shown(&self, key: &[u8]) -> Option<Map<String, Value>> {
        let mut fields = Fields::of(key);
        let values = self.all.iter().map(|by| {
            let text = fields.optional_text()?;
            let value = match (by, text) {
                (_, None) => Value::Null,
                (GroupBy::Status | GroupBy::Revision, Some(text)) => {
                    text.parse::<i64>().ok()?.into()
                }
                (GroupBy::Cached, Some(text)) => text.parse::<bool>().ok()?.into(),
                (_, Some(text)) => text.into(),
            };
            Some((by.name().to_owned(), value))
        });
        values.collect()
    }
}

/// The first segments of a path as a question names all paths below them: one or two, but not the last.
fn prefix(path: &str) -> Cow<'_, str> {
    match segments(path).last() {
        Some(segments) => format!("{segments}/*").into(),
        None => path.into(),
    }
}
