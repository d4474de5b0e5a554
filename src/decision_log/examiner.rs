//! What a record shows of a request that was handed over as a whole: its input document and result with
//! secrets masked, then what the configuration says and what policies in `system.log` say, as OPA does.
//! What is masked there is masked in the summary too, under whatever name it stands.

use serde_json::{Map, Value, json};

use super::chunk::Head;
use super::mask::{MASKED, Masking};
use super::pointer::Pointer;
use super::result::result_of;
use super::scope::{Scope, Whole, bodiless};
use super::secrets::Secrets;
use crate::attributes::{Attributes, Body, BodyKind, HeaderLookup, is_deeper};
use crate::policy::rego::{Data, Question, RegoError, RegoPolicies, input_document};
use crate::traces;

/// Longest input and result that are stored, in bytes of JSON.
const MAX_STORED: usize = 256 << 10;
/// How deep they may nest: who reads records puts them into something else, and reads 128 levels.
const MAX_DEPTH: usize = 100;
/// Most places that one mask may name.
const MAX_MASKS: usize = 10_000;

/// The same under several names. What is masked under one is taken away under all others.
const PATH: [&[&str]; 5] = [
    &["attributes", "request", "http", "path"],
    &["attributes", "request", "http", "headers", ":path"],
    &["attributes", "request", "http", "query"],
    &["parsed_path"],
    &["parsed_query"],
];
const HOST: [&[&str]; 3] = [
    &["attributes", "request", "http", "host"],
    &["attributes", "request", "http", "headers", ":authority"],
    &["attributes", "request", "http", "headers", "host"],
];
const BODY: [&[&str]; 3] = [
    &["attributes", "request", "http", "body"],
    &["attributes", "request", "http", "rawBody"],
    &["parsed_body"],
];
const PRINCIPAL: [&[&str]; 2] = [
    &["attributes", "source", "principal"],
    &["source_principal"],
];
const QUERY: &[&str] = &["parsed_query"];
const LINES: &[&str] = &["attributes", "request", "http", "headerMap"];
const HEADERS: [&str; 4] = ["attributes", "request", "http", "headers"];

/// What becomes of a record.
pub(super) enum Examined {
    /// A policy wants it dropped.
    Dropped,
    Kept(Box<Findings>),
}

/// What is shown of a request besides its summary, and what not even there.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Members of the record.
    pub(super) more: Map<String, Value>,
    /// What masks have hit.
    hits: Vec<Pointer>,
    /// A mask failed: nothing of the request is shown.
    pub(super) is_bare: bool,
    /// Why input and result are not there that should be.
    pub(super) omitted: Option<&'static str>,
}

/// What a mask does at a place.
#[derive(Debug)]
enum Mask {
    Remove(Pointer),
    Upsert(Pointer, Value),
}

/// An event under examination.
struct Event<'a> {
    head: &'a Head,
    whole: &'a Whole,
    /// Something of the request is left out.
    is_cut: bool,
    value: Value,
    findings: Findings,
    erased: Vec<String>,
    masked: Vec<String>,
}

/// Looks at a request that was handed over as a whole.
pub(super) fn examine(
    scope: &Scope,
    masking: &mut Masking,
    head: &Head,
    whole: &Whole,
) -> Examined {
    let mut event = match Event::of(masking, head, whole) {
        Ok(event) => event,
        Err(why) => return Examined::Kept(Box::new(unseen(whole, why))),
    };
    match event.mask(scope) {
        Ok(true) => Examined::Dropped,
        Ok(false) => Examined::Kept(Box::new(event.finish())),
        Err(why) => Examined::Kept(Box::new(failed(why))),
    }
}

/// Of a request of which there is no document. Rule: what cannot be masked is not shown.
fn unseen(whole: &Whole, why: &'static str) -> Findings {
    if whole.must_be_masked {
        return failed(why.to_owned());
    }
    Findings::omitting(why)
}

/// Rule: a mask that fails takes input, result and all else of the request away, and keeps the record.
pub(super) fn failed(why: String) -> Findings {
    Findings {
        more: Map::from_iter([("mask_error".to_owned(), why.into())]),
        is_bare: true,
        ..Findings::default()
    }
}

