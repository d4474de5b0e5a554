//! The names in a client certificate as a proxy hands it on: URL-encoded PEM. Nothing of it is
//! verified here, the proxy did that at the handshake; only which names there are is read.

mod subject;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Longest URL-encoded certificate that is read, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Most subject alternative names of a certificate that is read, of whatever kind.
const MAX_NAMES: usize = 128;

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Names of a certificate by their kinds, each in the certificate's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CertificateNames<'a> {
    pub(super) uris: Vec<Cow<'a, str>>,
    pub(super) dns: Vec<Cow<'a, str>>,
    /// As Envoy writes it; empty if the certificate's is.
    pub(super) subject: Cow<'a, str>,
}

/// Why a certificate's names cannot be told. No text of the certificate is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateError {
    #[error("is longer than {MAX_TEXT} bytes")]
    TooLong,
    #[error("is not one URL-encoded PEM block of a certificate")]
    Pem,
    #[error("is not an X.509 certificate")]
    X509,
    #[error("has invalid subject alternative names")]
    AlternativeNames,
    #[error("has more than {MAX_NAMES} subject alternative names")]
    TooManyNames,
    #[error("has a subject alternative name with control characters")]
    ControlCharacters,
    #[error("has a subject that cannot be written as text")]
    Subject,
    #[error("does not have the peer's principal among its names")]
    Principal,
}

impl CertificateNames<'static> {
    /// Reads a certificate out of URL-encoded PEM.
    pub(super) fn parse(text: &str) -> Result<Self, CertificateError> {
        if text.len() > MAX_TEXT {
            return Err(CertificateError::TooLong);
        }
        Self::of(&decode(text).ok_or(CertificateError::Pem)?)
    }

    /// Reads a certificate in DER.
    pub(super) fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der).map_err(|_| CertificateError::X509)?;
        let certificate = certificate.tbs_certificate();
        let mut names = Self {
            subject: subject::to_text(certificate.subject())
                .ok_or(CertificateError::Subject)?
                .into(),
            ..Self::default()
        };
        // A second extension of the kind is an error here; Envoy would see no names at all.
        let alternative = certificate
            .get_extension::<SubjectAltName>()
            .map_err(|_| CertificateError::AlternativeNames)?;
        if let Some((_, SubjectAltName(alternative))) = alternative {
            names.add(&alternative)?;
        }
        Ok(names)
    }

    fn add(&mut self, alternative: &[GeneralName]) -> Result<(), CertificateError> {
        if alternative.len() > MAX_NAMES {
            return Err(CertificateError::TooManyNames);
        }
        for name in alternative {
            let (text, names) = match name {
                GeneralName::UniformResourceIdentifier(uri) => (uri, Some(&mut self.uris)),
                GeneralName::DnsName(name) => (name, Some(&mut self.dns)),
                GeneralName::Rfc822Name(address) => (address, None),
                _ => continue,
            };
            // A NUL ends the name for some readers and not for others.
            let text = text.as_str();
            if text.bytes().any(|byte| byte.is_ascii_control()) {
                return Err(CertificateError::ControlCharacters);
            }
            if let Some(names) = names {
                names.push(Cow::Owned(text.to_owned()));
            }
        }
        Ok(())
    }
}

impl<'a> CertificateNames<'a> {
    /// All names, the way policies look at them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let alternative = self.uris.iter().chain(&self.dns);
        alternative
            .chain(std::iter::once(&self.subject))
            .map(Cow::as_ref)
    }

    /// Rule: the name a proxy reports is the first URI SAN, else the first DNS SAN, else the
    /// subject.
    pub(super) fn first(&self) -> &Cow<'a, str> {
        let alternative = self.uris.first().or(self.dns.first());
        alternative.unwrap_or(&self.subject)
    }

    /// The URI SAN, if there is exactly one.
    pub(super) fn only_uri(&self) -> Option<&str> {
        match self.uris.as_slice() {
            [uri] => Some(uri),
            _ => None,
        }
    }
}

/// The DER behind the URL-encoding and the PEM armour; `None` for anything but one whole block.
fn decode(text: &str) -> Option<Vec<u8>> {
    let pem = percent_decode_str(text).decode_utf8().ok()?;
    let body = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let body: Vec<u8> = body.bytes().filter(|byte| !is_break(byte)).collect();
    STANDARD.decode(body).ok()
}
