//! Answers that hold for later checks, in a bounded amount of memory, under the request as the policy
//! wrote it. What a time is, is said by the check.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, header};

use crate::policy::rego::external::{
    HttpRequest, HttpResponse, Remember, RequestKey, is_cacheable,
};

/// Memory an entry takes besides its texts, in bytes.
const ENTRY_OVERHEAD: usize = 200;
/// Checks run at once, each at the time at which it began: an answer may be that much newer.
const MAX_AHEAD: i64 = 600 * 1_000_000_000;
/// Longest `max-age`.
const MAX_AGE: u64 = 0x7fff_ffff;

/// Answers by request.
#[derive(Debug)]
pub(super) struct Responses {
    entries: Option<moka::sync::Cache<RequestKey, Arc<Stored>>>,
}

/// An answer, and from when until when it holds.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) response: HttpResponse,
    /// Time of the check that asked, in nanoseconds since 1970.
    from_ns: i64,
    /// The same way; `None` if it never held.
    expires_ns: Option<i64>,
}

// === impl Responses ===

impl Responses {
    pub(super) fn new(max_bytes: u64) -> Self {
        let entries = (max_bytes > 0).then(|| {
            moka::sync::Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|_, stored: &Arc<Stored>| {
                    u32::try_from(stored.weight()).unwrap_or(u32::MAX)
                })
                .build()
        });
        Self { entries }
    }

    pub(super) fn get(&self, key: &RequestKey) -> Option<Arc<Stored>> {
        self.entries.as_ref()?.get(key)
    }

    pub(super) fn forget(&self, key: &RequestKey) {
        if let Some(entries) = &self.entries {
            entries.invalidate(key);
        }
    }

    /// Keeps an answer if it may be kept and it can be told for how long.
    pub(super) fn keep(&self, request: &HttpRequest, response: &HttpResponse, now_ns: i64) {
        let Some(entries) = &self.entries else {
            return;
        };
        let expires_ns = match request.remember {
            Remember::No => return,
            // Rule: what the policy says goes before what the server says.
            Remember::For(duration) => Some(later(now_ns, duration)),
            Remember::AsAnswered => {
                // Rule: `no-store` is not stored.
                if directive(response, "no-store").is_some() {
                    return;
                }
                match expiry(response) {
                    Ok(expires_ns) => expires_ns,
                    Err(Unclear) => return,
                }
            }
        };
        if is_cacheable(response.status) {
            let stored = Stored {
                response: response.clone(),
                from_ns: now_ns,
                expires_ns,
            };
            entries.insert(request.key, Arc::new(stored));
        }
    }
}

// === impl Stored ===

impl Stored {
    /// Rule: nothing holds before it was asked for, should the clock have been put back.
    pub(super) fn is_fresh(&self, now_ns: i64) -> bool {
        let has_begun = self.from_ns.saturating_sub(MAX_AHEAD) <= now_ns;
        has_begun && self.expires_ns.is_some_and(|expires| now_ns < expires)
    }

    /// What asks the server whether the answer still holds; nothing if it did not say how.
    pub(super) fn conditions(&self) -> Vec<(HeaderName, HeaderValue)> {
        let pairs = [
            ("etag", header::IF_NONE_MATCH),
            ("last-modified", header::IF_MODIFIED_SINCE),
        ];
        let conditions = pairs.into_iter().filter_map(|(name, condition)| {
            let value = value(&self.response, name)?;
            Some((condition, HeaderValue::from_str(value).ok()?))
        });
        conditions.collect()
    }

    /// The answer with the headers of one that says it still holds.
    pub(super) fn updated_by(&self, unmodified: &HttpResponse) -> HttpResponse {
        let mut response = self.response.clone();
        let is_new = |name: &String| {
            let mut news = unmodified.headers.iter();
            news.any(|(new, _)| new == name)
        };
        response.headers.retain(|(name, _)| !is_new(name));
        response.headers.extend(unmodified.headers.iter().cloned());
        response
    }

    fn weight(&self) -> usize {
        let headers = self.response.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.len() + 48);
        self.response.body.len() + headers.sum::<usize>() + ENTRY_OVERHEAD
    }
}

/// It cannot be told how long an answer holds.
#[derive(Debug, PartialEq, Eq)]
struct Unclear;

/// Rule: `max-age` after the answer's `date`, or else `expires`; without either, or with one that is
/// no time, the answer is old at once.
fn expiry(response: &HttpResponse) -> Result<Option<i64>, Unclear> {
    let Some(max_age) = directive(response, "max-age") else {
        return Ok(value(response, "expires").and_then(nanoseconds));
    };
    let is_number = !max_age.is_empty() && max_age.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Unclear);
    }
    let max_age = max_age.parse().unwrap_or(MAX_AGE).min(MAX_AGE);
    let date = value(response, "date").and_then(nanoseconds);
    let date = date.ok_or(Unclear)?;
    Ok(Some(later(date, Duration::from_secs(max_age))))
}

fn later(time_ns: i64, duration: Duration) -> i64 {
    let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    time_ns.saturating_add(nanos)
}

fn nanoseconds(date: &str) -> Option<i64> {
    let time: SystemTime = httpdate::parse_http_date(date).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// The first value of a header.
fn value<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    let mut headers = response.headers.iter();
    let found = headers.find(|header| header.0 == name)?;
    Some(found.1.as_str()).filter(|value| !value.is_empty())
}

/// What `cache-control` says about something; `""` if it only names it.
fn directive<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    let directives = value(response, "cache-control")?.split(',');
    let mut directives =
        directives.map(|part| part.trim().split_once('=').unwrap_or((part.trim(), "")));
    let found = directives.find(|(known, _)| known.trim() == name)?;
    Some(found.1)
}
