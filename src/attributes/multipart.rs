//! Bodies of type `multipart/form-data`, taken apart as Go's standard library does, which is what
//! opa-envoy-plugin uses. What a part's value means is left to the policy engine that wants it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// Most parts of a body.
const MAX_PARTS: usize = 10_000;
/// Most header lines of a part.
const MAX_HEADERS: usize = 64;

/// A named part.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub name: String,
    /// By its own content type.
    pub is_json: bool,
    pub value: Cow<'a, [u8]>,
}

/// Why a body cannot be taken apart. The texts are those of Go where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MultipartError {
    #[error("mime: {0}")]
    MediaType(&'static str),
    #[error("multipart: NextPart: EOF")]
    End,
    #[error("unexpected EOF")]
    UnexpectedEnd,
    #[error("multipart: expecting a new Part")]
    NoPart,
    #[error("malformed MIME header")]
    Header,
    #[error("quotedprintable: invalid escape")]
    QuotedPrintable,
    #[error("multipart: more than {MAX_PARTS} parts, or {MAX_HEADERS} headers in one")]
    TooMany,
}

/// The named parts in order; `None` if the content type names no boundary.
pub fn parts<'a>(
    content_type: &str,
    body: &'a [u8],
) -> Result<Option<Vec<Part<'a>>>, MultipartError> {
    let (_, parameters) = media_type(content_type)?;
    let Some(boundary) = parameters.get("boundary") else {
        return Ok(None);
    };
    if boundary.is_empty() {
        return Err(MultipartError::MediaType("empty boundary"));
    }
    let mut reader = Reader {
        rest: body,
        dashes: format!("--{boundary}").into_bytes(),
        newline: b"\r\n",
    };
    let mut parts = Vec::new();
    let mut seen = 0;
    let mut more = reader.first()?;
    while more {
        seen += 1;
        if seen > MAX_PARTS {
            return Err(MultipartError::TooMany);
        }
        let headers = reader.headers()?;
        let content = reader.content()?;
        parts.extend(part(&headers, content)?);
        more = reader.next()?;
    }
    Ok(Some(parts))
}

/// Rule: a part that is not `form-data` or has no name is left out.
fn part<'a>(
    headers: &[(String, String)],
    content: &'a [u8],
) -> Result<Option<Part<'a>>, MultipartError> {
    let header = |name: &str| {
        let mut headers = headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    };
    let quoted = header("content-transfer-encoding").eq_ignore_ascii_case("quoted-printable");
    let value = match quoted {
        true => Cow::Owned(quoted_printable(content)?),
        false => Cow::Borrowed(content),
    };
    // Rule: a disposition that cannot be read is none.
    let Ok((disposition, mut parameters)) = media_type(header("content-disposition")) else {
        return Ok(None);
    };
    let name = parameters.remove("name").unwrap_or_default();
    if disposition != "form-data" || name.is_empty() {
        return Ok(None);
    }
    Ok(Some(Part {
        name,
        is_json: header("content-type").contains("application/json"),
        value,
    }))
}

struct Reader<'a> {
    rest: &'a [u8],
    /// `--BOUNDARY`.
    dashes: Vec<u8>,
    newline: &'static [u8],
}

/// What a line between parts is.
enum Line {
    Boundary,
    LastBoundary,
    Other,
}

impl<'a> Reader<'a> {
    /// Skips what stands before the first boundary; tells whether a part follows.
    fn first(&mut self) -> Result<bool, MultipartError> {
        loop {
            let line = self.line();
            if line.is_empty() {
                return Err(MultipartError::End);
            }
            // Rule: lines end as the first boundary's does.
            let after = line.strip_prefix(self.dashes.as_slice());
            if after.is_some_and(|after| skip_blanks(after) == b"\n") {
                self.newline = b"\n";
            }
            match self.judge(line) {
                Line::Boundary => return Ok(true),
                Line::LastBoundary => return Ok(false),
                Line::Other => {}
            }
        }
    }

    /// After a part; tells whether another follows.
    fn next(&mut self) -> Result<bool, MultipartError> {
        self.rest = self.rest.strip_prefix(self.newline).unwrap_or(self.rest);
        let line = self.line();
        match self.judge(line) {
            Line::Boundary => Ok(true),
            Line::LastBoundary => Ok(false),
            Line::Other if line.is_empty() => Err(MultipartError::End),
            Line::Other => Err(MultipartError::NoPart),
        }
    }

    fn judge(&self, line: &[u8]) -> Line {
        let Some(after) = line.strip_prefix(self.dashes.as_slice()) else {
            return Line::Other;
        };
        if skip_blanks(after) == self.newline {
            return Line::Boundary;
        }
        let last = after.strip_prefix(b"--").map(skip_blanks);
        match last {
            Some(after) if after.is_empty() || after == self.newline => Line::LastBoundary,
            _ => Line::Other,
        }
    }

