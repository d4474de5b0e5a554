//! Changes of which only their body says what they change. What such a call was sent can be had only
//! after its names were held against the caller's scope, and so can the caller, without whom nothing
//! can be changed.

use std::future::Future;

use axum::extract::{FromRequest, Request};

use super::{Grants, out_of_scope};
use crate::management::Api;
use crate::management::caller::Caller;
use crate::management::error::{ApiError, internal};

/// What is sent with a call whose need is `ChangeNamed`.
pub(in crate::management) trait Named:
    FromRequest<Api, Rejection = ApiError> + Send
{
    /// Itself, if all that it changes is covered.
    fn within(
        self,
        api: &Api,
        grants: &Grants,
    ) -> impl Future<Output = Result<Option<Self>, ApiError>> + Send;
}

/// What was sent, by a caller who may make all of that change.
#[derive(Debug)]
pub(in crate::management) struct Permitted<T> {
    pub(in crate::management) caller: Caller,
    pub(in crate::management) sent: T,
}

/// Who makes such a call, as long as nobody knows what it changes.
#[derive(Debug, Clone)]
pub(super) struct Claimant {
    pub(super) caller: Caller,
    pub(super) grants: Grants,
}

impl<T: Named> FromRequest<Api> for Permitted<T> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, api: &Api) -> Result<Self, ApiError> {
        let claimant = request.extensions_mut().remove::<Claimant>();
        // Only a call of another need, or outside the guard, could come here.
        let claimant = claimant.ok_or_else(|| internal("nobody asked who calls".to_owned()));
        let Claimant { caller, grants } = claimant?;
        let sent = T::from_request(request, api).await?;
        let sent = sent.within(api, &grants).await?;
        let sent = sent.ok_or_else(out_of_scope)?;
        Ok(Self { caller, sent })
    }
}
