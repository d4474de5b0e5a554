//! `/v1/revisions` and `/v1/audit`: what policy was, who changed it, and going back.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Api;
use super::access::RefusedChange;
use super::caller::Caller;
use super::error::{ApiError, if_match};
use super::json::{AtRevision, Json};
use super::path::Path;
use super::replay::{Change, Gate, Gated, NoOptions};
use crate::activation::Proposal;
use crate::replay::Report;
use crate::store::{Action, AuditPage, AuditQuery, Revision};

/// Audit records in an answer, unless more or fewer are asked for.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

#[derive(Debug, Serialize)]
pub(super) struct Revisions {
    /// The one in force.
    active: u64,
    /// Newest first.
    revisions: Vec<Revision>,
}

pub(super) async fn revisions(State(api): State<Api>) -> Result<AtRevision<Revisions>, ApiError> {
    // Before the others: what is newer than its tag is merely refused.
    let active = api.pdp.snapshot().revision;
    let revisions = api.activation.revisions().await?;
    Ok(AtRevision(active, Revisions { active, revisions }))
}

#[derive(Debug, Serialize)]
pub(super) struct RolledBack {
    /// The new snapshot's revision.
    snapshot: u64,
    /// The one whose content it has.
    restored: u64,
    /// Of the decisions that had to stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Report>,
}

pub(super) async fn rollback(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    gated: Gated<NoOptions>,
    headers: HeaderMap,
) -> Result<AtRevision<RolledBack>, ApiError> {
    let restored = number
        .parse()
        .map_err(|_| ApiError::invalid("a revision is a number"))?;
    let change = Change {
        author: &caller,
        action: Action::Rollback,
        target: &number,
        if_match: if_match(&headers)?,
    };
    let passed = Gate::pass(gated.gate, &api, change, || Proposal::Revision(restored)).await?;
    let rollback = api
        .activation
        .rollback(caller.into(), restored, passed.if_match);
    let snapshot = rollback.await.map_err(|error| passed.late(error))?;
    let answer = RolledBack {
        snapshot,
        restored,
        replay: passed.report,
    };
    Ok(AtRevision(snapshot, answer))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditOptions {
    limit: Option<usize>,
    /// Only records with a lower number.
    before: Option<u64>,
}

pub(super) async fn audit(
    State(api): State<Api>,
    options: Result<Query<AuditOptions>, QueryRejection>,
) -> Result<Json<AuditPage>, ApiError> {
    let Query(options) = options?;
    let limit = options.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("`limit` must be between 1 and {MAX_LIMIT}");
        return Err(ApiError::invalid(message));
    }
    let query = AuditQuery {
        limit,
        before: options.before,
    };
    Ok(Json(api.activation.audit(query).await?))
}

/// Records changes that `access` did not let through, and who wanted them.
pub(super) async fn record_refused(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let wanted = format!("{} {}", request.method(), request.uri().path());
    let mut response = next.run(request).await;
    if let Some(RefusedChange(caller)) = response.extensions_mut().remove() {
        api.activation.refused(caller.into(), &wanted).await;
    }
    response
}
