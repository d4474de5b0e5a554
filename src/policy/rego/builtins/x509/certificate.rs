//! One certificate (RFC 5280 section 4.1): its parts, each where it stands in the encoding, and how
//! OPA shows it. Whom it is signed by is left to `verify`.

use num_bigint::BigUint;
use regorus::Value;

use super::super::Failure;
use super::super::der::{Reader, SEQUENCE, context, explicit};
use super::super::go_json::{bytes, insert, list, natural, object, oid, optional_bytes, text};
use super::extensions::{Extended, Extension};
use super::key::{Algorithm, KeyType, PublicKey};
use super::name::{Name, Time, string};
use super::names::texts;
use super::signature::SignatureAlgorithm;

pub(in super::super) struct Certificate<'a> {
    pub(super) raw: &'a [u8],
    /// What is signed.
    pub(super) raw_tbs: &'a [u8],
    pub(super) raw_key: &'a [u8],
    pub(super) raw_subject: &'a [u8],
    pub(super) raw_issuer: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) signature_algorithm: SignatureAlgorithm,
    key_type: KeyType,
    pub(in super::super) key: PublicKey<'a>,
    pub(super) version: i64,
    serial_number: BigUint,
    issuer: Name,
    subject: Name,
    pub(super) not_before: Time,
    pub(super) not_after: Time,
    pub(super) extensions: Vec<Extension<'a>>,
    pub(super) extended: Extended<'a>,
}

impl<'a> Certificate<'a> {
    /// The certificate that the bytes begin with.
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, Failure> {
        let outer = reader.element(SEQUENCE)?;
        let mut parts = Reader::new(outer.content);
        let tbs = parts.element(SEQUENCE)?;
        let mut fields = Reader::new(tbs.content);

        let version = version(&mut fields)?;
        let serial_number = fields.natural()?;
        let algorithm = fields.element(SEQUENCE)?;
        // Rule: the algorithm that is signed and the one beside the signature are the same.
        if parts.content(SEQUENCE)? != algorithm.content {
            return Err(Failure::Failed("signature algorithms do not match"));
        }
        let algorithm = Algorithm::parse(Reader::new(algorithm.content))?;
        let issuer = fields.element(SEQUENCE)?;
        let mut validity = fields.sequence()?;
        let not_before = Time::parse(validity.any()?)?;
        let not_after = Time::parse(validity.any()?)?;
        let subject = fields.element(SEQUENCE)?;
        let key_info = fields.element(SEQUENCE)?;
        let (key_type, key) = PublicKey::parse(Reader::new(key_info.content))?;
        let extensions = extensions(version, &mut fields)?;
        Ok(Self {
            raw: outer.whole,
            raw_tbs: tbs.whole,
            raw_key: key_info.whole,
            raw_subject: subject.whole,
            raw_issuer: issuer.whole,
            signature: parts.bits()?.right_aligned(),
            signature_algorithm: SignatureAlgorithm::of(&algorithm),
            key_type,
            key,
            version,
            serial_number,
            issuer: Name::parse(Reader::new(issuer.content), string)?,
            subject: Name::parse(Reader::new(subject.content), string)?,
            not_before,
            not_after,
            extended: Extended::of(&extensions)?,
            extensions,
        })
    }

    /// A text of nothing but one certificate.
    pub(in super::super) fn parse_only(der: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(der);
        let certificate = Self::parse(&mut reader)?;
        match reader.is_empty() {
            true => Ok(certificate),
            false => Err(Failure::Failed("trailing data")),
        }
    }

    /// The extension that says which names the certificate is for.
    pub(super) fn names_extension(&self) -> Option<&[u8]> {
        let names = self
            .extensions
            .iter()
            .find(|extension| extension.is_names());
        names.map(|extension| extension.value)
    }

    pub(in super::super) fn to_value(&self) -> Value {
        let mut value = object([
            ("Raw", bytes(self.raw)),
            ("RawTBSCertificate", bytes(self.raw_tbs)),
            ("RawSubjectPublicKeyInfo", bytes(self.raw_key)),
            ("RawSubject", bytes(self.raw_subject)),
            ("RawIssuer", bytes(self.raw_issuer)),
            ("Signature", bytes(&self.signature)),
            (
                "SignatureAlgorithm",
                Value::from(self.signature_algorithm as u32),
            ),
            ("PublicKeyAlgorithm", Value::from(self.key_type as u32)),
            ("PublicKey", self.key.to_value()),
            ("Version", Value::from(self.version)),
            ("SerialNumber", natural(&self.serial_number)),
            ("Issuer", self.issuer.to_value()),
            ("Subject", self.subject.to_value()),
            ("NotBefore", self.not_before.to_value()),
            ("NotAfter", self.not_after.to_value()),
            ("Extensions", list(&self.extensions, Extension::to_value)),
            ("ExtraExtensions", Value::Null),
        ]);
        self.add_usage(&mut value);
        self.add_names(&mut value);
        self.add_policies(&mut value);
        value
    }

