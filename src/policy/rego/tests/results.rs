//! What an entrypoint's value means.

use super::*;
use crate::policy::reads::Field;

#[test]
fn values_that_decide_and_values_that_do_not() {
    let illegal = |name| {
        format!("failed to get response status: illegal value for policy evaluation result: {name}")
    };
    let not_bool = |name| {
        format!(
            "failed to get response status: type assertion error, expected allowed to be of type 'boolean' but got '{name}'"
        )
    };
    let missing = "failed to get response status: unable to determine evaluation result due to missing \"allowed\" key";
    let rows = [
        ("true", Ok((true, true))),
        ("false", Ok((false, true))),
        ("{\"allowed\": true}", Ok((true, false))),
        ("{\"allowed\": false}", Ok((false, false))),
        ("{\"allowed\": true, \"reason\": 7}", Ok((true, false))),
        ("null", Err(illegal("<nil>"))),
        ("1", Err(illegal("json.Number"))),
        ("\"true\"", Err(illegal("string"))),
        ("[true]", Err(illegal("[]interface {}"))),
        ("{true}", Err(illegal("[]interface {}"))),
        ("{}", Err(missing.to_owned())),
        ("{\"Allowed\": true}", Err(missing.to_owned())),
        ("{\"allowed\": \"true\"}", Err(not_bool("string"))),
        ("{\"allowed\": 1}", Err(not_bool("json.Number"))),
        ("{\"allowed\": null}", Err(not_bool("<nil>"))),
        ("{\"allowed\": [true]}", Err(not_bool("[]interface {}"))),
        (
            "{\"allowed\": {}}",
            Err(not_bool("map[string]interface {}")),
        ),
    ];
    for (expression, expected) in rows {
        let actual = ask(&answering(expression), &Attributes::default());
        let actual = actual.map(|outcome| (outcome.allowed, outcome.plain));
        assert_eq!(actual, expected, "{expression}");
    }
}

