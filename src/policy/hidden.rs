//! What of a request is not known as it was sent, as of one out of the decision log: which policies could
//! tell the difference. Whoever masks says which places of the input document these are.

#[cfg(test)]
mod tests;

use super::PolicySet;
use super::native::Attached;
use super::reads::{Field, Reads};
use super::rego::{Entrypoint, InputSettings, Paths, input_document, reads_of};
use crate::attributes::Attributes;

/// Headers that say how a body is read.
const BODY_HEADERS: [&str; 3] = [
    "content-type",
    "content-length",
    "x-envoy-auth-partial-body",
];
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The names that a part of a place may mean; none: any.
pub type Names = Vec<String>;

/// Places of the input document. More of them are never wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    places: Vec<Vec<Names>>,
    /// What of a request stands there.
    reads: Reads,
}

impl Hidden {
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.reads == Reads::default()
    }

    /// All of the request.
    pub fn everything() -> Self {
        let mut hidden = Self::default();
        hidden.reads.whole_input = true;
        hidden
    }

    /// A place, part by part.
    pub fn add(&mut self, place: Vec<Names>) {
        if place.is_empty() {
            return self.add_reads(&[]);
        }
        if place.iter().any(Vec::is_empty) {
            self.add_uncertain(&place);
        }
        // Every part as it stands, then every one as it is read otherwise.
        let forms = place.iter().map(Vec::len).max().unwrap_or(0);
        for form in 0..forms {
            let name = |names: &Names| names.get(form).or_else(|| names.last()).cloned();
            let path: Option<Vec<_>> = place.iter().map(name).collect();
            if let Some(path) = path {
                self.add_reads(&path);
            }
        }
        self.places.push(place);
    }

    /// A place with a name in it that nobody knows: what it lies in.
    fn add_uncertain(&mut self, place: &[Names]) {
        let known = place.iter().take_while(|names| !names.is_empty());
        let known: Vec<_> = known.filter_map(|names| names.last().cloned()).collect();
        self.add_reads(&known);
    }

    fn add_reads(&mut self, path: &[String]) {
        let mut reads = reads_of(path);
        match path.first().map(String::as_str) {
            Some("parsed_path" | "parsed_query") => reads.field(Field::Target),
            Some("parsed_body" | "truncated_body") => reads.field(Field::Body),
            // It is what it is whatever was masked.
            Some("version") => return,
            Some(_) => {}
            None => reads.whole_input = true,
        }
        self.add_read(&reads);
    }

    /// A header by its name, in whatever form it came.
    pub fn add_header(&mut self, name: &str) {
        let mut reads = Reads::default();
        reads.header(name);
        self.add_read(&reads);
        let place = ["attributes", "request", "http", "headers", name];
        self.places
            .push(place.map(|part| vec![part.to_owned()]).into());
    }

    /// What is known under one name is known under all others.
    fn add_read(&mut self, reads: &Reads) {
        self.reads.merge(reads);
        let fields = &reads.fields;
        let has = |field| fields.contains(&field);
        let reads_bodies = reads.headers.iter();
        let reads_bodies = reads_bodies
            .chain(has(Field::Headers).then_some(&String::new()))
            .any(|name| name.is_empty() || BODY_HEADERS.contains(&name.as_str()));
        let others: [(bool, &[&[&str]]); 5] = [
            (
                has(Field::Target),
                &[
                    &["attributes", "request", "http", "path"],
                    &["parsed_path"],
                    &["parsed_query"],
                ],
            ),
            (
                has(Field::Body) || reads_bodies,
                &[&["parsed_body"], &["truncated_body"]],
            ),
            (
                has(Field::Principal),
                &[&["source_principal"], &["doorward", "peer"]],
            ),
            (
                has(Field::ContextExtensions) || has(Field::DestinationService),
                &[&["doorward", "workload"]],
            ),
            (
                !reads.headers.is_empty() || has(Field::Headers),
                &[&["attributes", "request", "http", "headerMap"]],
            ),
        ];
        for (is_hidden, places) in others {
            for place in places.iter().filter(|_| is_hidden) {
                let place: Vec<Names> = place.iter().map(|part| vec![(*part).to_owned()]).collect();
                if !self.places.contains(&place) {
                    self.places.push(place);
                }
            }
        }
    }

    /// Whether which workload the request is for can depend on it.
    pub fn may_name_workload(&self) -> bool {
        let names = [Field::ContextExtensions, Field::DestinationService];
        self.reads.whole_input || names.iter().any(|field| self.reads.fields.contains(field))
    }

    /// Whether what these policies read can be among it. Rule: of a policy that reads everything,
    /// anything is.
    fn is_among(&self, read: &Reads) -> bool {
        let hidden = &self.reads;
        if hidden.whole_input || read.whole_input {
            return !self.is_empty();
        }
        let is_read = |field: &Field| {
            let other: &[Field] = match field {
                Field::Target => &[Field::Path],
                Field::SourceAddress => &[Field::RemoteIp],
                Field::TlsSession | Field::DestinationService => &[Field::ServerName],
                // Whatever is read of one.
                Field::Headers => &[Field::RemoteIp, Field::Body],
                _ => &[],
            };
            let mut all = std::iter::once(field).chain(other);
            all.any(|one| read.fields.contains(one))
        };
        let of_headers = hidden.fields.contains(&Field::Headers) && !read.headers.is_empty();
        let is_header_read = |name: &String| {
            read.headers.contains(name)
                || read.fields.contains(&Field::Headers)
                || name == FORWARDED_FOR && read.fields.contains(&Field::RemoteIp)
                || BODY_HEADERS.contains(&name.as_str()) && read.fields.contains(&Field::Body)
        };
        of_headers || hidden.fields.iter().any(is_read) || hidden.headers.iter().any(is_header_read)
    }

    fn is_read_by(&self, entrypoint: &Entrypoint) -> bool {
        let paths = entrypoint.input();
        !paths.is_empty() && self.places.iter().any(|place| touches(paths, place))
    }

    /// Whether there may be no document for Rego, or another one, since what it is read from is not as
    /// it was. `was_read` says that there was one.
    fn may_be_unreadable(
        &self,
        attributes: &Attributes,
        settings: &InputSettings,
        was_read: bool,
    ) -> bool {
        let fields = &self.reads.fields;
        let is_parsed = fields.contains(&Field::Target)
            || fields.contains(&Field::Body)
            || self.places.iter().any(|place| {
                let first = place.first().and_then(|names| names.first());
                first.is_some_and(|first| first == "parsed_body")
            });
        is_parsed && !(was_read && input_document(attributes, settings).is_ok())
    }
}