    /// The same with the texts of its URLs, which OPA adds.
    pub(super) fn to_value_with_texts(&self) -> Value {
        let mut value = self.to_value();
        insert(
            &mut value,
            [("URIStrings", self.extended.names.url_strings())],
        );
        value
    }

    fn add_usage(&self, value: &mut Value) {
        let extended = &self.extended;
        let (is_ca, path_length) = match &extended.basic {
            Some(basic) => (basic.is_ca, basic.path_length),
            None => (false, 0),
        };
        let has_basic = extended.basic.is_some();
        insert(
            value,
            [
                (
                    "UnhandledCriticalExtensions",
                    list(&extended.unhandled, |id| oid(id)),
                ),
                ("KeyUsage", Value::from(extended.key_usage)),
                (
                    "ExtKeyUsage",
                    list(&extended.extended_key_usage, |usage| Value::from(*usage)),
                ),
                (
                    "UnknownExtKeyUsage",
                    list(&extended.unknown_key_usage, |usage| oid(usage)),
                ),
                ("BasicConstraintsValid", Value::from(has_basic)),
                ("IsCA", Value::from(is_ca)),
                ("MaxPathLen", Value::from(path_length)),
                ("MaxPathLenZero", Value::from(has_basic && path_length == 0)),
                ("SubjectKeyId", optional_bytes(extended.subject_key_id)),
                ("AuthorityKeyId", optional_bytes(extended.authority_key_id)),
            ],
        );
    }

    fn add_names(&self, value: &mut Value) {
        let Extended {
            names,
            permitted,
            excluded,
            ..
        } = &self.extended;
        let urls = |urls: &[&[u8]]| list(urls, |url| text(url));
        insert(
            value,
            [
                ("OCSPServer", urls(&self.extended.ocsp_servers)),
                ("IssuingCertificateURL", urls(&self.extended.issuer_urls)),
                ("CRLDistributionPoints", urls(&self.extended.crl_urls)),
                ("DNSNames", texts(&names.dns)),
                ("EmailAddresses", texts(&names.emails)),
                ("IPAddresses", names.ips()),
                ("URIs", names.urls()),
                (
                    "PermittedDNSDomainsCritical",
                    Value::from(self.extended.constraints_critical),
                ),
                ("PermittedDNSDomains", permitted.dns()),
                ("ExcludedDNSDomains", excluded.dns()),
                ("PermittedIPRanges", permitted.networks()),
                ("ExcludedIPRanges", excluded.networks()),
                ("PermittedEmailAddresses", permitted.emails()),
                ("ExcludedEmailAddresses", excluded.emails()),
                ("PermittedURIDomains", permitted.hosts()),
                ("ExcludedURIDomains", excluded.hosts()),
            ],
        );
    }

    fn add_policies(&self, value: &mut Value) {
        let extended = &self.extended;
        let number = |number: Option<i64>| Value::from(number.unwrap_or_default());
        let is_zero = |number: Option<i64>| Value::from(number == Some(0));
        insert(
            value,
            [
                ("PolicyIdentifiers", extended.policy_identifiers()),
                ("Policies", extended.policies()),
                ("PolicyMappings", extended.policy_mappings()),
                ("InhibitAnyPolicy", number(extended.inhibit_any_policy)),
                ("InhibitAnyPolicyZero", is_zero(extended.inhibit_any_policy)),
                (
                    "InhibitPolicyMapping",
                    number(extended.inhibit_policy_mapping),
                ),
                (
                    "InhibitPolicyMappingZero",
                    is_zero(extended.inhibit_policy_mapping),
                ),
                (
                    "RequireExplicitPolicy",
                    number(extended.require_explicit_policy),
                ),
                (
                    "RequireExplicitPolicyZero",
                    is_zero(extended.require_explicit_policy),
                ),
            ],
        );
    }
}

/// Rule: 1, 2 or 3, written as one less, and 1 if it is left out.
fn version(fields: &mut Reader<'_>) -> Result<i64, Failure> {
    let Some(version) = fields.optional(explicit(0))? else {
        return Ok(1);
    };
    let mut version = Reader::new(version.content);
    match (version.integer()?, version.is_empty()) {
        (written @ 0..=2, true) => Ok(written + 1),
        _ => Err(Failure::Failed("invalid version")),
    }
}

/// Rule: what is behind the key depends on the version; extensions are of the third.
fn extensions<'a>(version: i64, fields: &mut Reader<'a>) -> Result<Vec<Extension<'a>>, Failure> {
    if version > 1 {
        fields.optional(context(1))?;
        fields.optional(context(2))?;
    }
    match fields.optional(explicit(3))?.filter(|_| version == 3) {
        Some(extensions) => Extension::all(Reader::new(extensions.content).sequence()?),
        None => Ok(Vec::new()),
    }
}
