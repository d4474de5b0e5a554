//! `/v1/decisions/summary`: how many decisions there are of what.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::Uri;
use url::form_urlencoded::{Serializer, parse};

use crate::decision_log::{Filter, Summary, SummaryOf};
use crate::management::Api;
use crate::management::error::ApiError;
use crate::management::json::Json;
use crate::management::memory::Held;

pub(in crate::management) async fn summary(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    uri: Uri,
) -> Result<Json<Summary>, ApiError> {
    let question = question(&uri)?;
    let summary = api.log.ask(&held, move |log| log.summarize(&question));
    Ok(Json(summary.await?))
}

/// Its own parameters; the others say which decisions, as they do for pages.
fn question(uri: &Uri) -> Result<SummaryOf, ApiError> {
    let mut question = SummaryOf::default();
    let mut limit = None;
    let mut others = Serializer::for_suffix("/?".to_owned(), 2);
    for (name, value) in parse(uri.query().unwrap_or_default().as_bytes()) {
        let own = match &*name {
            "group_by" => &mut question.group_by,
            "bucket" => &mut question.bucket,
            "limit" => &mut limit,
            _ => {
                others.append_pair(&name, &value);
                continue;
            }
        };
        if own.replace(value.into_owned()).is_some() {
            return Err(ApiError::invalid(format!("`{name}` is there twice")));
        }
    }
    let others = others.finish().parse::<Uri>();
    let others = others.map_err(|error| ApiError::invalid(error.to_string()))?;
    let Query(filter) = Query::<Filter>::try_from_uri(&others)?;
    question.filter = filter;
    question.limit = limit
        .map(|text| {
            let number = text.parse();
            number.map_err(|_| ApiError::invalid(format!("`limit`: `{text}` is no number")))
        })
        .transpose()?;
    Ok(question)
}
