use serde_json::{Value as Json, json};

use super::*;
use crate::attributes::{Headers, HttpRequest, Request};

mod bodies;
mod builtins;
mod constant;
mod documents;
mod failures;
mod imports;
mod language;
mod limits;
mod loops;
mod metadata;
mod modules;
mod operators;
mod patterns;
mod queries;
mod reads;
mod replacing;
mod results;
mod shadows;
mod testing;

const NOW_NS: i64 = 1_700_000_000_123_456_789;

pub(super) fn settings() -> RegoSettings {
    RegoSettings {
        input: InputSettings::default(),
        asked: Asked::Rule(DEFAULT_ENTRYPOINT.to_owned()),
        providers: BTreeMap::new(),
        evaluation_limit: Duration::from_secs(20),
        at_once: NonZeroUsize::new(3).unwrap(),
        runtime: None,
        caching: Caching::default(),
        outside: None,
    }
}

impl RegoPolicies {
    /// Documents without rules, for tests of others.
    pub(crate) fn of_data(data: Data) -> Self {
        Self::compile(&[], data, &settings()).unwrap()
    }
}

fn module(path: &str, text: &str) -> RegoModule {
    RegoModule {
        path: path.to_owned(),
        text: text.to_owned(),
        v0: false,
    }
}

fn compile(text: &str) -> RegoPolicies {
    RegoPolicies::compile(&[module("p.rego", text)], Data::default(), &settings()).unwrap()
}

/// The document of package `p` for an input.
fn document_for(module: RegoModule, input: Json) -> Result<Json, String> {
    let policies = RegoPolicies::compile(&[module], Data::default(), &settings())
        .map_err(|errors| errors[0].to_string())?;
    let solutions = policies
        .query("x = data.p", Data::from_json(input), false, NOW_NS)
        .map_err(|error| error.to_string())?;
    let value = solutions[0].member("x").unwrap().to_json().unwrap();
    Ok(serde_json::from_str(&value).unwrap())
}

/// Policies whose entrypoint is one expression. Its types are not checked: what a built-in makes of
/// an argument of the wrong type, a request can ask at any time.
fn answering(expression: &str) -> RegoPolicies {
    let _unchecked = check::Unchecked::set();
    compile(&format!("package envoy.authz\nallow := {expression}\n"))
}

fn ask(policies: &RegoPolicies, attributes: &Attributes) -> Result<Outcome, String> {
    policies
        .evaluate(policies.entrypoint().unwrap(), attributes, NOW_NS)
        .map_err(|error| error.to_string())
}

/// The value of an expression for a request, carried out in a denial's body.
fn value_for(expression: &str, attributes: &Attributes) -> Json {
    let text = format!("{{\"allowed\": false, \"body\": json.marshal({expression})}}");
    let outcome = ask(&answering(&text), attributes);
    let outcome = outcome.unwrap_or_else(|why| panic!("{expression}: {why}"));
    serde_json::from_str(&outcome.body.unwrap()).unwrap()
}

fn value(expression: &str) -> Json {
    value_for(expression, &Attributes::default())
}

fn http(http: HttpRequest) -> Attributes {
    Attributes {
        request: Some(Request {
            time: None,
            http: Some(http),
        }),
        ..Attributes::default()
    }
}
