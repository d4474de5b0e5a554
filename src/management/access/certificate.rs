//! Callers known by the certificate of their connection, which TLS has checked: one of its names is
//! configured.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::role::{Area, Grants, Role};
use crate::identity::{PeerIdentity, SpiffeId};
use crate::tls::{CertificateDer, Validity};

/// An entry of `management.clients`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    name: Name,
    pub(super) grants: Grants,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// Of the only URI SAN.
    Spiffe(String),
    /// The whole subject (RFC 2253).
    Subject(String),
}

/// The certificate that a connection came with, if any.
#[derive(Debug, Clone, Default)]
pub(in crate::management) struct Shown(Option<Arc<Certified>>);

#[derive(Debug)]
struct Certified {
    identity: PeerIdentity<'static>,
    validity: Validity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    spiffe_id: Option<String>,
    subject: Option<String>,
    roles: Vec<Role>,
    scope: Option<Vec<Area>>,
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        written.try_into().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<Written> for Client {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let name = match (written.spiffe_id, written.subject) {
            (Some(id), None) => {
                let parsed = SpiffeId::parse(&id).map_err(|error| format!("`{id}` {error}"))?;
                if !parsed.has_path() {
                    return Err(format!("`{id}` names nobody in its trust domain"));
                }
                Name::Spiffe(id)
            }
            (None, Some(subject)) if !subject.is_empty() => Name::Subject(subject),
            _ => return Err("a client has either `spiffe_id` or `subject`".to_owned()),
        };
        let grants =
            Grants::new(written.roles, written.scope).map_err(|error| error.to_string())?;
        Ok(Self { name, grants })
    }
}

impl Client {
    pub(super) fn name(&self) -> &str {
        match &self.name {
            Name::Spiffe(name) | Name::Subject(name) => name,
        }
    }

    /// Rule: a SPIFFE id is that of an X.509-SVID, which has one URI SAN.
    fn is(&self, shown: &PeerIdentity<'_>) -> bool {
        match &self.name {
            Name::Spiffe(id) => {
                let bare = id.strip_prefix(crate::identity::SPIFFE_SCHEME);
                let shown = shown.spiffe_id();
                shown.is_some_and(|shown| Some(shown.without_scheme()) == bare)
            }
            Name::Subject(subject) => shown.subject() == Some(subject),
        }
    }
}

impl Shown {
    /// One that cannot be read is none.
    pub(in crate::management) fn new(certificate: Option<&CertificateDer<'_>>) -> Self {
        let read = |der| {
            Some((
                PeerIdentity::of_certificate(der).ok()?,
                Validity::of(der).ok()?,
            ))
        };
        let certified = certificate.and_then(|der| {
            let read = read(der);
            if read.is_none() {
                tracing::warn!("a client's certificate cannot be read");
            }
            read
        });
        Self(certified.map(|(identity, validity)| Arc::new(Certified { identity, validity })))
    }

    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// The first client that it names. Rule: a connection may outlast the certificate it began with.
    pub(super) fn find<'a>(&self, clients: &'a [Client]) -> Option<&'a Client> {
        let shown = self.0.as_ref().filter(|shown| !shown.validity.is_over())?;
        clients.iter().find(|client| client.is(&shown.identity))
    }
}
