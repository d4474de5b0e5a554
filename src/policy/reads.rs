//! Which attributes of a request a policy can read: what the decision cache puts into its key.
//! A set that is too large costs hits; one that is too small would be a wrong decision.

use std::collections::BTreeSet;

/// Attributes besides headers and metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    Principal,
    SourceIp,
    RemoteIp,
    DestinationIp,
    DestinationPort,
    ServerName,
    Host,
    Method,
    /// Without query string and fragment.
    Path,
    /// With them.
    Target,
    Scheme,
    /// Filter metadata as a whole.
    Metadata,
    /// Whether the request is HTTP at all.
    Protocol,
}

/// The attributes a policy, or several together, can read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    pub fields: BTreeSet<Field>,
    /// Lower-case header names.
    pub headers: BTreeSet<String>,
    /// Claims of the verified token; stand for the token.
    pub token: bool,
    /// Everything: for evaluations whose reads are not known.
    pub whole_input: bool,
    /// What was read is no part of the request (time, random numbers): not to be cached at all.
    pub volatile: Option<String>,
}

impl Reads {
    pub fn field(&mut self, field: Field) {
        self.fields.insert(field);
    }

    pub fn header(&mut self, name: &str) {
        self.headers.insert(name.to_ascii_lowercase());
    }

    /// Adds all that another policy reads.
    pub fn merge(&mut self, other: &Self) {
        self.fields.extend(&other.fields);
        self.headers.extend(other.headers.iter().cloned());
        self.token |= other.token;
        self.whole_input |= other.whole_input;
        if self.volatile.is_none() {
            self.volatile.clone_from(&other.volatile);
        }
    }
}
