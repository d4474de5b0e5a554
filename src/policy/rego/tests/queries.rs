//! What a query of its own may name.

use super::*;

const POLICY: &str = "package p
import rego.v1
now := time.now_ns()
f(x) := x
of_policy := opa.runtime().env.NAME
";

/// What is in the environment, and in nothing else.
const SECRET: &str = "abracadabra";

#[test]
fn no_query_tells_the_environment() {
    let runtime = format!(r#"{{"env": {{"NAME": "{SECRET}"}}}}"#);
    let settings = RegoSettings {
        runtime: Some(Data::parse(runtime).unwrap()),
        ..settings()
    };
    let policies =
        RegoPolicies::compile(&[module("p.rego", POLICY)], Data::default(), &settings).unwrap();
    let ask = |query: &str| {
        let looked_at = policies
            .look_at(query)
            .map_err(|errors| errors[0].message.clone())?;
        let solutions = policies.solutions(&looked_at, Question::default());
        let solutions = solutions.map_err(|error| error.message)?.value;
        let texts = solutions.iter().map(|solution| solution.to_json().unwrap());
        Ok::<_, String>(texts.collect::<String>())
    };
    for query in [
        "opa.runtime()",
        "x := opa.runtime().env.NAME",
        "opa.runtime().env[name] = value",
        "opa . runtime()",
        "opa.runtime\n()",
        "x := opa.runtime # it is\n()",
        r#"x := opa["runtime"]()"#,
        "x := opa[`runtime`]().env",
        r#"x := {"a": [opa.runtime()]}"#,
        "[x | x := opa.runtime()]",
        "x := {k: v | some k, v in opa.runtime().env}",
        "some x in opa.runtime().env",
        "every k, v in opa.runtime().env { k != v }",
        "not opa.runtime().env.OTHER",
        "walk(opa.runtime(), x)",
        "opa.runtime(x)",
        r#"x := $"{opa.runtime()}""#,
        "x := $`{opa.runtime().env.NAME}`",
        "x := data.p.f(opa.runtime())",
        "x := time.now_ns() with time.now_ns as opa.runtime",
        "x := data.p.now with time.now_ns as opa.runtime",
        r#"x := data.p.now with time.now_ns as opa["runtime"]"#,
        "x := data.p.f(1) with data.p.f as opa.runtime",
        "x := input with input as opa.runtime()",
        "x := input.a with input.a as opa.runtime().env",
        "x := count(1) with count as opa.runtime",
        "x := opa.runtime\nx().env",
        "x := 1 }\nimport opa.runtime as r\ny := r()",
        "x := 1 }\nq := opa.runtime() if { true",
        "x := 1 }\nimport data.opa.runtime\nz if { true",
    ] {
        let told = ask(query);
        assert!(told.is_err(), "{query}: {told:?}");
    }
    // What a policy tells is its own affair.
    assert!(ask("x := data.p.of_policy").unwrap().contains(SECRET));
    // And names that are alike are others.
    for query in [
        r#"x := "opa.runtime()""#,
        "x := 1 # opa.runtime()",
        r#"x := input with input.opa as {"runtime": 1}"#,
    ] {
        let told = ask(query);
        assert!(told.is_ok_and(|told| !told.contains(SECRET)), "{query}");
    }
}

#[test]
fn no_query_asks_others() {
    let policies = compile("package p\nimport rego.v1\nf(x) := x\n");
    let request = r#"{"method": "GET", "url": "http://localhost:1"}"#;
    for query in [
        format!("http.send({request})"),
        format!("x := http[\"send\"]({request})"),
        format!("x := http.send(\n{request}\n).status_code"),
        format!("x := data.p.f({request}) with data.p.f as http.send"),
        format!("x := count({request}) with count as http.send"),
        format!("x := $\"{{http.send({request})}}\""),
    ] {
        let errors = policies.look_at(&query).err();
        let message = errors.map(|errors| errors[0].message.clone());
        let expected = "unsafe built-in function calls in expression: http.send";
        assert_eq!(message.as_deref(), Some(expected), "{query}");
    }
}