// === impl Findings ===

impl Findings {
    /// Nothing, where input and result should be.
    pub(super) fn omitting(why: &'static str) -> Self {
        Self {
            more: Map::from_iter([("input_omitted".to_owned(), why.into())]),
            omitted: Some(why),
            ..Self::default()
        }
    }

    fn hides_one_of(&self, places: &[&[&str]]) -> bool {
        places.iter().any(|place| self.means(place))
    }

    /// Whether masks want what is at a place masked. Rule: all headers mean no single one of those that
    /// say what is not only a header.
    fn means(&self, place: &[&str]) -> bool {
        match place.strip_prefix(&HEADERS) {
            Some(_) => self.hits.iter().any(|hit| hit.is_within(&under(place))),
            None => self.hides(place),
        }
    }

    /// Whether a place of the input document is masked.
    fn hides(&self, place: &[&str]) -> bool {
        let place = under(place);
        self.hits.iter().any(|hit| hit.touches(&place))
    }

    /// Whether a member of the HTTP request is masked.
    pub(super) fn hides_http(&self, member: &str) -> bool {
        !self.hits.is_empty()
            && match member {
                "path" => self.hides_path(),
                "host" => self.hides_one_of(&HOST),
                other => self.hides(&["attributes", "request", "http", other]),
            }
    }

    /// Where only parameters are masked, the rest of the path stays.
    fn hides_path(&self) -> bool {
        let places = PATH.iter().filter(|place| **place != QUERY);
        places.copied().any(|place| self.means(place))
    }

    pub(super) fn hides_query(&self) -> bool {
        !self.hits.is_empty() && self.hides_one_of(&PATH)
    }

    pub(super) fn hides_header(&self, name: &str) -> bool {
        if self.hits.is_empty() {
            return false;
        }
        let [attributes, request, http, headers] = HEADERS;
        let is_path = name.eq_ignore_ascii_case(":path");
        let is_host = [":authority", "host"]
            .iter()
            .any(|host| name.eq_ignore_ascii_case(host));
        self.hides(&[attributes, request, http, headers, name])
            || self.hides(LINES)
            || is_path && self.hides_query()
            || is_host && self.hides_one_of(&HOST)
    }

    /// Whether a header is masked that tells of a trace.
    pub(super) fn hides_trace(&self) -> bool {
        traces::HEADERS.iter().any(|name| self.hides_header(name))
    }

    /// Whether the address of `source` or `destination` is masked.
    pub(super) fn hides_address(&self, of: &str) -> bool {
        !self.hits.is_empty() && self.hides(&["attributes", of, "address"])
    }

    pub(super) fn hides_principal(&self) -> bool {
        !self.hits.is_empty() && self.hides_one_of(&PRINCIPAL)
    }
}

// === impl Event ===

