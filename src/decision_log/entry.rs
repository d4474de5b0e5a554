//! From what was handed over to what is stored: secrets masked, texts cut to a length, the verdict
//! written once for all records that share it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::chunk::Head;
use super::details::{Details, put_details};
use super::examiner::{Examined, Findings, examine, failed};
use super::looks::looks_secret;
use super::mask::{MASKED, Mask, Masking};
use super::record::{Asked, Place, PlacePort, REQUEST_ID};
use super::scope::Scope;
use super::shadowed::{self, Shadowed};
use crate::attributes::Pairs;
use crate::decision::{Decision, Effect, Reason};
use crate::policy::native::{Observed, Workload};
use crate::traces::{Carriers, Traced};

/// Longest text of a request that is kept, in bytes.
const MAX_TEXT: usize = 8 * 1024;
/// Most names of changed headers that are kept of each kind.
const MAX_NAMES: usize = 100;
/// Most verdicts that are kept for records that share them.
const MAX_VERDICTS: usize = 256;

/// A record as it goes into a block.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) time_ns: i64,
    pub(super) revision: u64,
    pub(super) cached: bool,
    pub(super) shadow: Option<Shadowed>,
    pub(super) verdict: &'a Verdict,
    pub(super) host: Option<&'a str>,
    /// Without query string.
    pub(super) path: Option<&'a str>,
    pub(super) trace_id: Option<&'a str>,
    pub(super) details: &'a [u8],
}

/// What was decided and for whom; many records have the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) effect: Effect,
    /// `namespace/name`, or the Rego entrypoint.
    pub(super) policy: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) request_principal: Option<String>,
    /// Members of the record as it is shown, as the text of a JSON object.
    pub(super) shown: String,
}

/// The members of a record that a verdict stands for. What is not known is left out.
#[derive(Debug, Serialize)]
struct Members<'a> {
    effect: Effect,
    /// HTTP status of the reply; 200 for an allow.
    status: u16,
    reason: &'a Reason,
    /// `audited` and `dry_run`.
    #[serde(flatten)]
    observed: &'a Observed,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_principal: Option<&'a str>,
    /// The peer that handed `peer_principal` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded_by: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Workload::is_unknown")]
    workload: &'a Workload,
    #[serde(skip_serializing_if = "HeadersChanged::is_empty")]
    headers_changed: HeadersChanged<'a>,
}

/// Names of headers that a decision changes.
#[derive(Debug, Default, Serialize)]
struct HeadersChanged<'a> {
    /// Of the request, on its way to the upstream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<Cow<'a, str>>,
    /// Of what the client gets: the upstream's response, or the denial.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response: Vec<Cow<'a, str>>,
}

/// Makes entries, one after the other, in memory that it uses again.
#[derive(Debug)]
pub(super) struct Editor {
    masking: Masking,
    verdicts: Verdicts,
    details: Vec<u8>,
    source: String,
    destination: String,
    scope: Scope,
    is_behind: bool,
    /// How long what shadows say may still be waited for.
    patience: Duration,
    /// Of a request that was not looked at as a whole.
    nothing: Findings,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Edited {
    /// With what was found out about its request, if that was looked at as a whole.
    Stored(Option<Box<Findings>>),
    /// A policy wants it dropped.
    Dropped,
}

/// Verdicts of decisions that came from the cache, by where they are in memory. They are kept along
/// with it, so that no other can come to be there.
#[derive(Debug, Default)]
struct Verdicts {
    known: HashMap<(usize, usize), Known>,
}

#[derive(Debug)]
struct Known {
    verdict: Rc<Verdict>,
    _decision: Arc<Decision>,
    _workload: Arc<Workload>,
}

// === impl Editor ===

impl Editor {
    pub(super) fn new(mask: Mask, scope: Scope) -> Self {
        Self {
            scope,
            is_behind: false,
            patience: Duration::ZERO,
            nothing: Findings::default(),
            masking: Masking::new(mask),
            verdicts: Verdicts::default(),
            details: Vec::new(),
            source: String::new(),
            destination: String::new(),
        }
    }

    /// Lets go of decisions that were kept only to be recognized.
    pub(super) fn rest(&mut self) {
        self.verdicts.known.clear();
    }

    /// Whether there is more to do than there is time for.
    pub(super) fn set_behind(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
    }

    /// How long the records to come may wait, all together, for what shadows say of them.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Looks at a request as a whole; `Err` if its record is to be dropped.
    fn examine(&mut self, head: &Head) -> Result<Option<Box<Findings>>, Edited> {
        let Some(whole) = &head.whole else {
            return Ok(None);
        };
        if self.is_behind && !whole.must_be_masked {
            return Ok(Some(Box::new(Findings::omitting("busy"))));
        }
        // A panic takes nothing along but this request. What it leaves in `masking` are whole entries.
        let examine = || examine(&self.scope, &mut self.masking, head, whole);
        match catch_unwind(AssertUnwindSafe(examine)) {
            Ok(Examined::Kept(findings)) => Ok(Some(findings)),
            Ok(Examined::Dropped) => Err(Edited::Dropped),
            Err(_) => Ok(Some(Box::new(failed("panic".to_owned())))),
        }
    }

