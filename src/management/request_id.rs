//! Names of calls: `X-Request-ID`, the caller's or one that is made here, on every answer and on each line
//! that is logged on the way to it. Who may call is asked later.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest name that is taken, in bytes.
const MAX_LENGTH: usize = 128;

/// Names a call.
pub(super) async fn name(request: Request, next: Next) -> Response {
    let id = sent(request.headers()).or_else(made);
    let shown = id.as_ref().and_then(|id| id.to_str().ok());
    // At the highest level, so that it is there whenever anything is logged.
    let span = tracing::error_span!("call", request_id = shown);
    let mut response = next.run(request).instrument(span).await;
    if let Some(id) = id {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// The caller's. Rule: one that is long, not printable or there twice is as none.
fn sent(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(id), None) = (values.next(), values.next()) else {
        return None;
    };
    let is_good =
        (1..=MAX_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    is_good.then(|| id.clone())
}

fn made() -> Option<HeaderValue> {
    Uuid::new_v4().to_string().try_into().ok()
}