/// Members beside `allowed`; `""` for none wrong.
#[test]
fn members_of_the_wrong_type() {
    let headers = "failed to get response headers: ";
    let remove = "failed to get request headers to remove: type assertion error, expected request_headers_to_remove ";
    let query = "failed to get request query parameters to remove: type assertion error, expected query_parameters_to_remove ";
    let set = "failed to get request query parameters to set: ";
    let status = "failed to get response http status: ";
    let number = format!(
        "{status}type assertion error, expected http_status to be of type 'number' but got "
    );
    let body = "failed to get response body: type assertion error, expected body to be of type 'string' but got ";
    let metadata = "failed to get dynamic metadata: type assertion error, expected dynamic_metadata to be of type 'object' but got ";
    let object =
        format!("{headers}type assertion error, expected headers to be of type 'object' but got ");
    let rows = [
        (
            true,
            "\"headers\": {\"a\": 1}",
            format!("{headers}type assertion error for header 'a'"),
        ),
        (
            false,
            "\"headers\": {\"a\": [1]}",
            format!("{headers}invalid value type json.Number for header 'a'"),
        ),
        (true, "\"headers\": \"x\"", format!("{object}'string'")),
        (false, "\"headers\": null", format!("{object}'<nil>'")),
        (true, "\"headers\": [7]", format!("{object}'json.Number'")),
        (
            true,
            "\"request_headers_to_remove\": \"x\"",
            format!("{remove}to be of type '[]string' but got 'string'"),
        ),
        (
            true,
            "\"request_headers_to_remove\": [1]",
            format!("{remove}value to be of type 'string' but got 'json.Number'"),
        ),
        (
            true,
            "\"query_parameters_to_remove\": {}",
            format!("{query}to be of type '[]string' but got 'map[string]interface {{}}'"),
        ),
        (
            true,
            "\"query_parameters_to_set\": []",
            format!(
                "{set}type assertion error, expected query_parameters_to_set to be a map but got '[]interface {{}}'"
            ),
        ),
        (
            true,
            "\"response_headers_to_add\": {\"a\": null}",
            "failed to get response headers to send to client: type assertion error for header 'a'"
                .to_owned(),
        ),
        (
            true,
            "\"dynamic_metadata\": null",
            format!("{metadata}'<nil>'"),
        ),
        (
            false,
            "\"dynamic_metadata\": [1]",
            format!("{metadata}'[]interface {{}}'"),
        ),
        (false, "\"body\": 5", format!("{body}'json.Number'")),
        (
            false,
            "\"body\": {}",
            format!("{body}'map[string]interface {{}}'"),
        ),
        (
            false,
            "\"http_status\": \"401\"",
            format!("{number}'string'"),
        ),
        (false, "\"http_status\": null", format!("{number}'<nil>'")),
        (
            false,
            "\"http_status\": 418",
            format!("{status}invalid HTTP status code 418"),
        ),
        (
            false,
            "\"http_status\": 425",
            format!("{status}invalid HTTP status code 425"),
        ),
        (
            false,
            "\"http_status\": 451",
            format!("{status}invalid HTTP status code 451"),
        ),
        (
            false,
            "\"http_status\": 101",
            format!("{status}invalid HTTP status code 101"),
        ),
        (
            false,
            "\"http_status\": 0",
            format!("{status}invalid HTTP status code 0"),
        ),
        (
            false,
            "\"http_status\": 999",
            format!("{status}invalid HTTP status code 999"),
        ),
        (
            false,
            "\"http_status\": -1",
            format!("{status}invalid HTTP status code -1"),
        ),
        (
            false,
            "\"http_status\": 401.5",
            format!("{status}invalid HTTP status code 401.5"),
        ),
        // Of the other side nothing is looked at.
        (true, "\"body\": 5, \"http_status\": 700", String::new()),
        (
            false,
            "\"response_headers_to_add\": 5, \"request_headers_to_remove\": 5",
            String::new(),
        ),
        (
            false,
            "\"query_parameters_to_set\": 5, \"query_parameters_to_remove\": 5",
            String::new(),
        ),
    ];
    for (allowed, members, expected) in rows {
        let expression = format!("{{\"allowed\": {allowed}, {members}}}");
        let actual = ask(&answering(&expression), &Attributes::default());
        match expected.as_str() {
            "" => assert_eq!(
                actual.map(|outcome| outcome.allowed),
                Ok(allowed),
                "{expression}"
            ),
            _ => assert_eq!(actual, Err(expected), "{expression}"),
        }
    }
}

#[test]
fn members_that_are_read() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let allowed = "{\"allowed\": true,
        \"headers\": [{\"b\": \"1\"}, {\"a\": [\"2\", \"3\"]}],
        \"request_headers_to_remove\": {\"y\", \"x\"},
        \"response_headers_to_add\": {\"set-cookie\": [\"s\", \"t\"]},
        \"query_parameters_to_remove\": [\"p\"],
        \"query_parameters_to_set\": {\"q\": [\"1\", \"2\"], \"r\": \"\"},
        \"dynamic_metadata\": {\"n\": 1, \"o\": {\"l\": [null, true]}}}";
    let expected = Outcome {
        allowed: true,
        headers: pairs(&[("b", "1"), ("a", "2"), ("a", "3")]),
        request_headers_to_remove: names(&["x", "y"]),
        response_headers_to_add: pairs(&[("set-cookie", "s"), ("set-cookie", "t")]),
        query_parameters_to_remove: names(&["p"]),
        query_parameters_to_set: pairs(&[("q", "1"), ("q", "2"), ("r", "")]),
        dynamic_metadata: json!({"n": 1, "o": {"l": [null, true]}})
            .as_object()
            .cloned(),
        ..Outcome::default()
    };
    assert_eq!(
        ask(&answering(allowed), &Attributes::default()),
        Ok(expected)
    );
    let denied = "{\"allowed\": false, \"headers\": {\"location\": \"/login\"}, \"body\": \"no\", \"http_status\": 302}";
    let expected = Outcome {
        headers: pairs(&[("location", "/login")]),
        body: Some("no".to_owned()),
        http_status: Some(302),
        ..Outcome::default()
    };
    assert_eq!(
        ask(&answering(denied), &Attributes::default()),
        Ok(expected)
    );
}