impl<'a> Event<'a> {
    /// The event, secrets masked; or why there is no document of the request.
    fn of(masking: &mut Masking, head: &'a Head, whole: &'a Whole) -> Result<Self, &'static str> {
        // Rule: masks of policy that has not come yet are not known.
        if whole.must_be_masked && whole.policies.lacks_bundle {
            return Err("bundle_missing");
        }
        let attributes = whole.attributes.as_ref().ok_or("too_large")?;
        let settings = &whole.policies.settings.rego.input;
        let mut is_whole = true;
        let mut document = |attributes: &Attributes| {
            let document = input_document(attributes, settings).unwrap_or_else(|partly| {
                is_whole = false;
                partly
            });
            serde_json::from_str::<Value>(&document.to_json().ok()?).ok()
        };
        let mut is_cut = whole.is_cut;
        // Rule: a body that is nested too deeply to be looked at is no way to hide from masks.
        let input = document(attributes).or_else(|| {
            is_cut = true;
            document(&bodiless(attributes))
        });
        let mut input = input.ok_or("too_large")?;
        // Rule: nor is a query or a body that cannot be read.
        if whole.must_be_masked && !is_whole {
            return Err("unreadable");
        }
        let mut result = result_of(&head.decision);
        let mut secrets = Secrets {
            masking,
            masked: Vec::new(),
            erased: Vec::new(),
        };
        secrets.hide_in_input(&mut input, kind_of_body(attributes, settings.lookup));
        secrets.hide_in_result(&mut result);
        let (masked, mut erased) = (secrets.masked, secrets.erased);
        let certificate = |peer: &&str| format!("/input/attributes/{peer}/certificate");
        erased.extend(whole.certified.iter().map(certificate));
        let path = head.decision.reason.entrypoint.as_deref();
        let value = json!({
            "labels": { "version": env!("CARGO_PKG_VERSION") },
            "decision_id": head.id,
            "timestamp": super::details::rfc3339(head.time_ns),
            "path": path.unwrap_or_default(),
            "input": input,
            "result": result,
        });
        Ok(Self {
            head,
            whole,
            is_cut,
            value,
            findings: Findings::default(),
            erased,
            masked,
        })
    }

    /// Masks what is to be masked. `true`: the record is to be dropped.
    fn mask(&mut self, scope: &Scope) -> Result<bool, String> {
        let policies = &self.whole.policies;
        let rego = policies.rego.as_ref();
        let rego = rego.filter(|_| policies.masks_records(&scope.rules));
        if let Some(rego) = rego {
            let answer = self.ask(rego, &scope.rules.drop)?;
            if answer == Some(Value::Bool(true)) {
                return Ok(true);
            }
        }
        for pointer in scope.pointers.iter() {
            self.apply(Mask::Remove(pointer.clone()));
        }
        if let Some(rego) = rego
            && let Some(masks) = self.ask(rego, &scope.rules.mask)?
        {
            for mask in masks_of(masks)? {
                self.apply(mask);
            }
        }
        self.mask_other_names();
        Ok(false)
    }

    /// What a rule of policy says of the event; `None` if it says nothing.
    fn ask(&self, rego: &RegoPolicies, path: &[String]) -> Result<Option<Value>, String> {
        let question = Question {
            input: Some(Data::from_json(self.value.clone())),
            strict: false,
            now_ns: self.head.time_ns,
        };
        let found = rego
            .document(path, question)
            .map_err(|error| code_of(&error))?;
        let Some(answer) = found.value else {
            return Ok(None);
        };
        let text = answer.to_json().map_err(|_| "not_json".to_owned())?;
        let answer = serde_json::from_str(&text).map_err(|_| "not_json".to_owned())?;
        Ok(Some(answer))
    }

    fn apply(&mut self, mask: Mask) {
        match mask {
            Mask::Remove(pointer) => {
                if pointer.remove(&mut self.value) {
                    self.erased.push(pointer.text().to_owned());
                    self.findings.hits.push(pointer);
                } else if self.may_be_line(&pointer) {
                    self.findings.hits.push(pointer);
                }
            }
            Mask::Upsert(pointer, value) => {
                if pointer.upsert(&mut self.value, &value) {
                    self.masked.push(pointer.text().to_owned());
                    self.findings.hits.push(pointer);
                }
            }
        }
    }

    /// Whether it leads to a header of a request whose headers came as lines: then there may be no other.
    fn may_be_line(&self, pointer: &Pointer) -> bool {
        let [attributes, request, http, lines] = LINES else {
            return false;
        };
        let lines = format!("/input/{attributes}/{request}/{http}/{lines}");
        self.value.pointer(&lines).is_some() && pointer.is_within(&under(&HEADERS))
    }

    /// Takes away what masks hit, under its other names.
    fn mask_other_names(&mut self) {
        if self.findings.hits.is_empty() {
            return;
        }
        let hides_path = self.findings.hides_path();
        if self.findings.hides_query() && !hides_path {
            self.cut_query();
        }
        let groups: [(bool, &[&[&str]]); 4] = [
            (hides_path, &PATH),
            (self.findings.hides_one_of(&HOST), &HOST),
            (self.findings.hides_one_of(&BODY), &BODY),
            (self.findings.hides_one_of(&PRINCIPAL), &PRINCIPAL),
        ];
        for (is_hit, group) in groups {
            for place in group.iter().filter(|_| is_hit) {
                self.erase_other(place);
            }
        }
        // Lines by themselves say again what headers are.
        if self
            .findings
            .hits
            .iter()
            .any(|hit| hit.touches(&under(&HEADERS)))
        {
            self.erase_other(LINES);
        }
    }

    /// Takes away what masks have not changed themselves.
    fn erase_other(&mut self, place: &[&str]) {
        let place = under(place);
        if !self.findings.hits.iter().any(|hit| hit.is_within(&place)) {
            let pointer = Pointer::to(&place);
            if pointer.remove(&mut self.value) {
                self.erased.push(pointer.text().to_owned());
            }
        }
    }

    /// Masks all parameters where one was masked.
    fn cut_query(&mut self) {
        let [_, header, query, ..] = PATH;
        self.erase_other(header);
        self.erase_other(query);
        let path = self
            .value
            .pointer_mut("/input/attributes/request/http/path");
        if let Some(Value::String(path)) = path
            && let Some(end) = path.find(['?', '#'])
        {
            path.truncate(end);
            path.push('?');
            path.push_str(MASKED);
            let pointer = "/input/attributes/request/http/path";
            self.masked.push(pointer.to_owned());
        }
    }

    fn finish(mut self) -> Findings {
        let mut findings = self.findings;
        if self.whole.is_stored {
            let members = ["input", "result"].map(|name| self.value.get_mut(name).map(Value::take));
            let length = members
                .iter()
                .flatten()
                .map(|member| member.to_string().len());
            let is_deep = |member: &Value| is_deeper(member, MAX_DEPTH);
            let is_deep = members.iter().flatten().any(is_deep);
            if self.is_cut || is_deep || length.sum::<usize>() > MAX_STORED {
                findings.omitted = Some("too_large");
                let why = "too_large".into();
                findings.more.insert("input_omitted".to_owned(), why);
            } else {
                let members = ["input", "result"].into_iter().zip(members);
                let members = members.filter_map(|(name, member)| Some((name.to_owned(), member?)));
                findings.more.extend(members);
            }
        }
        for (name, mut pointers) in [("erased", self.erased), ("masked", self.masked)] {
            pointers.sort();
            pointers.dedup();
            if !pointers.is_empty() {
                findings.more.insert(name.to_owned(), pointers.into());
            }
        }
        findings
    }
}

