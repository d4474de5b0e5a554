//! A block under construction: records are appended to its sections as they come.

use std::collections::HashMap;

use super::records::TraceBytes;
use super::{
    About, Block, CACHED, FULL, MAX_RECORDS, MAX_SPAN_NS, SHADOW_CHANGED, SHADOW_SAME, Section,
    compressed, sealed,
};
use crate::decision::Effect;
use crate::decision_log::Shadowed;
use crate::decision_log::details::method_of;
use crate::decision_log::entry::{Entry, Verdict};
use crate::decision_log::facts::Facts;
use crate::decision_log::fields::{put_bytes, put_number, put_optional, put_signed};
use crate::decision_log::membership::{Kind, digest, filter, of_status, segments};
use crate::decision_log::query::digests_of_workload;

/// Largest record that is stored, in bytes.
const MAX_ENTRY: usize = 8 << 20;

/// A block under construction.
#[derive(Debug)]
pub(in crate::decision_log) struct Builder {
    about: About,
    index: Vec<u8>,
    details: Vec<u8>,
    digests: Vec<u64>,
    verdicts: HashMap<Box<[u8]>, u64>,
    verdict: Vec<u8>,
    last: Last,
}

/// What the record before had.
#[derive(Debug, Default)]
struct Last {
    seq: i64,
    time_ns: i64,
    revision: i64,
    verdict: Vec<u8>,
    verdict_number: u64,
    host: Option<String>,
    path: Option<String>,
    method: Option<String>,
    /// Digests of what its verdict says.
    facts: Vec<u64>,
}

// === impl Builder ===

impl Builder {
    pub(in crate::decision_log) fn new(effect: Effect) -> Self {
        Self {
            about: About::nothing(effect),
            index: Vec::new(),
            details: Vec::new(),
            digests: Vec::new(),
            verdicts: HashMap::new(),
            verdict: Vec::new(),
            last: Last::default(),
        }
    }

    pub(in crate::decision_log) fn effect(&self) -> Effect {
        self.about.effect
    }

    fn is_empty(&self) -> bool {
        self.about.count == 0
    }

    /// Whether a record of this time still belongs here.
    pub(in crate::decision_log) fn has_room(&self, time_ns: i64) -> bool {
        let mut time = self.about.time_ns;
        time.include(time_ns);
        self.is_empty()
            || self.digests.len() < 16 * MAX_RECORDS
                && self.about.count < MAX_RECORDS as i64
                && self.raw_bytes() < FULL
                && time.last.abs_diff(time.first) <= MAX_SPAN_NS
    }

    fn raw_bytes(&self) -> usize {
        self.index.len().max(self.details.len())
    }

    /// Adds a record whose number is above those before. `false` if it is too large to be kept.
    pub(in crate::decision_log) fn push(&mut self, entry: &Entry<'_>) -> bool {
        self.verdict.clear();
        put_verdict(&mut self.verdict, entry.verdict);
        let texts = [entry.host, entry.path].into_iter().flatten();
        let size = self.verdict.len() + texts.map(str::len).sum::<usize>() + entry.details.len();
        if size > MAX_ENTRY {
            return false;
        }
        let revision = i64::try_from(entry.revision).unwrap_or(i64::MAX);
        self.about.include(entry.seq, entry.time_ns, revision);
        put_signed(&mut self.index, entry.seq.wrapping_sub(self.last.seq));
        put_signed(
            &mut self.index,
            entry.time_ns.wrapping_sub(self.last.time_ns),
        );
        put_signed(&mut self.index, revision.wrapping_sub(self.last.revision));
        self.last.seq = entry.seq;
        self.last.time_ns = entry.time_ns;
        self.last.revision = revision;
        self.index.extend_from_slice(entry.id.as_bytes());
        let trace = entry.trace_id.map(TraceBytes::of);
        let flag = trace.as_ref().map_or(0, TraceBytes::flag);
        let cached = if entry.cached { CACHED } else { 0 };
        self.index
            .push(flag | cached | entry.shadow.map_or(0, shadow_flag));
        self.put_verdict_number(entry.verdict);
        put_optional(&mut self.index, entry.host.map(str::as_bytes));
        put_optional(&mut self.index, entry.path.map(str::as_bytes));
        if let (Some(trace), Some(text)) = (trace, entry.trace_id) {
            match trace {
                TraceBytes::Hex(bytes) => self.index.extend_from_slice(&bytes),
                TraceBytes::Other => put_bytes(&mut self.index, text.as_bytes()),
            }
            self.digests.push(digest(Kind::Trace, text.as_bytes()));
        }
        self.digests.push(digest(Kind::Id, entry.id.as_bytes()));
        if let Some(shadow) = entry.shadow {
            self.digests
                .push(digest(Kind::Shadow, shadow.as_str().as_bytes()));
        }
        self.note_place(entry);
        put_number(&mut self.index, entry.details.len() as u64);
        self.details.extend_from_slice(entry.details);
        true
    }