#[test]
fn questions_without_a_value() {
    let undefined = Err("undefined decision".to_owned());
    for text in [
        "package envoy.authz\nallow if false",
        "package envoy.authz\nallow if input.missing",
        "package envoy.authz\nallow := to_number(\"x\")",
        "package envoy.authz\nother := true",
        "package other\nallow := true",
    ] {
        assert_eq!(
            ask(&compile(text), &Attributes::default()),
            undefined,
            "{text}"
        );
    }
    let nothing = RegoPolicies::compile(&[], Data::default(), &settings()).unwrap();
    assert_eq!(ask(&nothing, &Attributes::default()), undefined);
    let conflict = compile("package envoy.authz\nallow := true if true\nallow := false if true");
    let error = conflict
        .evaluate(
            nothing.entrypoint().unwrap(),
            &Attributes::default(),
            NOW_NS,
        )
        .unwrap_err();
    let text = "p.rego:3: eval_conflict_error: complete rules must not produce multiple outputs";
    let expected = EvaluationError::Conflict(text.to_owned());
    assert_eq!(error, RegoFailure::Evaluation(expected));
    // What a function's values are is not told.
    let secrets = "package envoy.authz\nf(x) := \"s3cret\" if x\nf(x) := \"t0p\" if x\nallow if f(true) == \"\"";
    let error = ask(&compile(secrets), &Attributes::default()).unwrap_err();
    let text = "p.rego:4: eval_conflict_error: functions must not produce multiple outputs for same inputs";
    assert_eq!(error, text);
    // Nor what it is of a request that cannot be computed with.
    let rows = [(
        "count({k: v | some k in [1]; some v in input.attributes.request.http.headers}) > 0",
        "p.rego:2: eval_conflict_error: object keys must be unique",
    )];
    let request = http(HttpRequest {
        headers: Headers::new(
            vec![
                ("a".to_owned(), "error: s3cret".to_owned()),
                ("b".to_owned(), "x\nerror: s3cret".to_owned()),
            ],
            None,
        ),
        ..HttpRequest::default()
    });
    for (body, expected) in rows {
        let text = format!("package envoy.authz\nallow if {body}");
        let error = ask(&compile(&text), &request).unwrap_err();
        assert_eq!(error, expected, "{body}");
    }
    // A failed evaluation leaves nothing behind for the next one.
    let either = compile(
        "package envoy.authz\nallow := true if true\n\
         allow := false if input.attributes.request.http.path == \"/bad\"",
    );
    for path in ["/good", "/bad", "/good", "/bad", "/good"] {
        let request = http(HttpRequest {
            path: path.to_owned(),
            ..HttpRequest::default()
        });
        assert_eq!(ask(&either, &request).is_ok(), path == "/good", "{path}");
    }
}

#[test]
fn entrypoints() {
    let text = "package a.b\nallow := true\nobject := {\"c\": {\"allowed\": true}}\nlist := [false, true]\n\
        f(x) := x\ndoc[\"k-1\"] := true\n";
    let rows = [
        ("a/b/allow", Ok(true)),
        ("/a//b/allow/", Ok(true)),
        ("a/b/object/c", Ok(true)),
        ("a/b/list/1", Ok(true)),
        ("a/b/list/0", Ok(false)),
        ("a/b/doc/k-1", Ok(true)),
        ("data/a/b/allow", Err("undefined decision".to_owned())),
        ("a/b/none", Err("undefined decision".to_owned())),
        ("a.b/allow", Err("undefined decision".to_owned())),
        ("flag", Ok(true)),
    ];
    for (entrypoint, expected) in rows {
        let settings = RegoSettings {
            asked: Asked::Rule(entrypoint.to_owned()),
            ..settings()
        };
        let data = Data::parse("{\"flag\": true}").unwrap();
        let policies = RegoPolicies::compile(&[module("p.rego", text)], data, &settings).unwrap();
        let actual = ask(&policies, &Attributes::default()).map(|outcome| outcome.allowed);
        assert_eq!(actual, expected, "{entrypoint}");
        assert_eq!(policies.entrypoint().unwrap().path(), entrypoint);
    }
}