    /// Masks a record and hands it to `store`. `None` if the request is not as it was written down.
    pub(super) fn edit(
        &mut self,
        head: &Head,
        request: &[u8],
        store: &mut dyn FnMut(&Entry<'_>),
    ) -> Option<Edited> {
        let asked = Asked::read(request)?;
        let findings = match self.examine(head) {
            Ok(findings) => findings,
            Err(dropped) => return Some(dropped),
        };
        let found = findings.as_deref().unwrap_or(&self.nothing);
        let verdict = match found.is_bare || found.hides_principal() {
            true => Rc::new(Verdict::without_caller(head, found.is_bare)),
            false => self.verdicts.of(head),
        };
        let shadow = shadowed::of(head, &mut self.patience, found.is_bare);
        // Rule: where a mask hides the trace, it is not told by the span that is a part of it either.
        let traced = head.traced.as_deref().filter(|_| !found.hides_trace());
        let own_trace = traced.map(|traced| traced.trace.to_string());
        let more = more_of(&asked.lookalikes, found, shadow.shown, traced);
        let shown =
            |of, place: Option<_>| place.filter(|_| !found.is_bare && !found.hides_address(of));
        let mut details = Details {
            durations: head.durations,
            more: more.as_deref(),
            source: text_of(shown("source", asked.source.as_ref()), &mut self.source),
            destination: text_of(
                shown("destination", asked.destination.as_ref()),
                &mut self.destination,
            ),
            ..Details::default()
        };
        let mut entry = Entry {
            seq: head.seq,
            id: head.id,
            time_ns: head.time_ns,
            revision: head.revision,
            cached: head.cached,
            shadow: shadow.mark,
            verdict: &verdict,
            host: None,
            path: None,
            trace_id: own_trace.as_deref(),
            details: &[],
        };
        self.details.clear();
        let Some(http) = asked.http else {
            put_details(&mut self.details, &details, |_| None);
            entry.details = &self.details;
            store(&entry);
            return Some(Edited::Stored(findings));
        };
        let hidden = |member, text| match found.hides_http(member) {
            true => Cow::Borrowed(MASKED),
            false => clip(text),
        };
        let host = match found.hides_http("host") {
            true => Cow::Borrowed(MASKED),
            false => clipped(self.masking.host(http.host)),
        };
        let target = match (found.hides_http("path"), found.hides_query()) {
            (true, _) => Cow::Borrowed(MASKED),
            (false, true) => masked_query(self.masking.target(http.path)),
            (false, false) => self.masking.target(http.path),
        };
        let path = clip(target.split(['?', '#']).next().unwrap_or_default());
        let target = clip(&target);
        let method = hidden("method", http.method);
        let [scheme, protocol] = match found.is_bare {
            true => Default::default(),
            false => [
                hidden("scheme", http.scheme),
                hidden("protocol", http.protocol),
            ],
        };
        details.has_http = true;
        (details.method, details.scheme, details.protocol) = (&method, &scheme, &protocol);
        details.target = Some(&*target).filter(|target| *target != path && !found.is_bare);
        let masking = &mut self.masking;
        let mut carriers = Carriers::default();
        put_details(&mut self.details, &details, |lines| {
            let mut request_id = None;
            for (name, value) in http.headers {
                let is_hidden = found.hides_header(name);
                if is_hidden {
                    lines.put(&clip(name), MASKED);
                    continue;
                }
                carriers.note(name, value);
                let value = text(value);
                if !found.is_bare {
                    lines.put(&clip(name), &clipped(masking.header(name, &value)));
                }
                if name.eq_ignore_ascii_case(REQUEST_ID) && !found.is_bare {
                    join(&mut request_id, value);
                }
            }
            let request_id = request_id?;
            let shown = masking.header(REQUEST_ID, &request_id);
            Some(Cow::Owned(clip(&shown).into_owned()))
        });
        entry.host = Some(&*host).filter(|_| !found.is_bare);
        entry.path = Some(&*path).filter(|_| !found.is_bare);
        let trace = carriers.context().parent;
        let trace = trace.map(|(trace, _)| trace.to_string());
        entry.trace_id = own_trace.as_deref().or(trace.as_deref());
        entry.details = &self.details;
        store(&entry);
        Some(Edited::Stored(findings))
    }
}

// === impl Verdicts ===

impl Verdicts {
    fn of(&mut self, head: &Head) -> Rc<Verdict> {
        if !head.cached {
            return Rc::new(Verdict::new(&head.decision, &head.workload));
        }
        let place = (
            Arc::as_ptr(&head.decision).addr(),
            Arc::as_ptr(&head.workload).addr(),
        );
        if let Some(known) = self.known.get(&place) {
            return Rc::clone(&known.verdict);
        }
        if self.known.len() >= MAX_VERDICTS {
            self.known.clear();
        }
        let known = self.known.entry(place).or_insert_with(|| Known {
            verdict: Rc::new(Verdict::new(&head.decision, &head.workload)),
            _decision: Arc::clone(&head.decision),
            _workload: Arc::clone(&head.workload),
        });
        Rc::clone(&known.verdict)
    }
}

// === impl Verdict ===

impl Verdict {
    /// Without those who asked; bare, without words either, which may be the request's.
    fn without_caller(head: &Head, is_bare: bool) -> Self {
        let mut decision = Decision::clone(&head.decision);
        decision.peer_principal = None;
        decision.forwarded_by = None;
        decision.request_principal = None;
        if is_bare {
            decision.reason.message = String::new();
            decision.reason.detail = None;
        }
        Self::new(&decision, &head.workload)
    }

