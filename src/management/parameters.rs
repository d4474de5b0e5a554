//! Parameters of a query that belong to two things at once: those of a call, and those that say which
//! decisions. Each has its own checks, and none is there twice.

use std::str::FromStr;

use axum::http::Uri;
use url::form_urlencoded::{Serializer, parse};

use super::error::ApiError;

/// The parameters of these names, and a query with all others.
pub(super) fn split<const N: usize>(
    uri: &Uri,
    names: [&str; N],
) -> Result<([Option<String>; N], Uri), ApiError> {
    let mut own = [const { None }; N];
    let mut others = Serializer::for_suffix("/?".to_owned(), 2);
    for (name, value) in parse(uri.query().unwrap_or_default().as_bytes()) {
        let at = names.iter().position(|own| *own == name);
        let Some(place) = at.and_then(|at| own.get_mut(at)) else {
            others.append_pair(&name, &value);
            continue;
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(ApiError::invalid(format!("`{name}` is there twice")));
        }
    }
    let others = others.finish().parse::<Uri>();
    let others = others.map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok((own, others))
}

/// A number, if it is there.
pub(super) fn number<T: FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, ApiError> {
    let number = text.map(|text| {
        let number = text.parse();
        number.map_err(|_| ApiError::invalid(format!("`{name}`: `{text}` is no number")))
    });
    number.transpose()
}

/// `true` or `false`, which it is if it is not there.
pub(super) fn flag(name: &str, text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ApiError::invalid(format!(
            "`{name}`: `{other}` is neither true nor false"
        ))),
    }
}
