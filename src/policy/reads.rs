//! Which attributes of a request a policy can read: what the decision cache puts into its key.
//! A set that is too large costs hits; one that is too small would be a wrong decision. Finding it out
//! is left to each kind of policy.

mod plan;

use std::collections::BTreeSet;

use serde::Serialize;

pub use plan::Plan;

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
    /// Which of the larger parts of a request there are.
    Shape,
    /// What the proxy says of the peer besides: service and labels.
    SourceService,
    /// What it says of the workload: service, labels and identity.
    DestinationService,
    /// When the proxy was asked.
    Time,
    /// The request's own id.
    Id,
    /// The members of that name, which proxies leave empty.
    QueryAndFragment,
    /// Metadata of the route as a whole.
    RouteMetadata,
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
    /// The built-in by which something is read that is no part of a request: time, random numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volatile: Option<String>,
    /// What was read may have to be asked of others, which takes time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
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
        self.external |= other.external;
        if self.volatile.is_none() {
            self.volatile.clone_from(&other.volatile);
        }
    }
}