    /// The next line with its end; empty at the end of the body.
    fn line(&mut self) -> &'a [u8] {
        let newline = self.rest.iter().position(|byte| *byte == b'\n');
        let end = newline.map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        line
    }

    fn headers(&mut self) -> Result<Vec<(String, String)>, MultipartError> {
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let line = self.line();
            let Some(line) = line.strip_suffix(b"\n") else {
                return Err(MultipartError::UnexpectedEnd);
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                return Ok(headers);
            }
            if headers.len() == MAX_HEADERS {
                return Err(MultipartError::TooMany);
            }
            let text = String::from_utf8_lossy(line);
            // Rule: a line that begins with a blank goes on with the one before.
            if text.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut().ok_or(MultipartError::Header)?;
                value.push(' ');
                value.push_str(text.trim());
                continue;
            }
            let (name, value) = text.split_once(':').ok_or(MultipartError::Header)?;
            if !is_token(name) {
                return Err(MultipartError::Header);
            }
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// What stands before the next boundary, which may follow at once.
    fn content(&mut self) -> Result<&'a [u8], MultipartError> {
        if self.is_end(self.rest) {
            return Ok(&[]);
        }
        let mut from = 0;
        while let Some(found) = find(self.rest.get(from..).unwrap_or(&[]), self.newline) {
            let at = from + found;
            let after = self.rest.get(at + self.newline.len()..).unwrap_or(&[]);
            if self.is_end(after) {
                let (content, rest) = self.rest.split_at(at);
                self.rest = rest;
                return Ok(content);
            }
            from = at + 1;
        }
        Err(MultipartError::UnexpectedEnd)
    }

    /// Rule: a boundary is one only before a blank, the line's or body's end, or two dashes.
    fn is_end(&self, bytes: &[u8]) -> bool {
        match bytes.strip_prefix(self.dashes.as_slice()) {
            Some([] | [b' ' | b'\t' | b'\r' | b'\n', ..] | [b'-', b'-', ..]) => true,
            Some(_) | None => false,
        }
    }
}

fn find(bytes: &[u8], newline: &[u8]) -> Option<usize> {
    bytes
        .windows(newline.len())
        .position(|window| window == newline)
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    start
        .and_then(|start| bytes.get(start..))
        .unwrap_or_default()
}

/// RFC 2045: soft line breaks go, `=XX` is a byte, blanks at the end of a line are not content.
fn quoted_printable(content: &[u8]) -> Result<Vec<u8>, MultipartError> {
    let mut decoded = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let end = line.get(text.len()..).unwrap_or_default();
        let text = text.trim_ascii_end();
        let (text, soft) = match text.strip_suffix(b"=") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut rest = text;
        while let Some((first, after)) = rest.split_first() {
            if *first != b'=' {
                decoded.push(*first);
                rest = after;
                continue;
            }
            let digits = after
                .get(..2)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            let digits =
                digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            decoded.push(byte.ok_or(MultipartError::QuotedPrintable)?);
            rest = after.get(2..).unwrap_or_default();
        }
        if !soft {
            decoded.extend_from_slice(end);
        }
    }
    Ok(decoded)
}

type Parameters = BTreeMap<String, String>;

/// `type; name=value; name="value"`, names in lower case.
fn media_type(text: &str) -> Result<(String, Parameters), MultipartError> {
    let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let kind = kind.trim().to_ascii_lowercase();
    if kind.is_empty() || !kind.split('/').all(is_token) || kind.matches('/').count() > 1 {
        return Err(MultipartError::MediaType("no media type"));
    }
    let invalid = MultipartError::MediaType("invalid media parameter");
    let mut parameters = Parameters::new();
    // Rule: a semicolon at the end is not minded.
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| invalid.clone())?;
        let name = name.trim_start().to_ascii_lowercase();
        if !is_token(&name) {
            return Err(invalid);
        }
        let (value, after) = value(after).ok_or_else(|| invalid.clone())?;
        let after = after.trim_start();
        rest = match after.strip_prefix(';') {
            Some(after) => after,
            None if after.is_empty() => "",
            None => return Err(invalid),
        };
        let (name, value) = extended(name, value).ok_or_else(|| invalid.clone())?;
        if parameters.insert(name, value).is_some() {
            return Err(MultipartError::MediaType("duplicate parameter name"));
        }
    }
    Ok((kind, parameters))
}

/// A token or a quoted text, and what follows.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|character: char| !is_token_character(character));
        let (token, rest) = text.split_at(end.unwrap_or(text.len()));
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\r' | '\n' => return None,
            // Rule: a backslash hides only what is no part of a token, or paths would lose theirs.
            '\\' => match characters.peek() {
                Some((_, next)) if !is_token_character(*next) && next.is_ascii() => {
                    value.push(*next);
                    characters.next();
                }
                _ => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    None
}

/// RFC 2231: `name*=UTF-8''a%20b`. Values in pieces (`name*0`) are refused.
fn extended(name: String, value: String) -> Option<(String, String)> {
    let Some((base, piece)) = name.split_once('*') else {
        return Some((name, value));
    };
    if !piece.is_empty() {
        return None;
    }
    let mut fields = value.splitn(3, '\'');
    let (charset, _, text) = (fields.next()?, fields.next()?, fields.next()?);
    let is_known = ["utf-8", "us-ascii"]
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known));
    let text = percent_decode_str(text).decode_utf8_lossy();
    is_known.then(|| (base.to_owned(), text.into_owned()))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_character)
}

fn is_token_character(character: char) -> bool {
    character.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(character)
}
