//! `crypto.x509.*` for certificates and requests: what they say, and whether a chain of them holds.
//! The results have the form of Go's types. Private keys are left to `private_keys`.

mod certificate;
mod extensions;
pub(super) mod key;
mod name;
mod names;
mod policy_tree;
mod request;
mod signature;
mod verify;

use regorus::Value;

use super::der::Reader;
use super::pem::{self, Blocks};
use super::{Answer, Builtin, Failure, NOW_NS, any, text};
pub(super) use certificate::Certificate;
use verify::{MAX_COMPARISONS, Options};

/// Most certificates of a text.
const MAX_CERTIFICATES: usize = 1_000;

/// Names of extended key usages, at Go's numbers for them.
const USAGES: [&str; 14] = [
    "KeyUsageAny",
    "KeyUsageServerAuth",
    "KeyUsageClientAuth",
    "KeyUsageCodeSigning",
    "KeyUsageEmailProtection",
    "KeyUsageIPSECEndSystem",
    "KeyUsageIPSECTunnel",
    "KeyUsageIPSECUser",
    "KeyUsageTimeStamping",
    "KeyUsageOCSPSigning",
    "KeyUsageMicrosoftServerGatedCrypto",
    "KeyUsageNetscapeServerGatedCrypto",
    "KeyUsageMicrosoftCommercialCodeSigning",
    "KeyUsageMicrosoftKernelCodeSigning",
];

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("crypto.x509.parse_certificates", 1, parse_certificates),
    // They read the clock.
    Builtin::reads_time(
        "crypto.x509.parse_and_verify_certificates",
        1,
        parse_and_verify,
    ),
    Builtin::reads_time(
        "crypto.x509.parse_and_verify_certificates_with_options",
        2,
        parse_and_verify_with_options,
    ),
    Builtin::pure("crypto.x509.parse_certificate_request", 1, parse_request),
];

fn parse_certificates(arguments: &[Value]) -> Answer {
    let der = der(text(arguments, 0)?)?;
    let certificates = certificates(&der)?;
    let values = certificates.iter().map(Certificate::to_value_with_texts);
    Ok(Value::from(values.collect::<Vec<_>>()))
}

/// Rule: `[true, chain]`, the leaf first; `[false, []]` for what cannot be read or is not valid.
fn parse_and_verify(arguments: &[Value]) -> Answer {
    verified(text(arguments, 0)?, || Ok(Options::default()), true).map(verdict)
}

/// Rule: the same without the texts of URLs. What is no option is an error, but only once the
/// certificates can be read.
fn parse_and_verify_with_options(arguments: &[Value]) -> Answer {
    let (text, options) = (text(arguments, 0)?, any(arguments, 1)?);
    if options.as_object().is_err() {
        return Err(Failure::Failed("options must be an object"));
    }
    verified(text, || Options::parse(options), false).map(verdict)
}

fn verdict(chain: Option<Vec<Value>>) -> Value {
    let valid = Value::from(chain.is_some());
    Value::from(vec![valid, Value::from(chain.unwrap_or_default())])
}

/// The chain as it is shown, if there is one.
fn verified<'o>(
    text: &str,
    options: impl FnOnce() -> Result<Options<'o>, Failure>,
    with_texts: bool,
) -> Result<Option<Vec<Value>>, Failure> {
    let Some(der) = readable(der(text))? else {
        return Ok(None);
    };
    let Some(certificates) = readable(certificates(&der))? else {
        return Ok(None);
    };
    let chain = verify::chain(&certificates, &options()?)?;
    let shown = |certificate: &Certificate<'_>| match with_texts {
        true => certificate.to_value_with_texts(),
        false => certificate.to_value(),
    };
    Ok(chain.map(|chain| chain.into_iter().map(shown).collect()))
}

/// What could be read; a limit stays a failure.
fn readable<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Failed(_)) => Ok(None),
        Err(limit @ Failure::Limit(_)) => Err(limit),
    }
}

