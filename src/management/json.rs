//! Bodies as OPA writes them: compact JSON and a line break.

use axum::http::header::{CONTENT_TYPE, ETAG, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[cfg(test)]
mod tests;

/// Longest indented text, in bytes.
const MAX_INDENTED: usize = 16 << 20;
const INDENT: &str = "  ";

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => json_text(StatusCode::OK, text),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The same, with the revision that `If-Match` of a write can name.
#[derive(Debug)]
pub(super) struct AtRevision<T>(pub(super) u64, pub(super) T);

impl<T: Serialize> IntoResponse for AtRevision<T> {
    fn into_response(self) -> Response {
        at_revision(self.0, Json(self.1))
    }
}

/// Any answer with that revision.
pub(super) fn at_revision(revision: u64, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().extend(etag(revision));
    response
}

/// A revision as an entity tag.
pub(super) fn etag(revision: u64) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::try_from(format!("\"{revision}\"")).ok()?;
    Some((ETAG, value))
}

/// A response of JSON text, which no browser is to take for anything else.
pub(super) fn json_text(status: StatusCode, mut text: String) -> Response {
    text.push('\n');
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Rule: what a browser could take for markup is written as escapes.
pub(super) fn escaped(text: &str) -> String {
    // Outside of strings JSON has none of these.
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e");
    text.replace('&', "\\u0026")
}

/// A part of indented JSON.
enum Part {
    Character(char),
    /// A line that begins so deep.
    Line(usize),
}

/// Compact JSON on lines of their own, two spaces deeper each. What would become too long stays as it is:
/// a few bytes at a great depth are thousands.
pub(super) fn indented(text: &str) -> String {
    let mut length = 0_usize;
    parts(text, |part| length = length.saturating_add(part.length()));
    if length > MAX_INDENTED {
        return text.to_owned();
    }
    let mut out = String::with_capacity(length);
    parts(text, |part| match part {
        Part::Character(character) => out.push(character),
        Part::Line(depth) => {
            out.push('\n');
            out.extend(std::iter::repeat_n(INDENT, depth));
        }
    });
    out
}

impl Part {
    fn length(&self) -> usize {
        match self {
            Self::Character(character) => character.len_utf8(),
            Self::Line(depth) => 1 + depth * INDENT.len(),
        }
    }
}

fn parts(text: &str, mut take: impl FnMut(Part)) {
    let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            take(Part::Character(character));
            continue;
        }
        if matches!(character, '}' | ']') {
            depth = usize::saturating_sub(depth, 1);
            take(Part::Line(depth));
        }
        take(Part::Character(character));
        match character {
            '{' | '[' => match characters.next_if(|next| matches!(next, '}' | ']')) {
                Some(close) => take(Part::Character(close)),
                None => {
                    depth += 1;
                    take(Part::Line(depth));
                }
            },
            ',' => take(Part::Line(depth)),
            ':' => take(Part::Character(' ')),
            other => in_string = other == '"',
        }
    }
}