/// Whether anything of these paths is at a place, on the way to it, or below.
fn touches(paths: &Paths, place: &[Names]) -> bool {
    let Some((names, rest)) = place.split_first() else {
        return true;
    };
    let is_index = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    if paths.is_whole() || paths.is_empty() || names.is_empty() || names.iter().any(is_index) {
        return true;
    }
    let mut members = paths.members();
    members.any(|(name, inner)| {
        names.iter().any(|one| one.eq_ignore_ascii_case(name)) && touches(inner, rest)
    })
}

// === impl PolicySet ===

impl PolicySet {
    /// Whether a decision by the policies of a workload can depend on what is hidden of a request.
    /// `was_read` says that Rego had a document of it.
    pub fn may_read(
        &self,
        attached: &Attached,
        hidden: &Hidden,
        attributes: &Attributes,
        was_read: bool,
    ) -> bool {
        if hidden.is_empty() {
            return false;
        }
        let native = [&attached.reads, &self.settings_read];
        let mut entrypoints = self.entrypoints(attached).peekable();
        let settings = &self.settings.rego.input;
        hidden.reads.whole_input
            || native.iter().any(|reads| hidden.is_among(reads))
            || entrypoints.peek().is_some()
                && hidden.may_be_unreadable(attributes, settings, was_read)
            || entrypoints.any(|entrypoint| hidden.is_read_by(entrypoint))
    }
}
