//! Makes certificates for tests, byte by byte, so that they can be as odd as a test needs. They
//! are not signed: nobody here looks at signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const UTF8: u8 = 0x0c;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// Number, type and value.
pub(crate) type SubjectAttribute<'a> = (&'a [u8], u8, &'a [u8]);

/// A certificate being made.
#[derive(Debug, Clone, Default)]
pub(crate) struct CertificateMaker {
    /// Encoded parts.
    subject: Vec<Vec<u8>>,
    alternative: Vec<u8>,
    extensions: Vec<u8>,
}

impl CertificateMaker {
    /// With URI SANs and nothing else.
    pub(crate) fn with_uris(uris: &[&str]) -> Self {
        let maker = Self::default();
        uris.iter().fold(maker, |maker, uri| maker.uri(uri))
    }

    pub(crate) fn uri(self, uri: &str) -> Self {
        self.alternative(0x86, uri.as_bytes())
    }

    pub(crate) fn dns(self, name: &str) -> Self {
        self.alternative(0x82, name.as_bytes())
    }

    /// A SAN by its tag.
    pub(crate) fn alternative(mut self, tag: u8, value: &[u8]) -> Self {
        self.alternative.extend(element(tag, value));
        self
    }

    /// Ends the SAN extension; what follows goes into another.
    pub(crate) fn end_of_alternative(mut self) -> Self {
        let names = element(0x30, &self.alternative);
        self.alternative.clear();
        let number = element(6, &[0x55, 0x1d, 0x11]);
        let extension = [number, element(4, &names)].concat();
        self.extensions.extend(element(0x30, &extension));
        self
    }

    pub(crate) fn common_name(self, name: &str) -> Self {
        self.part(&[(COMMON_NAME, UTF8, name.as_bytes())])
    }

    /// A part of the subject.
    pub(crate) fn part(mut self, attributes: &[SubjectAttribute<'_>]) -> Self {
        let attribute = |(number, tag, value): &SubjectAttribute<'_>| {
            element(0x30, &[element(6, number), element(*tag, value)].concat())
        };
        let mut attributes: Vec<_> = attributes.iter().map(attribute).collect();
        attributes.sort();
        self.subject.push(element(0x31, &attributes.concat()));
        self
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let whole = match self.alternative.is_empty() {
            true => self.clone(),
            false => self.clone().end_of_alternative(),
        };
        let algorithm = element(0x30, &element(6, &[0x2b, 0x65, 0x70]));
        let time = element(0x17, b"200101000000Z");
        let key = [algorithm.clone(), element(3, &[0; 33])].concat();
        let mut parts = vec![
            element(0xa0, &element(2, &[2])),
            element(2, &[1]),
            algorithm.clone(),
            element(0x30, b""),
            element(0x30, &[time.clone(), time].concat()),
            element(0x30, &whole.subject.concat()),
            element(0x30, &key),
        ];
        if !whole.extensions.is_empty() {
            parts.push(element(0xa3, &element(0x30, &whole.extensions)));
        }
        let signed = element(0x30, &parts.concat());
        let signature = element(3, &[0; 65]);
        element(0x30, &[signed, algorithm, signature].concat())
    }

    /// As a proxy sends it.
    pub(crate) fn text(&self) -> String {
        encode(&pem(&self.der()))
    }
}

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<_> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut bytes = vec![tag];
    if content.len() >= 128 {
        bytes.push(0x80 | u8::try_from(length.len()).unwrap());
    }
    match length.as_slice() {
        [] => bytes.push(0),
        length => bytes.extend(length),
    }
    bytes.extend(content);
    bytes
}

pub(super) fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

pub(super) fn encode(pem: &str) -> String {
    utf8_percent_encode(pem, NON_ALPHANUMERIC).to_string()
}