    fn put_verdict_number(&mut self, verdict: &Verdict) {
        if !self.verdicts.is_empty() && self.last.verdict == self.verdict {
            put_number(&mut self.index, self.last.verdict_number);
            return;
        }
        let next = self.verdicts.len() as u64;
        let number = match self.verdicts.get(self.verdict.as_slice()) {
            Some(number) => *number,
            None => next,
        };
        put_number(&mut self.index, number);
        if number == next {
            self.index.extend_from_slice(&self.verdict);
            self.verdicts.insert(self.verdict.as_slice().into(), next);
            let values = [
                (Kind::Policy, &verdict.policy),
                (Kind::Principal, &verdict.principal),
                (Kind::RequestPrincipal, &verdict.request_principal),
            ];
            for (kind, value) in values {
                let value = value.as_ref();
                self.digests
                    .extend(value.map(|value| digest(kind, value.as_bytes())));
            }
            self.note_facts(&Facts::of(&verdict.shown));
        }
        self.last.verdict_number = number;
        self.last.verdict.clone_from(&self.verdict);
    }

    fn note_facts(&mut self, facts: &Facts<'_>) {
        let mut digests = digests_of_workload(&facts.workload);
        digests.push(digest(Kind::Reason, facts.reason.kind.as_bytes()));
        digests.extend(facts.status.map(of_status));
        if digests != self.last.facts {
            self.digests.extend(&digests);
            self.last.facts = digests;
        }
    }

    fn note_place(&mut self, entry: &Entry<'_>) {
        if let Some(host) = entry.host
            && self.last.host.as_deref() != Some(host)
        {
            self.digests.push(digest(Kind::Host, host.as_bytes()));
            host.clone_into(self.last.host.get_or_insert_default());
        }
        if let Some(path) = entry.path
            && self.last.path.as_deref() != Some(path)
        {
            self.digests.push(digest(Kind::Path, path.as_bytes()));
            let segments = segments(path);
            self.digests
                .extend(segments.map(|whole| digest(Kind::Segments, whole.as_bytes())));
            path.clone_into(self.last.path.get_or_insert_default());
        }
        if let Some(method) = method_of(entry.details)
            && self.last.method.as_deref() != Some(&*method)
        {
            self.digests.push(digest(Kind::Method, method.as_bytes()));
            self.last.method = Some(method.into_owned());
        }
    }

    /// The block of what was added, if anything was; begins the next.
    pub(in crate::decision_log) fn finish(&mut self) -> Option<Block> {
        if self.is_empty() {
            return None;
        }
        let about = About {
            raw_bytes: i64::try_from(self.raw_bytes()).unwrap_or(i64::MAX),
            ..self.about
        };
        let block = about.seq.last;
        let block = Block {
            about,
            members: sealed(Section::Members, block, filter(&mut self.digests)),
            index: sealed(Section::Index, block, compressed(&self.index)),
            details: sealed(Section::Details, block, compressed(&self.details)),
        };
        self.about = About::nothing(about.effect);
        self.index.clear();
        self.details.clear();
        self.digests.clear();
        self.verdicts.clear();
        self.last = Last::default();
        Some(block)
    }
}

fn shadow_flag(shadow: Shadowed) -> u8 {
    match shadow {
        Shadowed::Same => SHADOW_SAME,
        Shadowed::Changed => SHADOW_CHANGED,
    }
}

fn put_verdict(buffer: &mut Vec<u8>, verdict: &Verdict) {
    let texts = [
        &verdict.policy,
        &verdict.principal,
        &verdict.request_principal,
    ];
    for text in texts {
        put_optional(buffer, text.as_ref().map(String::as_bytes));
    }
    put_bytes(buffer, verdict.shown.as_bytes());
}
