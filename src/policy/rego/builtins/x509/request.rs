//! Certificate signing requests (RFC 2986), as OPA shows them. Their signatures are not checked.

use std::collections::BTreeSet;

use regorus::Value;

use super::super::Failure;
use super::super::der::{
    BIT_STRING, BOOLEAN, Element, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Oid,
    Reader, SEQUENCE, SET, T61_STRING, UTC_TIME, explicit, small,
};
use super::super::go_json::{bytes, list, object, oid, text};
use super::extensions::Extension;
use super::key::{Algorithm, PublicKey};
use super::name::{Name, Time, string};
use super::names::{Names, texts};
use super::signature::SignatureAlgorithm;

/// `extensionRequest` of PKCS #9.
const EXTENSION_REQUEST: &[u32] = &[1, 2, 840, 113_549, 1, 9, 14];

/// Pairs of a type and a value.
type Pairs = Vec<(Oid, Value)>;

/// The value of a request's DER.
pub(super) fn value(der: &[u8]) -> Result<Value, Failure> {
    let mut reader = Reader::new(der);
    let outer = reader.element(SEQUENCE)?;
    if !reader.is_empty() {
        return Err(Failure::Failed("trailing data"));
    }
    let mut parts = Reader::new(outer.content);
    let tbs = parts.element(SEQUENCE)?;
    let algorithm = Algorithm::parse(parts.sequence()?)?;
    let signature = parts.bits()?.right_aligned();

    let mut fields = Reader::new(tbs.content);
    let version = fields.integer()?;
    let subject = fields.element(SEQUENCE)?;
    let key_info = fields.element(SEQUENCE)?;
    let (key_type, key) = PublicKey::parse(Reader::new(key_info.content))?;
    let attributes = attributes(fields.inside(explicit(0))?)?;
    let requested = requested(&attributes)?;
    let names = requested.iter().find(|extension| extension.is_names());
    let names = names.map_or_else(
        || Ok(Names::default()),
        |extension| Names::parse(Reader::new(extension.value)),
    )?;
    Ok(object([
        ("Raw", bytes(outer.whole)),
        ("RawTBSCertificateRequest", bytes(tbs.whole)),
        ("RawSubjectPublicKeyInfo", bytes(key_info.whole)),
        ("RawSubject", bytes(subject.whole)),
        ("Version", Value::from(version)),
        ("Signature", bytes(&signature)),
        (
            "SignatureAlgorithm",
            Value::from(SignatureAlgorithm::of(&algorithm) as u32),
        ),
        ("PublicKeyAlgorithm", Value::from(key_type as u32)),
        ("PublicKey", key.to_value()),
        (
            "Subject",
            Name::parse(Reader::new(subject.content), any)?.to_value(),
        ),
        ("Attributes", list_of(attributes.iter().filter_map(shown))),
        ("Extensions", list(&requested, Extension::to_value)),
        ("ExtraExtensions", Value::Null),
        ("DNSNames", texts(&names.dns)),
        ("EmailAddresses", texts(&names.emails)),
        ("IPAddresses", names.ips()),
        ("URIs", names.urls()),
    ]))
}

fn list_of(values: impl Iterator<Item = Value>) -> Value {
    list(&values.collect::<Vec<_>>(), Value::clone)
}

fn attributes(mut all: Reader<'_>) -> Result<Vec<Element<'_>>, Failure> {
    let mut attributes = Vec::new();
    while !all.is_empty() {
        attributes.push(all.any()?);
    }
    Ok(attributes)
}

/// The extensions that are asked for. Rule: of each such attribute the first value; what is no
/// attribute is passed over.
fn requested<'a>(attributes: &[Element<'a>]) -> Result<Vec<Extension<'a>>, Failure> {
    let mut requested: Vec<Extension<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    for attribute in attributes {
        let Ok(Some(first)) = first_request(attribute) else {
            continue;
        };
        for extension in Extension::all(Reader::new(first).sequence()?)? {
            if !seen.insert(extension.id.clone()) {
                return Err(Failure::Failed("duplicate requested extensions"));
            }
            requested.push(extension);
        }
    }
    Ok(requested)
}

fn first_request<'a>(attribute: &Element<'a>) -> Result<Option<&'a [u8]>, Failure> {
    let mut attribute = Reader::new(attribute.whole).sequence()?;
    let is_request = attribute.oid()? == EXTENSION_REQUEST;
    let mut values = attribute.inside(SET)?;
    if values.is_empty() {
        return Ok(None);
    }
    let first = values.any()?.whole;
    while !values.is_empty() {
        values.any()?;
    }
    Ok(is_request.then_some(first))
}

/// An attribute whose values are lists of types and values; of others nothing is shown.
fn shown(attribute: &Element<'_>) -> Option<Value> {
    let mut attribute = Reader::new(attribute.whole).sequence().ok()?;
    let kind = attribute.oid().ok()?;
    let mut set = attribute.inside(SET).ok()?;
    let mut values = Vec::new();
    while !set.is_empty() {
        let pairs = pairs(set.sequence().ok()?).ok()?;
        let pair =
            |(kind, value): &(Oid, Value)| object([("Type", oid(kind)), ("Value", value.clone())]);
        values.push(Value::from(pairs.iter().map(pair).collect::<Vec<_>>()));
    }
    Some(object([
        ("Type", oid(&kind)),
        ("Value", Value::from(values)),
    ]))
}

fn pairs(mut list: Reader<'_>) -> Result<Pairs, Failure> {
    let mut pairs = Vec::new();
    while !list.is_empty() {
        let mut pair = list.sequence()?;
        pairs.push((pair.oid()?, any(pair.any()?)?));
    }
    Ok(pairs)
}

/// Rule: a value of a type that Go has a type for; anything else is `null`.
fn any(element: Element<'_>) -> Result<Value, Failure> {
    let mut reader = Reader::new(element.whole);
    Ok(match element.tag {
        BOOLEAN => Value::from(reader.boolean()?),
        INTEGER => Value::from(small(element.content)?),
        BIT_STRING => {
            let bits = reader.bits()?;
            let length = bits.bytes.len() * 8 - usize::from(bits.unused);
            object([
                ("Bytes", bytes(bits.bytes)),
                ("BitLength", Value::from(length)),
            ])
        }
        OCTET_STRING => bytes(element.content),
        OBJECT_IDENTIFIER => oid(&reader.oid()?),
        UTC_TIME | GENERALIZED_TIME => Time::parse(element)?.to_value(),
        T61_STRING => text(element.content),
        _ => match string(element) {
            Ok(value) => value,
            Err(failure) if is_string(element.tag) => return Err(failure),
            Err(_) => Value::Null,
        },
    })
}

fn is_string(tag: u8) -> bool {
    use super::super::der::{
        BMP_STRING, IA5_STRING, NUMERIC_STRING, PRINTABLE_STRING, UTF8_STRING,
    };
    matches!(
        tag,
        BMP_STRING | IA5_STRING | NUMERIC_STRING | PRINTABLE_STRING | UTF8_STRING
    )
}
