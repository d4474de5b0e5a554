//! Secrets in an input document and a result, found by the names of what holds them and by how tokens
//! look. What operators say besides is left to `examiner`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::mask::{MASKED, Masking};
use super::pointer::Pointer;
use crate::attributes::BodyKind;

/// Objects whose members say by their names what they hold.
const NAMED: [&[&str]; 10] = [
    &["attributes", "request", "http", "headers"],
    &["attributes", "contextExtensions"],
    &["attributes", "context_extensions"],
    &["attributes", "source", "labels"],
    &["attributes", "destination", "labels"],
    &["attributes", "metadataContext", "filterMetadata"],
    &["attributes", "metadata_context", "filter_metadata"],
    &["attributes", "routeMetadataContext", "filterMetadata"],
    &["parsed_query"],
    &["parsed_body"],
];
/// Of those, what clients choose all names of: what a parameter may be called counts as well.
const PARAMETERS: [&str; 2] = ["parsed_query", "parsed_body"];
/// Texts that may hold a token or a URL.
const TEXTS: [&[&str]; 6] = [
    &["attributes", "request", "http", "id"],
    &["attributes", "request", "http", "fragment"],
    &["attributes", "source", "service"],
    &["attributes", "destination", "service"],
    &["attributes", "source", "principal"],
    &["source_principal"],
];
/// What cannot be looked into.
const OPAQUE: [&[&str]; 2] = [
    &["attributes", "metadataContext", "typedFilterMetadata"],
    &["attributes", "routeMetadataContext", "typedFilterMetadata"],
];
const HTTP: &str = "/attributes/request/http";
/// Members of bodies that may say what others beside them hold: `{"name": "password", "value": "x"}`.
const NAMING: [&str; 4] = ["name", "key", "field", "parameter"];
const VALUES: [&str; 4] = ["value", "values", "val", "data"];

/// Masks one event, and notes what it masks.
pub(super) struct Secrets<'a> {
    pub(super) masking: &'a mut Masking,
    /// Pointers to what was replaced.
    pub(super) masked: Vec<String>,
    /// Pointers to what was taken away.
    pub(super) erased: Vec<String>,
}

