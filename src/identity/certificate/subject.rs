//! A certificate's subject as Envoy writes it: RFC 2253, last part first, in the form OpenSSL
//! gives it. Policies compare this text, so it must be the same to the letter.

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::{Encode as _, Tag, Tagged as _};
use x509_cert::name::Name;

/// Short names of attributes; others are written as their number.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.2.840.113549.1.9.8", "unstructuredAddress"),
    ("1.3.6.1.4.1.311.20.2.3", "msUPN"),
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.14", "searchGuide"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.16", "postalAddress"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.18", "postOfficeBox"),
    ("2.5.4.19", "physicalDeliveryOfficeName"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.22", "teletexTerminalIdentifier"),
    ("2.5.4.23", "facsimileTelephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.49", "distinguishedName"),
    ("2.5.4.50", "uniqueMember"),
    ("2.5.4.51", "houseIdentifier"),
    ("2.5.4.54", "dmdName"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.72", "role"),
];

/// The text; `None` if a value is not what its type says.
pub(super) fn to_text(name: &Name) -> Option<String> {
    let mut text = String::new();
    // Rule: parts in reverse order, apart by commas; several attributes of one part by `+`.
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        let attributes: Vec<_> = part.iter().collect();
        for (inner, attribute) in attributes.iter().rev().enumerate() {
            match (index, inner) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            write_attribute(attribute, &mut text)?;
        }
    }
    Some(text)
}

fn write_attribute(attribute: &AttributeTypeAndValue, text: &mut String) -> Option<()> {
    let number = attribute.oid.to_string();
    let short = ATTRIBUTES.iter().find(|(known, _)| *known == number);
    text.push_str(short.map_or(&number, |(_, short)| short));
    text.push('=');
    // Rule: a value of an attribute that is not known is `#` and its encoding in hexadecimal.
    if short.is_some() {
        escape(&characters(attribute)?, text);
    } else {
        text.push('#');
        for byte in attribute.value.to_der().ok()? {
            push_hexadecimal(byte, text);
        }
    }
    Some(())
}

/// Rule: types of one byte a character are read as Latin-1, the others by their own encoding.
/// With a value of any other type a handshake with Envoy fails.
fn characters(attribute: &AttributeTypeAndValue) -> Option<String> {
    let bytes = attribute.value.value();
    match attribute.value.tag() {
        Tag::Utf8String => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Tag::BmpString => utf16(bytes),
        Tag::NumericString | Tag::PrintableString | Tag::TeletexString | Tag::Ia5String => {
            Some(bytes.iter().map(|byte| char::from(*byte)).collect())
        }
        _ => None,
    }
}

/// Characters of two bytes each; there are no pairs that stand for one.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let character = |pair: &[u8; 2]| char::from_u32(u32::from(u16::from_be_bytes(*pair)));
    pairs.iter().map(character).collect()
}

/// Rule: `,+"\<>;` anywhere, `#` and a space at the beginning and a space at the end have a
/// backslash in front; control characters and bytes beyond ASCII are a backslash and their number.
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
            || (at == 0 && matches!(byte, b' ' | b'#'))
            || (at == last && byte == b' ');
        if special {
            text.push('\\');
            text.push(char::from(byte));
        } else if byte.is_ascii_control() || !byte.is_ascii() {
            text.push('\\');
            push_hexadecimal(byte, text);
        } else {
            text.push(char::from(byte));
        }
    }
}

fn push_hexadecimal(byte: u8, text: &mut String) {
    for digit in [byte >> 4, byte & 15] {
        let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
        text.push(digit.to_ascii_uppercase());
    }
}