/// Rule: PEM, or base64 of PEM or of DER.
fn parse_request(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?.as_bytes();
    let decoded;
    let bytes = match text.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----") {
        true => text,
        false => {
            decoded = pem::base64(text)?;
            &decoded
        }
    };
    match Blocks::of(bytes)?.next()? {
        None => request::value(bytes),
        Some(block) if block.label == b"CERTIFICATE REQUEST" => request::value(&block.bytes),
        Some(_) => Err(Failure::Failed("not a certificate signing request")),
    }
}

// === Reading ===

/// Certificates one behind the other. Rule: PEM, or base64 of PEM or of DER.
fn der(text: &str) -> Result<Vec<u8>, Failure> {
    if text.starts_with("-----BEGIN") {
        return of_blocks(text.as_bytes());
    }
    let bytes = pem::base64(text.as_bytes())?;
    match bytes.starts_with(b"-----BEGIN") {
        true => of_blocks(&bytes),
        false => Ok(bytes),
    }
}

/// Rule: nothing but certificates.
fn of_blocks(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut blocks = Blocks::of(text)?;
    let mut der = Vec::new();
    while let Some(block) = blocks.next()? {
        if block.label != b"CERTIFICATE" {
            return Err(Failure::Failed("a PEM block is not a certificate"));
        }
        der.extend(block.bytes);
    }
    Ok(der)
}

fn certificates(der: &[u8]) -> Result<Vec<Certificate<'_>>, Failure> {
    let mut reader = Reader::new(der);
    let mut certificates = Vec::new();
    while !reader.is_empty() {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(Failure::Limit(format!(
                "more than {MAX_CERTIFICATES} certificates are refused"
            )));
        }
        certificates.push(Certificate::parse(&mut reader)?);
    }
    Ok(certificates)
}

// === impl Options ===

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            dns_name: "",
            now: i128::from(NOW_NS.get()),
            comparisons: MAX_COMPARISONS,
            usages: Vec::new(),
        }
    }
}

impl<'o> Options<'o> {
    fn parse(value: &'o Value) -> Result<Self, Failure> {
        let mut options = Self::default();
        let Ok(members) = value.as_object() else {
            return Err(Failure::Failed("options must be an object"));
        };
        for (name, value) in members.iter() {
            // Rule: a name that is no string is passed over.
            let Value::String(name) = name else {
                continue;
            };
            match name.as_ref() {
                "DNSName" => options.dns_name = dns_name(value)?,
                "CurrentTime" => options.now = i128::from(integer(value)?),
                "KeyUsages" => options.usages = usages(value)?,
                // Rule: 0 is the default, below it there are none; more than it is ours to refuse.
                "MaxConstraintComparisons" => {
                    options.comparisons = match integer(value)? {
                        0 => MAX_COMPARISONS,
                        most => most.clamp(-1, MAX_COMPARISONS),
                    }
                }
                _ => return Err(Failure::Failed("invalid key option")),
            }
        }
        Ok(options)
    }
}

fn dns_name(value: &Value) -> Result<&str, Failure> {
    match value {
        Value::String(name) => Ok(name.trim_matches('"')),
        _ => Err(Failure::Failed("'DNSName' should be a string")),
    }
}

fn integer(value: &Value) -> Result<i64, Failure> {
    match value {
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
    .ok_or(Failure::Failed("an option should be a valid number"))
}

/// Rule: an array or a set; what is no string in it is passed over, a name that is none is not.
fn usages(value: &Value) -> Result<Vec<usize>, Failure> {
    let all: Vec<_> = match value {
        Value::Array(all) => all.iter().collect(),
        Value::Set(all) => all.iter().collect(),
        _ => return Err(Failure::Failed("'KeyUsages' should be an Array or Set")),
    };
    let names = all.into_iter().filter_map(|usage| match usage {
        Value::String(name) => Some(name.trim_matches('"')),
        _ => None,
    });
    let number = |name| USAGES.iter().position(|known| *known == name);
    let numbers: Option<_> = names.map(number).collect();
    numbers.ok_or(Failure::Failed("invalid entries for 'KeyUsages' found"))
}