impl Secrets<'_> {
    /// Masks an input document with a body of this kind. Rule: a body stays as it came only if all of it
    /// was read as a document, and nothing in that is secret.
    pub(super) fn hide_in_input(&mut self, input: &mut Value, body: Option<BodyKind>) {
        for place in OPAQUE {
            self.erase(input, place);
        }
        for place in TEXTS {
            if let Some(value) = found(input, place) {
                self.walk(&mut from_root(place), "", false, value);
            }
        }
        self.host(input);
        self.query(input);
        self.path(input);
        self.header_lines(input);
        let mut before_body = 0;
        for place in NAMED {
            before_body = self.masked.len();
            if let Some(value) = found(input, place) {
                let is_parameter = place.first().is_some_and(|root| PARAMETERS.contains(root));
                let place = &mut from_root(place);
                self.members(place, is_parameter, value);
            }
        }
        self.body(input, body, self.masked.len() > before_body);
    }

    /// Masks a result.
    pub(super) fn hide_in_result(&mut self, result: &mut Value) {
        self.members(&mut vec!["result".to_owned()], false, result);
        let place = ["result", "query_parameters_to_set"].map(str::to_owned);
        if let Some(parameters) = result.get_mut("query_parameters_to_set") {
            self.members(&mut place.to_vec(), true, parameters);
        }
    }

    fn members(&mut self, place: &mut Vec<String>, is_parameter: bool, value: &mut Value) {
        match value {
            Value::Object(members) => self.object(place, is_parameter, members),
            value => self.walk(place, "", is_parameter, value),
        }
    }

    fn object(
        &mut self,
        place: &mut Vec<String>,
        is_parameter: bool,
        members: &mut Map<String, Value>,
    ) {
        let is_named = is_parameter
            && NAMING.iter().any(|naming| {
                let name = members.get(*naming).and_then(Value::as_str);
                name.is_some_and(|name| self.masking.hides_member(name, true))
            });
        for (name, value) in members.iter_mut() {
            place.push(self.masking.name(name).into_owned());
            if is_named && VALUES.contains(&name.as_str()) && !value.is_null() {
                *value = MASKED.into();
                self.note(place);
            } else {
                self.walk(place, name, is_parameter, value);
            }
            place.pop();
        }
        // Rule: a token is one as a name, too.
        if members.keys().any(|name| self.masking.name(name) == MASKED) {
            let named = std::mem::take(members).into_iter();
            *members = named
                .map(|(name, value)| (self.masking.name(&name).into_owned(), value))
                .collect();
            place.push(MASKED.to_owned());
            self.note(place);
            place.pop();
        }
    }

    /// `name` is that of the nearest member which this is, or is an element of.
    fn walk(&mut self, place: &mut Vec<String>, name: &str, is_parameter: bool, value: &mut Value) {
        let is_hidden = self.masking.hides_member(name, is_parameter);
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) if !is_hidden => {
                let shown = self.masking.header(name, text);
                if shown != *text {
                    *text = shown.into_owned();
                    self.note(place);
                }
            }
            Value::Number(_) if !is_hidden => {}
            Value::Object(members) if !is_hidden => self.object(place, is_parameter, members),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    place.push(index.to_string());
                    self.walk(place, name, is_parameter, item);
                    place.pop();
                }
            }
            Value::String(text) if name == ":path" => {
                let shown = self.masking.target(text);
                if shown != *text {
                    *text = shown.into_owned();
                    self.note(place);
                }
            }
            hidden => {
                *hidden = MASKED.into();
                self.note(place);
            }
        }
    }

    fn host(&mut self, input: &mut Value) {
        if let Some(Value::String(host)) = input.pointer_mut(&format!("{HTTP}/host")) {
            let shown = self.masking.host(host);
            if shown != *host {
                *host = shown.into_owned();
                self.note(&["input", "attributes", "request", "http", "host"].map(str::to_owned));
            }
        }
    }

    fn query(&mut self, input: &mut Value) {
        let Some(Value::String(text)) = input.pointer_mut(&format!("{HTTP}/query")) else {
            return;
        };
        let target = format!("?{text}");
        let shown = self.masking.target(&target);
        if shown != target {
            *text = shown.get(1..).unwrap_or_default().to_owned();
            self.note(&["input", "attributes", "request", "http", "query"].map(str::to_owned));
        }
    }

    /// The path, and what was read of it. Rule: where the one is masked, the other is what is left of it;
    /// in segments by themselves not everything is found.
    fn path(&mut self, input: &mut Value) {
        let (mut rest, mut is_cut) = (None, false);
        if let Some(Value::String(target)) = input.pointer_mut(&format!("{HTTP}/path")) {
            let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
            let shown = self.masking.target(target).into_owned();
            if shown != *target {
                rest = (path(&shown) != path(target)).then(|| path(&shown));
                is_cut = shown
                    .split_once('?')
                    .is_some_and(|(_, query)| query == MASKED);
                *target = shown;
                self.note(&["input", "attributes", "request", "http", "path"].map(str::to_owned));
            }
        }
        if let Some(Value::Object(parameters)) = input.get_mut("parsed_query")
            && is_cut
        {
            *parameters = Map::from_iter([(MASKED.to_owned(), Value::from(vec![""]))]);
            self.note(&from_root(&["parsed_query"]));
        }
        let Some(Value::Array(segments)) = input.get_mut("parsed_path") else {
            return;
        };
        if let Some(rest) = rest {
            let rest = percent_decode_str(&rest).decode_utf8_lossy();
            let rest = rest.trim_start_matches('/').split('/');
            *segments = rest.map(Value::from).collect();
            self.note(&from_root(&["parsed_path"]));
        }
        for (index, segment) in segments.iter_mut().enumerate() {
            let place = &mut from_root(&["parsed_path", &index.to_string()]);
            self.walk(place, "", false, segment);
        }
    }

    /// Header lines by themselves, whose values are text or base64.
    fn header_lines(&mut self, input: &mut Value) {
        let lines = input.pointer_mut(&format!("{HTTP}/headerMap/headers"));
        let Some(Value::Array(lines)) = lines else {
            return;
        };
        for (index, line) in lines.iter_mut().enumerate() {
            let name = line.get("key").and_then(Value::as_str).unwrap_or_default();
            let name = name.to_owned();
            for member in ["value", "rawValue"] {
                let Some(Value::String(value)) = line.get_mut(member) else {
                    continue;
                };
                let bytes = match member {
                    "value" => value.clone().into_bytes(),
                    _ => STANDARD.decode(&*value).unwrap_or_default(),
                };
                let text = String::from_utf8_lossy(&bytes);
                let shown = self.masking.header(&name, &text);
                if shown != text {
                    *value = match member {
                        "value" => shown.into_owned(),
                        _ => STANDARD.encode(&*shown),
                    };
                    let index = index.to_string();
                    let place = [
                        "attributes",
                        "request",
                        "http",
                        "headerMap",
                        "headers",
                        &index,
                        member,
                    ];
                    self.note(&from_root(&place));
                }
            }
        }
    }

    /// `is_secret`: something in the document that was read from it is.
    fn body(&mut self, input: &mut Value, kind: Option<BodyKind>, is_secret: bool) {
        let read = input.get("parsed_body").filter(|body| !body.is_null());
        // What stands twice is read once, and sent twice.
        let texts = ["body", "rawBody"].map(|member| text_in(input, member));
        let mut all = texts.iter().flatten();
        let is_secret = is_secret || all.any(|text| self.masking.header("", text) != **text);
        let was_read = |text: &String| match kind {
            // Rule: of members that have the same name the last was read, and only that was looked at.
            Some(BodyKind::Json) => read.map(count) == Some(count_in(text)),
            Some(BodyKind::Form) => true,
            // Rule: nobody has looked at headers of parts and what is between them, at fields that no
            // descriptor has, nor at further messages.
            Some(BodyKind::Multipart | BodyKind::Grpc) | None => false,
        };
        let is_one = !matches!(&texts, [Some(text), Some(raw)] if text != raw);
        if read.is_some() && !is_secret && is_one && texts.iter().flatten().all(was_read) {
            return;
        }
        // Only JSON can be written again as it may be shown.
        let shown = read.filter(|_| kind == Some(BodyKind::Json));
        let shown = shown.map(Value::to_string);
        let Some(Value::Object(http)) = input.pointer_mut(HTTP) else {
            return;
        };
        for member in ["body", "rawBody"] {
            if http.remove(member).is_none() {
                continue;
            }
            let place = ["input", "attributes", "request", "http", member].map(str::to_owned);
            match &shown {
                Some(shown) => {
                    http.insert("body".to_owned(), shown.clone().into());
                    self.note(&place);
                }
                None => self.erased.push(text_of(&place)),
            }
        }
    }

    fn erase(&mut self, input: &mut Value, place: &[&str]) {
        let pointer = Pointer::to(place);
        if pointer.remove(input) {
            self.erased.push(format!("/input{}", pointer.text()));
        }
    }

    fn note(&mut self, place: &[String]) {
        self.masked.push(text_of(place));
    }
}

/// How many members all objects of a value have together.
fn count(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(|value| 1 + count(value)).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// The same of JSON text, where several may have one name: each has a colon that is in no string.
fn count_in(text: &str) -> usize {
    let (mut colons, mut in_string, mut is_escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b':' if !in_string => colons += 1,
            _ => {}
        }
    }
    colons
}

/// A body as text.
fn text_in(input: &Value, member: &str) -> Option<String> {
    let text = input.pointer(&format!("{HTTP}/{member}"))?.as_str()?;
    Some(match member {
        "rawBody" => String::from_utf8_lossy(&STANDARD.decode(text).ok()?).into_owned(),
        _ => text.to_owned(),
    })
}

fn found<'a>(input: &'a mut Value, place: &[&str]) -> Option<&'a mut Value> {
    let mut places = place.iter();
    places.try_fold(input, |value, name| value.get_mut(*name))
}

fn from_root(place: &[&str]) -> Vec<String> {
    let root = std::iter::once("input");
    root.chain(place.iter().copied())
        .map(str::to_owned)
        .collect()
}

fn text_of(place: &[String]) -> String {
    let names: Vec<_> = place.iter().map(String::as_str).collect();
    Pointer::to(&names).text().to_owned()
}
