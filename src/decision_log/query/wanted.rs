//! What a question asks for, as it is held against blocks and records.

use uuid::Uuid;

use super::workload::WantedWorkload;
use crate::decision::{Effect, ReasonKind};
use crate::decision_log::Shadowed;
use crate::decision_log::block::{About, Stored, StoredVerdict};
use crate::decision_log::facts::Facts;
use crate::decision_log::membership::{self, Kind, digest};

/// Which records. What is `None` is not asked about.
#[derive(Debug, Clone)]
pub(in crate::decision_log) struct Wanted {
    pub(in crate::decision_log) limit: usize,
    /// Nanoseconds since 1970.
    pub(in crate::decision_log) since: i64,
    /// Not within.
    pub(in crate::decision_log) until: Option<i64>,
    /// Only what has a lower number.
    pub(in crate::decision_log) before: i64,
    pub(super) effect: Option<Effect>,
    pub(super) principal: Option<String>,
    pub(super) request_principal: Option<String>,
    pub(super) path: Option<WantedPath>,
    pub(super) host: Option<String>,
    pub(super) method: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) reason_kind: Option<ReasonKind>,
    /// In lower case.
    pub(super) reason: Option<String>,
    pub(super) workload: Option<WantedWorkload>,
    pub(super) cached: Option<bool>,
    pub(super) revision: Option<i64>,
    pub(super) id: Option<Uuid>,
    pub(super) trace_id: Option<String>,
    pub(super) shadow: Option<Shadowed>,
}

#[derive(Debug, Clone)]
pub(super) enum WantedPath {
    Exact(String),
    Prefix(String),
}

/// Digests of which a block with such a record has every one.
#[derive(Debug)]
pub(in crate::decision_log) struct WantedDigests {
    all: Vec<u64>,
    /// Of values that blocks of earlier versions say nothing about.
    newer: Vec<u64>,
}

impl WantedPath {
    /// Exact, or a prefix when it ends in `*`.
    pub(super) fn of(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }
}

// === impl Wanted ===

impl Wanted {
    /// Whether a block may hold such records, by what it says of itself.
    pub(in crate::decision_log) fn may_be_in(&self, block: &About) -> bool {
        let revision =
            |wanted: i64| block.revision.first <= wanted && wanted <= block.revision.last;
        block.seq.first < self.before
            && block.time_ns.last >= self.since
            && self.until.is_none_or(|until| block.time_ns.first < until)
            && self.effect.is_none_or(|effect| block.effect == effect)
            && self.revision.is_none_or(revision)
    }

    /// Whether all records of a block are asked for, by what it says of itself alone.
    pub(in crate::decision_log) fn is_met_by_all_of(&self, block: &About) -> bool {
        let Self {
            limit: _,
            since,
            until,
            before,
            effect,
            principal: None,
            request_principal: None,
            path: None,
            host: None,
            method: None,
            policy: None,
            status: None,
            reason_kind: None,
            reason: None,
            workload: None,
            cached: None,
            revision,
            id: None,
            trace_id: None,
            shadow: None,
        } = self
        else {
            return false;
        };
        let is_all = |wanted: i64| block.revision.first == wanted && block.revision.last == wanted;
        block.seq.last < *before
            && block.time_ns.first >= *since
            && until.is_none_or(|until| block.time_ns.last < until)
            && effect.is_none_or(|effect| block.effect == effect)
            && revision.is_none_or(is_all)
    }

