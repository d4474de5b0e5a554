//! Which attributes of a request a policy can read: what the decision cache puts into its key.
//! A set that is too large costs hits; one that is too small would be a wrong decision.

use std::collections::BTreeSet;

use serde::Serialize;

/// Attributes besides single headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Every name of the peer: what the proxy reports, and the certificate.
    Principal,
    /// Where the peer connects from.
    SourceAddress,
    RemoteIp,
    /// Where the peer connected to.
    DestinationAddress,
    ServerName,
    /// The TLS session as the proxy reports it.
    TlsSession,
    Host,
    Method,
    /// Without query string and fragment.
    Path,
    /// With them.
    Target,
    Scheme,
    HttpVersion,
    /// Every header.
    Headers,
    /// The body and the headers that say how to read it.
    Body,
    ContextExtensions,
    /// Filter metadata as a whole.
    Metadata,
    /// Whether the request is HTTP at all.
    Protocol,
}

/// The attributes a policy, or several together, can read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    pub fields: BTreeSet<Field>,
    /// Lower-case header names.
    pub headers: BTreeSet<String>,
    /// Everything: for evaluations whose reads are not known any closer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub whole_input: bool,
    /// What was read is no part of the request (time, random numbers): not to be cached at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volatile: Option<String>,
}

impl Reads {
    pub fn field(&mut self, field: Field) {
        self.fields.insert(field);
    }

    pub fn header(&mut self, name: &str) {
        self.headers.insert(name.to_ascii_lowercase());
    }

    /// Whether the peer's identity can be among it.
    pub fn identity(&self) -> bool {
        self.whole_input || self.fields.contains(&Field::Principal)
    }

    /// Adds all that another policy reads.
    pub fn merge(&mut self, other: &Self) {
        self.fields.extend(&other.fields);
        self.headers.extend(other.headers.iter().cloned());
        self.whole_input |= other.whole_input;
        if self.volatile.is_none() {
            self.volatile.clone_from(&other.volatile);
        }
    }

    /// What Rego reads, from the constant beginnings of its references into `input`.
    pub fn of_input<'a>(paths: impl IntoIterator<Item = &'a Vec<String>>) -> Self {
        let mut reads = Self::default();
        // Whatever a policy reads, the document itself can only be made of a path, a query and a
        // body that parse.
        for field in [Field::Protocol, Field::Target, Field::Body] {
            reads.field(field);
        }
        for path in paths {
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            reads.input_path(&path);
        }
        reads
    }

    fn input_path(&mut self, path: &[&str]) {
        match path {
            [
                "version" | "parsed_path" | "parsed_query" | "parsed_body" | "truncated_body",
                ..,
            ] => {}
            ["attributes", "request", "http", member, rest @ ..] => self.http_member(member, rest),
            ["source_principal", ..]
            | ["attributes", "source", "principal" | "certificate", ..] => {
                self.field(Field::Principal);
            }
            ["attributes", "source", "address", ..] => self.field(Field::SourceAddress),
            ["attributes", "destination", "address", ..] => self.field(Field::DestinationAddress),
            ["attributes", "contextExtensions", ..] => self.field(Field::ContextExtensions),
            ["attributes", "metadataContext", ..] => self.field(Field::Metadata),
            ["attributes", "tlsSession", ..] => self.field(Field::TlsSession),
            _ => self.whole_input = true,
        }
    }

    fn http_member(&mut self, member: &str, rest: &[&str]) {
        match (member, rest) {
            ("method", _) => self.field(Field::Method),
            ("path", _) => self.field(Field::Target),
            ("host", _) => self.field(Field::Host),
            ("scheme", _) => self.field(Field::Scheme),
            ("protocol", _) => self.field(Field::HttpVersion),
            ("body" | "rawBody" | "size", _) => self.field(Field::Body),
            ("headers", [name, ..]) => self.header(name),
            ("headers" | "headerMap", _) => self.field(Field::Headers),
            _ => self.whole_input = true,
        }
    }
}
