//! Header `x-forwarded-client-cert`, by which a proxy in front hands on who its client was, in
//! Envoy's format. Whoever may send a header can write it: whose word counts is left to others.

use std::borrow::Cow;

use thiserror::Error;

use super::certificate::CertificateNames;
use crate::attributes::Headers;

/// The header, in lower case.
pub const XFCC_HEADER: &str = "x-forwarded-client-cert";

/// Longest header that is read, all lines together, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// Most names of one client.
const MAX_NAMES: usize = 128;

/// Why the header cannot be read. No text of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum XfccError {
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("holds more than {MAX_NAMES} names")]
    TooManyNames,
    #[error("holds other characters than printable ASCII")]
    Characters,
    #[error("is not a list of `key=value;…` elements")]
    Form,
}

impl<'a> CertificateNames<'a> {
    /// Names in the last element of the last line: what the proxy that sends the header put
    /// there. All before it may be the client's own words, so all of it must be well-formed: an
    /// open quote there could swallow what was appended.
    pub(super) fn forwarded(headers: &'a Headers) -> Result<Self, XfccError> {
        let mut length = 0;
        let mut names = Self::default();
        for line in headers.values(XFCC_HEADER) {
            length += line.len();
            if length > MAX_LENGTH {
                return Err(XfccError::TooLong);
            }
            let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
            if !line.iter().all(is_printable) {
                return Err(XfccError::Characters);
            }
            let line = std::str::from_utf8(line).map_err(|_| XfccError::Characters)?;
            names = last_of_line(line)?;
        }
        Ok(names)
    }

    /// Takes what policies look at out of one pair of an element. Rule: keys in any case; `URI`
    /// and `DNS` once for each name, empty if there is none.
    fn set(&mut self, key: &str, value: &'a str) -> Result<(), XfccError> {
        let names = match key.to_ascii_lowercase().as_str() {
            "uri" => &mut self.uris,
            "dns" => &mut self.dns,
            // Rule: the subject is quoted in RFC 2253's own escapes, which belong to it.
            "subject" if self.subject.is_empty() => {
                self.subject = Cow::Borrowed(value);
                return Ok(());
            }
            "subject" => return Err(XfccError::Form),
            _ => return Ok(()),
        };
        if names.len() == MAX_NAMES {
            return Err(XfccError::TooManyNames);
        }
        // Neither kind of name can hold a character that is escaped.
        if value.contains(['"', '\\']) {
            return Err(XfccError::Form);
        }
        if !value.is_empty() {
            names.push(Cow::Borrowed(value));
        }
        Ok(())
    }
}

/// Rule: elements are apart by commas, pairs of an element by semicolons; a line can be empty.
fn last_of_line(line: &str) -> Result<CertificateNames<'_>, XfccError> {
    let mut rest = line.trim();
    let mut names = CertificateNames::default();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').ok_or(XfccError::Form)?;
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if key.is_empty() || !key.bytes().all(is_key) {
            return Err(XfccError::Form);
        }
        let (value, behind) = value(behind)?;
        names.set(key, value)?;
        rest = match behind.split_at_checked(1) {
            None => return Ok(names),
            // Something must follow.
            Some((";", next)) if !next.is_empty() => next,
            Some((",", next)) if !next.is_empty() => {
                names = CertificateNames::default();
                next.trim_start()
            }
            Some(_) => return Err(XfccError::Form),
        };
    }
    Ok(names)
}

/// A value without its quotes, but with the escapes inside them, and what follows. Rule: it is
/// quoted as a whole or not at all; in quotes a backslash escapes the next character.
fn value(text: &str) -> Result<(&str, &str), XfccError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (text, behind) = text.split_at_checked(end).ok_or(XfccError::Form)?;
        let text = text.trim_end();
        return match text.contains('"') {
            true => Err(XfccError::Form),
            false => Ok((text, behind)),
        };
    };
    let mut bytes = quoted.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => {
                let (text, behind) = quoted.split_at_checked(at).ok_or(XfccError::Form)?;
                let behind = behind.get(1..).unwrap_or_default().trim_start();
                return Ok((text, behind));
            }
            _ => {}
        }
    }
    Err(XfccError::Form)
}