/// What policy says is to be masked. Rule: a set or an array of pointers, which remove, or of objects
/// `{op, path, value}`; anything else is an error.
fn masks_of(answer: Value) -> Result<Vec<Mask>, String> {
    let invalid = || "mask_invalid".to_owned();
    let Value::Array(masks) = answer else {
        return Err(invalid());
    };
    if masks.len() > MAX_MASKS {
        return Err("too_many_masks".to_owned());
    }
    let masks = masks.into_iter().map(mask_of);
    masks.collect::<Option<_>>().ok_or_else(invalid)
}

fn mask_of(mask: Value) -> Option<Mask> {
    let pointer = |path: &Value| Pointer::parse(path.as_str()?).ok();
    let Value::Object(mut members) = mask else {
        return pointer(&mask).map(Mask::Remove);
    };
    let pointer = pointer(members.get("path")?)?;
    match members.get("op")?.as_str()? {
        "remove" => Some(Mask::Remove(pointer)),
        "upsert" => {
            let value = members.remove("value").unwrap_or_default();
            Some(Mask::Upsert(pointer, value))
        }
        _ => None,
    }
}

/// Where and how an evaluation failed; not in which words, which may be the request's.
fn code_of(error: &RegoError) -> String {
    format!(
        "{} at {}:{}:{}",
        error.code, error.file, error.row, error.col
    )
}

/// As what the document's body was read.
fn kind_of_body(attributes: &Attributes, lookup: HeaderLookup) -> Option<BodyKind> {
    match Body::of(attributes.http()?, lookup).ok()? {
        Body::Present(kind, _) => Some(kind),
        Body::Absent | Body::Truncated => None,
    }
}

fn under<'a>(place: &[&'a str]) -> Vec<&'a str> {
    let root = std::iter::once("input");
    root.chain(place.iter().copied()).collect()
}