    fn new(decision: &Decision, workload: &Workload) -> Self {
        let principal = decision.peer_principal.as_deref().map(clip);
        // What is wrong with a request may be said in its own words.
        let mut reason = Cow::Borrowed(&decision.reason);
        if looks_secret(&reason.message) {
            MASKED.clone_into(&mut reason.to_mut().message);
        }
        let request_principal = decision.request_principal.as_deref().map(clip);
        let members = Members {
            effect: decision.effect(),
            status: decision.status(),
            reason: &reason,
            observed: &decision.observed,
            peer_principal: principal.as_deref(),
            forwarded_by: decision.forwarded_by.as_deref().map(clip),
            request_principal: request_principal.as_deref(),
            workload,
            headers_changed: HeadersChanged::by(decision),
        };
        Self {
            effect: decision.effect(),
            // Nothing in it can fail to be written.
            shown: serde_json::to_string(&members).unwrap_or_default(),
            policy: decision.reason.decided_by().cloned(),
            principal: principal.map(Cow::into_owned),
            request_principal: request_principal.map(Cow::into_owned),
        }
    }
}

/// Members of the record that only few have, as the text of a JSON object.
fn more_of(
    lookalikes: &[&str],
    found: &Findings,
    shadow: Option<Value>,
    traced: Option<&Traced>,
) -> Option<String> {
    let has_own = traced.is_some() || shadow.is_some() || !lookalikes.is_empty();
    if !has_own && found.more.is_empty() {
        return None;
    }
    let mut more = found.more.clone();
    more.extend(traced.map(|traced| ("span_id".to_owned(), traced.span.to_string().into())));
    more.extend(shadow.map(|shadow| ("shadow".to_owned(), shadow)));
    if !lookalikes.is_empty() && !found.is_bare {
        let names = listed(lookalikes.iter().copied());
        let names = names.into_iter().map(Value::from);
        more.insert("lookalikes_removed".to_owned(), names.collect());
    }
    // Nothing in it can fail to be written.
    serde_json::to_string(&more).ok()
}

/// A target with nothing left of its query.
fn masked_query(target: Cow<'_, str>) -> Cow<'_, str> {
    match target.find(['?', '#']) {
        Some(end) => Cow::Owned(format!(
            "{}?{MASKED}",
            target.get(..end).unwrap_or_default()
        )),
        None => target,
    }
}

// === impl HeadersChanged ===

impl<'a> HeadersChanged<'a> {
    fn by(decision: &'a Decision) -> Self {
        let names = |pairs: &'a Pairs| pairs.iter().map(|(name, _)| name.as_str());
        match decision.reply() {
            Ok(mutations) => Self {
                set: listed(names(&mutations.set_headers)),
                removed: listed(mutations.remove_headers.iter().map(String::as_str)),
                response: listed(names(&mutations.response_headers)),
            },
            Err(denial) => Self {
                response: listed(names(&denial.headers)),
                ..Self::default()
            },
        }
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty() && self.response.is_empty()
    }
}

/// Names, each once where it comes several times in a row.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    let mut listed: Vec<_> = names.take(MAX_NAMES).map(clip).collect();
    listed.dedup();
    listed
}

/// `IP:PORT` or a path.
fn text_of<'a>(place: Option<&Place<'_>>, text: &'a mut String) -> Option<&'a str> {
    let place = place?;
    let address = clip(place.address);
    text.clear();
    let written = match place.port {
        Some(PlacePort::Number(port)) if address.contains(':') => {
            write!(text, "[{address}]:{port}")
        }
        Some(PlacePort::Number(port)) => write!(text, "{address}:{port}"),
        Some(PlacePort::Name(name)) => write!(text, "{address}:{}", clip(name)),
        None => text.write_str(&address),
    };
    written.ok().map(|()| text.as_str())
}

/// The value of a header as text, other bytes than UTF-8 replaced.
fn text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value),
    }
}

/// Several lines of a header are one value, joined by `,`.
fn join<'a>(joined: &mut Option<Cow<'a, str>>, value: Cow<'a, str>) {
    match joined {
        None => *joined = Some(value),
        Some(joined) => {
            let joined = joined.to_mut();
            joined.push(',');
            joined.push_str(&value);
        }
    }
}

/// Cuts a text at a character boundary.
fn clip(text: &str) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(MAX_TEXT)) {
        Some(start) if start.len() < text.len() => Cow::Owned(format!("{start}…")),
        _ => Cow::Borrowed(text),
    }
}

fn clipped(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => clip(text),
        Cow::Owned(text) => Cow::Owned(clip(&text).into_owned()),
    }
}
