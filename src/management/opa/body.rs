//! Bodies of OPA's API: JSON or YAML, compressed or not, and the input document in them.

use std::io::Read;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use flate2::read::MultiGzDecoder;

use super::super::error::ApiError;
use crate::policy::rego::Data;
use crate::yaml::Document;

/// Largest body once it is decompressed, in bytes.
const MAX_DECOMPRESSED: u64 = 256 << 20;

/// Reads a document; `None` if there is no body. `what` is what errors call it.
pub(in super::super) fn document(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    what: &str,
) -> Result<Option<Data>, ApiError> {
    // Rule: a body that is too large is a bad one.
    let bytes = body.map_err(|_| ApiError::invalid("request body too large"))?;
    let has = |name, part: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(part))
    };
    let bytes = match has(CONTENT_ENCODING, "gzip") {
        true => decompressed(&bytes)?,
        false => bytes.into(),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let malformed = |why: String| ApiError::invalid(format!("{what}: {why}"));
    if has(CONTENT_TYPE, "yaml") {
        let text = String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8".to_owned()))?;
        let documents = Document::parse_stream(&text);
        let mut documents = documents
            .map_err(|problem| malformed(problem.to_string()))?
            .into_iter();
        return Ok(documents
            .next()
            .map(|document| Data::from_json(document.value)));
    }
    Data::parse(bytes)
        .map(Some)
        .map_err(|error| malformed(error.message))
}

/// The input in a body of `{"input": …}`. Rule: other members are let be, and it may be missing.
pub(super) fn input(document: Option<Data>, go_type: &str) -> Result<Option<Data>, ApiError> {
    let Some(document) = document else {
        return Ok(None);
    };
    if let Some(kind) = document.other_kind() {
        return Err(ApiError::invalid(format!(
            "body contains malformed input document: json: cannot unmarshal {kind} into Go value of type {go_type}"
        )));
    }
    Ok(document.member("input"))
}

fn decompressed(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut all = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(MAX_DECOMPRESSED + 1);
    decoder
        .read_to_end(&mut all)
        .map_err(|error| ApiError::invalid(format!("the body is not gzip: {error}")))?;
    if all.len() as u64 > MAX_DECOMPRESSED {
        return Err(ApiError::invalid("compressed request body too large"));
    }
    Ok(all)
}
