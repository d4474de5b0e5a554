//! The peer at the other end of the connection, under every name its certificate gives it. That
//! the certificate is good is the proxy's word; what a name is allowed to do is policy's matter.

use std::borrow::Cow;

use super::certificate::{CertificateError, CertificateNames};
use super::{SpiffeId, XfccError};
use crate::attributes::{Attributes, Headers};

/// Names under which a peer is known. There is none without a client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerIdentity<'a> {
    /// The one name a proxy reports by itself, of a kind it does not tell.
    principal: Cow<'a, str>,
    /// All of them with their kinds, if the proxy sends the certificate.
    certificate: Option<CertificateNames<'a>>,
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller<'a> {
    /// Whose identity policies look at.
    pub peer: PeerIdentity<'a>,
    /// The other end of the connection, if it spoke for somebody else.
    pub forwarded_by: Option<PeerIdentity<'a>>,
}

// === impl PeerIdentity ===

impl<'a> PeerIdentity<'a> {
    /// The identity a proxy reports in `source.principal`.
    pub fn new(principal: impl Into<Cow<'a, str>>) -> Self {
        Self {
            principal: principal.into(),
            certificate: None,
        }
    }

    /// The identity of the connection a request came over, with all names of `source.certificate`
    /// if it is there. The two must fit: a request in which they do not is not an honest proxy's.
    pub fn of(attributes: &'a Attributes) -> Result<Self, CertificateError> {
        let principal = attributes.source_principal();
        let certificate = attributes.source_certificate();
        if certificate.is_empty() {
            return Ok(Self::new(principal));
        }
        let names = CertificateNames::parse(certificate)?;
        let fits = match principal {
            "" => names.first().is_empty(),
            _ => names.iter().any(|name| name == principal),
        };
        if !fits {
            return Err(CertificateError::Principal);
        }
        Ok(Self {
            principal: Cow::Borrowed(principal),
            certificate: Some(names),
        })
    }

    /// The identity of a certificate in DER, by all its names. That it is good is for others to know.
    pub fn of_certificate(der: &[u8]) -> Result<PeerIdentity<'static>, CertificateError> {
        let names = CertificateNames::of(der)?;
        Ok(PeerIdentity {
            principal: names.first().clone(),
            certificate: Some(names),
        })
    }

    /// The identity that the proxy in front handed on in `x-forwarded-client-cert`; there is none
    /// if it told of none. Only for headers of a proxy whose word counts.
    pub fn forwarded(headers: &'a Headers) -> Result<Self, XfccError> {
        let names = CertificateNames::forwarded(headers)?;
        Ok(Self {
            principal: names.first().clone(),
            certificate: Some(names),
        })
    }

    /// Every name. Rule: Envoy's `authenticated` matcher tries all URI SANs, then all DNS SANs,
    /// then the subject, and is content with any.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let reported = match self.certificate {
            Some(_) => None,
            None => Some(self.principal.as_ref()),
        };
        let certified = self.certificate.iter().flat_map(CertificateNames::iter);
        certified.chain(reported).filter(|name| !name.is_empty())
    }

    /// The peer's SPIFFE id. Rule: a certificate with several URI SANs is no X.509-SVID, and
    /// neither a DNS SAN nor a subject that looks like an id makes one.
    pub fn spiffe_id(&self) -> Option<SpiffeId<'_>> {
        let uri = match &self.certificate {
            Some(names) => names.only_uri()?,
            None => &self.principal,
        };
        SpiffeId::parse(uri).ok()
    }

    /// The subject of its certificate, if that is known and not empty.
    pub fn subject(&self) -> Option<&str> {
        let subject = self
            .certificate
            .as_ref()
            .map(|names| names.subject.as_ref());
        subject.filter(|subject| !subject.is_empty())
    }

    /// The name shown in records, `None` without one.
    pub fn display(&self) -> Option<&str> {
        Some(self.principal.as_ref()).filter(|name| !name.is_empty())
    }
}

// === impl Caller ===

impl<'a> Caller<'a> {
    /// One that speaks for itself.
    pub fn direct(peer: PeerIdentity<'a>) -> Self {
        Self {
            peer,
            forwarded_by: None,
        }
    }

    /// The other end of the connection.
    pub fn connection(&self) -> &PeerIdentity<'a> {
        self.forwarded_by.as_ref().unwrap_or(&self.peer)
    }
}
