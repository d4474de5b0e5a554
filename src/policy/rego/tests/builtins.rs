//! Built-ins, called from policies as users call them.

use super::*;

mod aggregates;
mod aws;
mod casts;
mod chains;
mod crypto;
mod encoding;
mod format;
mod glob;
mod globs;
mod graph;
mod graphql;
mod identifiers;
mod http;
mod jwt;
mod lookup;
mod net;
mod objects;
mod output;
mod parse_module;
mod private_keys;
mod regex;
mod schema;
mod selection;
mod strings;
mod template;
mod time;
mod units;
mod urlquery;
mod x509;

/// What an expression comes to; `None` if it is undefined.
fn result(expression: &str) -> Option<Json> {
    match call(expression) {
        Ok(value) => Some(value),
        Err(error) if error == "undefined decision" => None,
        Err(error) => panic!("{expression}: {error}"),
    }
}

/// The reason for which an evaluation is denied.
fn refusal(expression: &str) -> String {
    call(expression).expect_err(expression)
}

fn call(expression: &str) -> Result<Json, String> {
    let text = format!("{{\"allowed\": false, \"body\": json.marshal({expression})}}");
    let outcome = ask(&answering(&text), &Attributes::default())?;
    Ok(serde_json::from_str(&outcome.body.unwrap()).unwrap())
}

/// A string as Rego writes it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Rows of expressions and what they come to.
fn check(rows: &[(&str, Json)]) {
    for (expression, expected) in rows {
        assert_eq!(result(expression).as_ref(), Some(expected), "{expression}");
    }
}

fn check_undefined(rows: &[&str]) {
    for expression in rows {
        assert_eq!(result(expression), None, "{expression}");
    }
}
