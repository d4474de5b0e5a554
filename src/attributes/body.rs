//! Which kind of body a request carries and whether it is whole, by the rules of
//! opa-envoy-plugin. Turning it into a document is left to the policy engine that wants one.

use thiserror::Error;

use super::HttpRequest;

/// What can be made of a request's body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing to parse.
    Absent,
    /// The proxy cut it off.
    Truncated,
    Present(BodyKind, &'a [u8]),
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    Json,
    Form,
    Multipart,
}

/// Why a body cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BodyError {
    #[error("strconv.ParseInt: parsing \"{0}\": invalid syntax")]
    ContentLength(String),
}

impl<'a> Body<'a> {
    /// Classifies the body of a request.
    pub fn of(http: &'a HttpRequest) -> Result<Self, BodyError> {
        // Rule: the proxy's own word that the body is partial comes before anything else.
        if header(http, "x-envoy-auth-partial-body") == Some("true") {
            return Ok(Self::Truncated);
        }
        // Rule: no content type, no parsing; the type is found as a substring, in this order.
        let Some(kind) = header(http, "content-type").and_then(BodyKind::of) else {
            return Ok(Self::Absent);
        };
        let bytes = if http.body.is_empty() {
            &http.raw_body[..]
        } else {
            http.body.as_bytes()
        };
        if bytes.is_empty() {
            return Ok(Self::Absent);
        }
        // Rule: a content length beyond what arrived means the rest is missing.
        if let Some(length) = header(http, "content-length") {
            let length: i64 = length
                .parse()
                .map_err(|_| BodyError::ContentLength(length.to_owned()))?;
            if usize::try_from(length).is_ok_and(|length| length > bytes.len()) {
                return Ok(Self::Truncated);
            }
        }
        Ok(Self::Present(kind, bytes))
    }
}

impl BodyKind {
    fn of(content_type: &str) -> Option<Self> {
        if content_type.contains("application/json") {
            Some(Self::Json)
        } else if content_type.contains("application/grpc") {
            // Needs a descriptor of the service, which nothing gives yet.
            None
        } else if content_type.contains("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else if content_type.contains("multipart/form-data") {
            Some(Self::Multipart)
        } else {
            None
        }
    }
}

/// The content type that says how to read the body.
pub fn content_type(http: &HttpRequest) -> &str {
    header(http, "content-type").unwrap_or_default()
}

/// The plugin looks names up in lower case, exactly, in the joined headers.
fn header<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    super::lookup(http.headers.merged(), name)
}