#[test]
fn a_query_decides_by_its_first_expression() {
    let text = "package p\nyes := true\nno := false\nobject := {\"allowed\": true}\nclock := time.now_ns()\n";
    let undefined = || Err("undefined decision".to_owned());
    let rows = [
        ("data.p.yes", Ok(true)),
        ("data.p.no", Ok(false)),
        ("data.p.object", Ok(true)),
        ("data.p.yes == data.p.no", Ok(false)),
        ("{\"allowed\": data.p.no}", Ok(false)),
        ("data.p.yes; data.p.object", Ok(true)),
        // Any of several that is false leaves no result.
        ("data.p.no; data.p.yes", undefined()),
        ("data.p.yes; data.p.no", undefined()),
        ("data.p.yes\ndata.p.none", undefined()),
        ("data.p.none", undefined()),
    ];
    for (query, expected) in rows {
        let actual = ask(&with_query(text, query).unwrap(), &Attributes::default());
        assert_eq!(actual.map(|outcome| outcome.allowed), expected, "{query}");
    }
}

#[test]
fn a_query_is_looked_at_before_it_is_asked() {
    let text = "package p\nyes := true\n";
    for query in ["", "data.p.", "nope(1)", "true } other if { true"] {
        assert!(with_query(text, query).is_err(), "{query}");
    }
    let reads = |query| {
        with_query(text, query)
            .unwrap()
            .entrypoint()
            .unwrap()
            .reads()
            .clone()
    };
    let method = reads("input.attributes.request.http.method == \"GET\"");
    assert!(method.fields.contains(&Field::Method) && !method.whole_input);
    assert!(reads("input.nope").whole_input);
    assert!(reads("time.now_ns() > 0").volatile.is_some());
}

/// `cache_ttl_seconds`: what is said and what is wrong, of which OPA's plugin would not know.
#[test]
fn how_long_a_result_may_be_remembered() {
    let what = "failed to get cache_ttl_seconds: ";
    let not_number = |name| {
        format!(
            "{what}type assertion error, expected cache_ttl_seconds to be of type 'number' but got '{name}'"
        )
    };
    let seconds = |seconds| Ok(Some(Duration::from_secs_f64(seconds)));
    let rows = [
        ("5", seconds(5.0)),
        ("0", seconds(0.0)),
        ("0.25", seconds(0.25)),
        ("1e3", seconds(1000.0)),
        ("1e300", Ok(Some(Duration::MAX))),
        ("100000000000000000000000000000000", Ok(Some(Duration::MAX))),
        ("-1", Err(format!("{what}-1 is below 0"))),
        ("-0.5", Err(format!("{what}-0.5 is below 0"))),
        ("\"5\"", Err(not_number("string"))),
        ("null", Err(not_number("<nil>"))),
        ("true", Err(not_number("bool"))),
        ("[5]", Err(not_number("[]interface {}"))),
        ("{}", Err(not_number("map[string]interface {}"))),
    ];
    let lax = RegoSettings {
        caching: Caching {
            ignores_bad_ttl: true,
            ..Caching::default()
        },
        ..settings()
    };
    for allowed in [true, false] {
        for (value, expected) in &rows {
            let text = format!(
                "package envoy.authz\nallow := {{\"allowed\": {allowed}, \"cache_ttl_seconds\": {value}}}"
            );
            let strict = ask(&compile(&text), &Attributes::default());
            let ttl = strict.map(|outcome| outcome.cache_ttl);
            assert_eq!(ttl, *expected, "{value}");
            let modules = [module("p.rego", &text)];
            let lax = RegoPolicies::compile(&modules, Data::default(), &lax).unwrap();
            let outcome = ask(&lax, &Attributes::default()).unwrap();
            let expected = expected.clone().unwrap_or(Some(Duration::ZERO));
            assert_eq!(
                (outcome.allowed, outcome.cache_ttl),
                (allowed, expected),
                "{value}"
            );
        }
    }
    let plain = ask(&answering("true"), &Attributes::default()).unwrap();
    assert_eq!(plain.cache_ttl, None);
}

fn with_query(text: &str, query: &str) -> Result<RegoPolicies, Vec<RegoError>> {
    let settings = RegoSettings {
        asked: Asked::Query(query.to_owned()),
        ..settings()
    };
    RegoPolicies::compile(&[module("p.rego", text)], Data::default(), &settings)
}
