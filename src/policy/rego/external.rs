//! What evaluations reach outside with: a capability that the caller puts on its thread for as long as
//! a check runs. Without one, built-ins that need it end the evaluation. How requests are made is left
//! to who gives the capability; which of them OPA would make, to `builtins::http`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use regorus::Value;
use thiserror::Error;

/// Statuses whose answers stand for later ones (RFC 9110 section 15.1).
const CACHEABLE: [u16; 11] = [200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501];
/// Most times that one check may call a built-in which reaches outside.
const MAX_CALLS: usize = 256;
/// Most memory that the answers to one check may take together, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Reaches outside for one check. Each call returns in time for the check's deadline.
pub trait External: Debug + Send + Sync {
    /// Makes a request, or answers it from what is remembered. `now_ns` is the check's time, in
    /// nanoseconds since 1970.
    fn send(&self, request: &HttpRequest, now_ns: i64) -> Result<HttpResponse, ExternalError>;

    /// The addresses of a name.
    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ExternalError>;
}

/// A request of `http.send`.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Tells it apart from others that are not answered alike.
    pub key: RequestKey,
    pub method: String,
    pub url: String,
    /// Each name once.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Longest that one attempt may take; `None` for the check's deadline alone.
    pub timeout: Option<Duration>,
    pub follow_redirects: bool,
    /// How often it is tried again.
    pub retries: usize,
    pub remember: Remember,
    pub tls: TlsOptions,
}

/// Digest of a request as the policy wrote it.
pub type RequestKey = [u8; 32];

/// For how long an answer is remembered for other checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remember {
    No,
    /// As the answer's headers say.
    AsAnswered,
    /// So long, whatever they say.
    For(Duration),
}

/// How a request's server is trusted and shown who asks.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// PEM texts of authorities. If there is one, the system's count only if asked for.
    pub authority: Option<String>,
    pub system_authorities: bool,
    /// PEM texts of certificates and their key.
    pub client: Option<(String, String)>,
    /// Whose certificate is expected, instead of the URL's host.
    pub server_name: Option<String>,
    pub accept_any_certificate: bool,
}

/// The answer to a request, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// `200 OK`.
    pub status_line: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Whether an answer of a status may stand for a later one.
pub fn is_cacheable(status: u16) -> bool {
    CACHEABLE.contains(&status)
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExternalError {
    /// Nobody answered, or not well.
    #[error("{0}")]
    Network(String),
    /// The request cannot be made.
    #[error("{0}")]
    Request(String),
    #[error("the check's time is up")]
    TimeUp,
}

/// Why an evaluation goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Exhausted {
    #[error("{0} needs what a check without a server does not have")]
    Missing(&'static str),
    #[error("more than {MAX_CALLS} calls of built-ins that reach outside")]
    Calls,
    #[error("answers of more than {MAX_BYTES} bytes together")]
    Bytes,
}

/// What evaluations on a thread reach outside with, until it is dropped.
#[derive(Debug)]
pub struct Reach(());

/// One check's calls.
#[derive(Debug)]
struct Session {
    external: Arc<dyn External>,
    calls: usize,
    bytes: usize,
    /// Requests made, with what they came to: within a check the same request has one answer.
    sent: HashMap<RequestKey, Result<Value, ExternalError>>,
}

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

// === impl Reach ===

impl Reach {
    pub fn through(external: Arc<dyn External>) -> Self {
        let session = Session {
            external,
            calls: 0,
            bytes: 0,
            sent: HashMap::new(),
        };
        SESSION.set(Some(session));
        Self(())
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        SESSION.set(None);
    }
}

/// The capability, for one more call of a built-in.
pub(super) fn reach(built_in: &'static str) -> Result<Arc<dyn External>, Exhausted> {
    SESSION.with_borrow_mut(|session| {
        let session = session.as_mut().ok_or(Exhausted::Missing(built_in))?;
        session.calls += 1;
        if session.calls > MAX_CALLS {
            return Err(Exhausted::Calls);
        }
        Ok(Arc::clone(&session.external))
    })
}

/// What a request of this check came to already.
pub(super) fn answered(key: &RequestKey) -> Option<Result<Value, ExternalError>> {
    SESSION.with_borrow(|session| session.as_ref()?.sent.get(key).cloned())
}

/// Notes what a request came to.
pub(super) fn note(key: RequestKey, answer: Result<Value, ExternalError>) {
    SESSION.with_borrow_mut(|session| {
        if let Some(session) = session {
            session.sent.insert(key, answer);
        }
    });
}

/// Counts an answer.
pub(super) fn received(bytes: usize) -> Result<(), Exhausted> {
    SESSION.with_borrow_mut(|session| {
        let Some(session) = session else {
            return Ok(());
        };
        session.bytes = session.bytes.saturating_add(bytes);
        if session.bytes > MAX_BYTES {
            return Err(Exhausted::Bytes);
        }
        Ok(())
    })
}

/// Leaves out what may be secret: headers, body, keys, and what of a URL is not its server's name.
impl Debug for HttpRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("HttpRequest");
        shown.field("method", &self.method).finish_non_exhaustive()
    }
}

impl Debug for TlsOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("TlsOptions");
        shown.field("server_name", &self.server_name);
        shown.finish_non_exhaustive()
    }
}
