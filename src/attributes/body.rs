//! Which kind of body a request carries and whether it is whole, by the rules of
//! opa-envoy-plugin. Turning it into a document is left to the policy engine that wants one.

use std::borrow::Cow;

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
    /// Messages of gRPC, each behind its length.
    Grpc,
    Form,
    Multipart,
}

/// Where a body's type and length are looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderLookup {
    /// In the headers that the proxy joined, as opa-envoy-plugin does.
    #[default]
    Joined,
    /// In the raw headers too, for a proxy that sends no others.
    Raw,
}

/// Why a body cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BodyError {
    #[error("strconv.ParseInt: parsing \"{0}\": invalid syntax")]
    ContentLength(String),
}

impl<'a> Body<'a> {
    /// Classifies the body of a request.
    pub fn of(http: &'a HttpRequest, lookup: HeaderLookup) -> Result<Self, BodyError> {
        // Rule: the proxy's own word that the body is partial comes before anything else.
        if lookup.find(http, "x-envoy-auth-partial-body").as_deref() == Some("true") {
            return Ok(Self::Truncated);
        }
        // Rule: no content type, no parsing; the type is found as a substring, in this order.
        let content_type = lookup.find(http, "content-type");
        let Some(kind) = content_type.as_deref().and_then(BodyKind::of) else {
            return Ok(Self::Absent);
        };
        // Rule: messages are bytes, and their own lengths tell whether they are whole.
        if kind == BodyKind::Grpc {
            return Ok(match http.raw_body.is_empty() {
                true => Self::Absent,
                false => Self::Present(kind, &http.raw_body),
            });
        }
        let bytes = if http.body.is_empty() {
            &http.raw_body[..]
        } else {
            http.body.as_bytes()
        };
        if bytes.is_empty() {
            return Ok(Self::Absent);
        }
        // Rule: a content length beyond what arrived means the rest is missing.
        if let Some(length) = lookup.find(http, "content-length") {
            let length: i64 = length
                .parse()
                .map_err(|_| BodyError::ContentLength(length.into_owned()))?;
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
            Some(Self::Grpc)
        } else if content_type.contains("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else if content_type.contains("multipart/form-data") {
            Some(Self::Multipart)
        } else {
            None
        }
    }
}

impl HeaderLookup {
    /// Rule: names are looked up in lower case, exactly.
    pub fn find<'a>(self, http: &'a HttpRequest, name: &'a str) -> Option<Cow<'a, str>> {
        let joined = http.headers.merged().get(name);
        joined.map(Cow::Borrowed).or_else(|| match self {
            Self::Joined => None,
            Self::Raw => http.headers.joined(name),
        })
    }
}