    pub(in crate::decision_log) fn digests(&self) -> WantedDigests {
        let of_text = |(kind, text): (Kind, &Option<String>)| {
            let text = text.as_ref()?;
            Some(digest(kind, text.as_bytes()))
        };
        let texts = [
            (Kind::Principal, &self.principal),
            (Kind::RequestPrincipal, &self.request_principal),
            (Kind::Host, &self.host),
            (Kind::Policy, &self.policy),
            (Kind::Trace, &self.trace_id),
        ];
        let texts = texts.into_iter().filter_map(of_text);
        let id = self.id.map(|id| digest(Kind::Id, id.as_bytes()));
        let path = self.path.as_ref().and_then(|path| match path {
            WantedPath::Exact(path) => Some(digest(Kind::Path, path.as_bytes())),
            WantedPath::Prefix(prefix) => membership::of_prefix(prefix),
        });
        let status = self.status.map(membership::of_status);
        let kind = self.reason_kind.map(ReasonKind::as_str);
        let kind = kind.map(|kind| digest(Kind::Reason, kind.as_bytes()));
        let workload = self.workload.as_ref().map(WantedWorkload::digest);
        let method = of_text((Kind::Method, &self.method));
        let shadow = self.shadow.map(Shadowed::as_str);
        let shadow = shadow.map(|shadow| digest(Kind::Shadow, shadow.as_bytes()));
        let newer = [status, kind, workload, method];
        WantedDigests {
            // Earlier versions had no shadows.
            all: texts.chain(id).chain(path).chain(shadow).collect(),
            newer: newer.into_iter().flatten().collect(),
        }
    }

    /// Whether a verdict is asked for: the same for all records that share it.
    pub(in crate::decision_log) fn is_met_by_verdict(&self, verdict: &StoredVerdict<'_>) -> bool {
        is(&self.principal, verdict.principal)
            && is(&self.request_principal, verdict.request_principal)
            && is(&self.policy, verdict.policy)
            && (!self.asks_for_facts() || self.is_met_by_facts(&Facts::of(verdict.shown)))
    }

    fn asks_for_facts(&self) -> bool {
        self.status.is_some()
            || self.reason_kind.is_some()
            || self.reason.is_some()
            || self.workload.is_some()
    }

    fn is_met_by_facts(&self, facts: &Facts<'_>) -> bool {
        let reason = &facts.reason;
        let texts = [&reason.kind, &reason.message, &reason.detail];
        let holds = |part: &String| {
            let mut texts = texts.iter().map(|text| text.to_ascii_lowercase());
            texts.any(|text| text.contains(part))
        };
        let workload = |wanted: &WantedWorkload| wanted.is(&facts.workload);
        self.status.is_none_or(|it| facts.status == Some(it))
            && self.reason_kind.is_none_or(|it| it.as_str() == reason.kind)
            && self.reason.as_ref().is_none_or(holds)
            && self.workload.as_ref().is_none_or(workload)
    }

    /// Whether a record is asked for whose effect and verdict are, but for its method.
    pub(in crate::decision_log) fn is_met_by(&self, record: &Stored<'_>) -> bool {
        record.seq < self.before
            && record.time_ns >= self.since
            && self.until.is_none_or(|until| record.time_ns < until)
            && self.revision.is_none_or(|wanted| record.revision == wanted)
            && self.cached.is_none_or(|wanted| record.cached == wanted)
            && self.id.is_none_or(|wanted| record.id == wanted)
            && (self.shadow.is_none() || self.shadow == record.shadow)
            && is(&self.host, record.host)
            && self.is_path(record.path)
            && self
                .trace_id
                .as_deref()
                .is_none_or(|wanted| record.trace.is_some_and(|trace| trace.is(wanted)))
    }

    /// The method that records must have, which is among their details.
    pub(in crate::decision_log) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    fn is_path(&self, path: Option<&str>) -> bool {
        match &self.path {
            None => true,
            Some(WantedPath::Exact(wanted)) => path == Some(wanted),
            Some(WantedPath::Prefix(prefix)) => path.is_some_and(|path| path.starts_with(prefix)),
        }
    }
}

fn is(wanted: &Option<String>, text: Option<&str>) -> bool {
    wanted.is_none() || wanted.as_deref() == text
}

// === impl WantedDigests ===

impl WantedDigests {
    /// Whether a block may hold such records, by its members. `is_newer` tells that these are of this
    /// version.
    pub(in crate::decision_log) fn may_be_among(&self, members: &[u8], is_newer: bool) -> bool {
        let newer = self.newer.iter().filter(|_| is_newer);
        let mut digests = self.all.iter().chain(newer);
        digests.all(|digest| membership::may_hold(members, *digest))
    }
}
