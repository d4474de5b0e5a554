//! Answers compressed with gzip, for callers that take it. Compressed bodies of calls are read where
//! bodies are.

#[cfg(test)]
mod tests;

use std::io::Write as _;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, VARY};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::aside::aside;
use super::error::{ApiError, internal};

/// Smallest body that is worth it, in bytes.
const MIN_BYTES: u64 = 1024;
/// From here on it is done on a thread that may take its time.
const LARGE_BYTES: usize = 64 << 10;

/// Compresses an answer. Those that are not whole yet are none of this API.
pub(super) async fn compress(request: Request, next: Next) -> Result<Response, ApiError> {
    let takes = takes_gzip(request.headers());
    let response = next.run(request).await;
    let is_large = response.body().size_hint().exact() >= Some(MIN_BYTES);
    if !is_large || response.headers().contains_key(CONTENT_ENCODING) {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    parts
        .headers
        .append(VARY, HeaderValue::from_static("accept-encoding"));
    if !takes {
        return Ok(Response::from_parts(parts, body));
    }
    let failed = |error: String| internal(format!("an answer could not be compressed: {error}"));
    let bytes = to_bytes(body, usize::MAX).await;
    let bytes = bytes.map_err(|error| failed(error.to_string()))?;
    let compressed = if bytes.len() < LARGE_BYTES {
        gzip(&bytes)
    } else {
        aside(move || gzip(&bytes)).await?
    };
    let compressed = compressed.map_err(|error| failed(error.to_string()))?;
    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(Response::from_parts(parts, Body::from(compressed)))
}

fn gzip(bytes: &Bytes) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Rule: it is named, and not with the weight 0 (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let is_wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|q: f32| q > 0.0));
        is_gzip && is_wanted
    })
}
