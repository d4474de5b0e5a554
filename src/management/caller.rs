//! Who makes a call: the name access was granted under, and where the call comes from. `access` says
//! it once a call is let through; the calls that change something pass it on.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::error::internal;
use crate::listen::Peer;
use crate::store::Author;

/// Name of a caller where nobody is configured.
pub(super) const ANONYMOUS: &str = "anonymous";

/// Who makes a call that was let through.
#[derive(Debug, Clone)]
pub struct Caller {
    pub name: String,
    pub address: Peer,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Only a route outside the guard could come here.
        caller.ok_or_else(|| internal("nobody asked who calls".to_owned()).into_response())
    }
}

impl From<Caller> for Author {
    fn from(caller: Caller) -> Self {
        Self::new(&caller.name, Some(caller.address.to_string()))
    }
}
