//! What is refused when modules are loaded, and what built-ins do.

use super::*;

/// Errors as `FILE:ROW:COL: CODE: MESSAGE`, or their begin when the expectation ends in `…`.
fn check(text: &str, expected: &[&str]) {
    let module = module("dir/p.rego", text);
    let errors = RegoPolicies::compile(&[module], Data::default(), &settings()).map(drop);
    let actual: Vec<_> = errors
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let same = actual.len() == expected.len()
        && actual
            .iter()
            .zip(expected)
            .all(|(actual, expected)| match expected.strip_suffix('…') {
                Some(start) => actual.starts_with(start),
                None => actual == expected,
            });
    assert!(same, "{text}\n{actual:#?}\nexpected {expected:#?}");
}

#[test]
fn functions_that_do_not_exist() {
    let rows = [
        (
            "package a\nallow if nope(1)",
            "dir/p.rego:2:10: rego_type_error: undefined function nope",
        ),
        (
            "package a\nx := [y |\n  y := lib.nope(1)]",
            "dir/p.rego:3:8: rego_type_error: undefined function lib.nope",
        ),
        (
            "package a\nx if http.send({})",
            "dir/p.rego:2:6: rego_type_error: http.send reaches outside, which needs `rego.http_send: true`",
        ),
        (
            "package a\nx := data.b.f(1)",
            "dir/p.rego:2:6: rego_type_error: undefined function data.b.f",
        ),
        (
            "package a\nimport data.b\nx := b.f(1)",
            "dir/p.rego:3:6: rego_type_error: undefined function data.b.f",
        ),
        (
            "package a\nx if { every y in [1] { nope(y) } }",
            "dir/p.rego:2:25: rego_type_error: undefined function nope",
        ),
        (
            "package a\nx contains y if some y in nope(1)",
            "dir/p.rego:2:27: rego_type_error: undefined function nope",
        ),
        (
            "package a\nx if not nope(1)",
            "dir/p.rego:2:10: rego_type_error: undefined function nope",
        ),
        (
            "package a\nx := 1 if { false } else := nope(1)",
            "dir/p.rego:2:29: rego_type_error: undefined function nope",
        ),
        (
            "package a\nf(x) := nope(x)",
            "dir/p.rego:2:9: rego_type_error: undefined function nope",
        ),
        (
            "package a\nx := {\"a\": [nope(1)]}",
            "dir/p.rego:2:13: rego_type_error: undefined function nope",
        ),
        (
            "package a\nx := count(nope(1))",
            "dir/p.rego:2:12: rego_type_error: undefined function nope",
        ),
        ("package a\ndefault x := nope(1)", "dir/p.rego:2:…"),
        (
            "package a\nx if input.y with input.y as nope(1)",
            "dir/p.rego:2:30: rego_type_error: undefined function nope",
        ),
        // Built-ins cannot be put in place of each other: refused, never ignored.
        (
            "package a\nx if count([1]) with count as http.send",
            "dir/p.rego:2:31: rego_type_error: http.send reaches outside, which needs `rego.http_send: true`",
        ),
        (
            "package a\nx if count([1]) with nope.f as count",
            "dir/p.rego:2:6: rego_type_error: with keyword target must reference existing input, data, or a function",
        ),
        (
            "package a\nx if f(1) with f as nope.f\nf(y) := y",
            "dir/p.rego:2:6: rego_unsafe_var_error: var nope is unsafe",
        ),
    ];
    for (text, expected) in rows {
        check(text, &[expected]);
    }
    let both = "package a\nx := nope(1)\ny := nada(2)";
    let (first, second) = ("undefined function nope", "undefined function nada");
    check(
        both,
        &[
            &format!("dir/p.rego:2:6: rego_type_error: {first}"),
            &format!("dir/p.rego:3:6: rego_type_error: {second}"),
        ],
    );
}

#[test]
fn text_that_is_no_module() {
    let rows = [
        ("", "dir/p.rego:…"),
        ("package a\nallow if {", "dir/p.rego:…"),
        (
            "package a\nallow := := 1",
            "dir/p.rego:2:10: rego_parse_error: …",
        ),
        ("package a\n\n  x := 1 +", "dir/p.rego:…"),
        (
            "package a\nx if y > 1",
            "dir/p.rego:2:6: rego_unsafe_var_error: var y is unsafe",
        ),
        ("package a\nallow { true }", "dir/p.rego:2:…"),
    ];
    for (text, expected) in rows {
        check(text, &[expected]);
    }
}

#[test]
fn modules_of_version_0() {
    let text = "package envoy.authz\nallow { input.parsed_path[0] == \"\" }\n";
    let v0 = RegoModule {
        v0: true,
        ..module("p.rego", text)
    };
    let v1 = module("lib.rego", "package lib\nx if true");
    let policies = RegoPolicies::compile(&[v0, v1], Data::default(), &settings()).unwrap();
    assert_eq!(
        ask(&policies, &Attributes::default()).map(|outcome| outcome.allowed),
        Ok(true)
    );
}

#[test]
fn functions_of_other_modules() {
    let modules = [
        module(
            "a.rego",
            "package envoy.authz\nimport data.lib.x as y\nallow if { y.f(1); data.lib.x.f(1); g(1) }\ng(z) if z == 1",
        ),
        module("b.rego", "package lib.x\nf(z) if z == 1"),
    ];
    let policies = RegoPolicies::compile(&modules, Data::default(), &settings()).unwrap();
    assert_eq!(
        ask(&policies, &Attributes::default()).map(|outcome| outcome.allowed),
        Ok(true)
    );
}

#[test]
fn the_time_is_the_callers() {
    assert_eq!(value("time.now_ns()"), json!(NOW_NS));
    assert_eq!(value("[time.now_ns() | true]"), json!([NOW_NS]));
    let policies = answering("{\"allowed\": false, \"body\": sprintf(\"%d\", [time.now_ns()])}");
    for now in [0, 1, i64::MAX] {
        let outcome = policies
            .evaluate(policies.entrypoint().unwrap(), &Attributes::default(), now)
            .unwrap();
        assert_eq!(outcome.body, Some(now.to_string()));
    }
}

#[test]
fn what_makes_answers_volatile() {
    let rows = [
        ("allow := true", None),
        ("allow if count(input.parsed_path) > 0", None),
        (
            "allow if time.parse_rfc3339_ns(\"2024-01-01T00:00:00Z\") > 0",
            None,
        ),
        ("allow if time.now_ns() > 0", Some("time.now_ns")),
        (
            "allow if used > 1\nused := rand.intn(\"x\", 5)",
            Some("rand.intn"),
        ),
        (
            "allow if used(1)\nused(_) if uuid.rfc4122(\"x\")",
            Some("uuid.rfc4122"),
        ),
        ("allow if f(1)\nf(_) := true", None),
        (
            "allow if f(1) with f as g\nf(_) := true\ng(_) := time.now_ns()",
            Some("time.now_ns"),
        ),
        ("allow := true\nunused := rand.intn(\"x\", 5)", None),
        // The name alone is no call.
        ("allow := \"time.now_ns()\" == \"\"", None),
    ];
    for (rules, expected) in rows {
        let policies = compile(&format!("package envoy.authz\n{rules}\n"));
        assert_eq!(
            policies.entrypoint().unwrap().reads().volatile.as_deref(),
            expected,
            "{rules}"
        );
    }
}

#[test]
fn ranges() {
    let rows = [
        ("numbers.range(1, 3)", json!([1, 2, 3])),
        ("numbers.range(3, 1)", json!([3, 2, 1])),
        ("numbers.range(2, 2)", json!([2])),
        ("numbers.range(-1, 1)", json!([-1, 0, 1])),
        ("numbers.range_step(0, 5, 2)", json!([0, 2, 4])),
        ("numbers.range_step(5, 0, 2)", json!([5, 3, 1])),
        ("count(numbers.range(1, 1000000))", json!(1_000_000)),
        ("count(numbers.range_step(1, 5000000, 5))", json!(1_000_000)),
        (
            "numbers.range_step(-9223372036854775808, 9223372036854775807, 9223372036854775807)",
            json!([i64::MIN, -1, i64::MAX - 1]),
        ),
    ];
    for (expression, expected) in rows {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for undefined in [
        "numbers.range(1, 1.5)",
        "numbers.range_step(1, 2, 0)",
        "numbers.range_step(1, 2, -1)",
    ] {
        assert_eq!(
            ask(&answering(undefined), &Attributes::default()),
            Err("undefined decision".to_owned()),
            "{undefined}"
        );
    }
    for refused in [
        "numbers.range(1, 1000001)",
        "numbers.range(-9223372036854775808, 9223372036854775807)",
        "numbers.range_step(0, 10000000, 5)",
    ] {
        let error = ask(&answering(refused), &Attributes::default()).unwrap_err();
        assert_eq!(
            error, "a range of more than 1000000 numbers is refused",
            "{refused}"
        );
    }
}

#[test]
fn blocks_expanded() {
    let rows = [
        ("10.0.0.1/32", json!(["10.0.0.1"])),
        ("10.0.0.3/31", json!(["10.0.0.2", "10.0.0.3"])),
        (
            "255.255.255.254/31",
            json!(["255.255.255.254", "255.255.255.255"]),
        ),
        ("2001:db8::/127", json!(["2001:db8::", "2001:db8::1"])),
        ("::/128", json!(["::"])),
        (
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
            json!(["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ),
    ];
    for (block, expected) in rows {
        assert_eq!(
            value(&format!("net.cidr_expand(\"{block}\")")),
            expected,
            "{block}"
        );
    }
    assert_eq!(
        value("count(net.cidr_expand(\"10.0.0.0/16\"))"),
        json!(65_536)
    );
    for (block, bits) in [
        ("10.0.0.0/8", 24),
        ("0.0.0.0/0", 32),
        ("::/0", 128),
        ("2001:db8::/64", 64),
    ] {
        let error = ask(
            &answering(&format!("net.cidr_expand(\"{block}\")")),
            &Attributes::default(),
        );
        assert_eq!(
            error,
            Err(format!(
                "expanding `{block}` to 2^{bits} addresses is refused"
            ))
        );
    }
    let error = ask(&answering("net.cidr_expand(\"x\")"), &Attributes::default());
    assert_eq!(error, Err("undefined decision".to_owned()));
}

#[test]
fn an_evaluation_without_end_is_ended() {
    let limit = Duration::from_millis(20);
    let settings = RegoSettings {
        evaluation_limit: limit,
        ..settings()
    };
    let text = "package envoy.authz\nn := numbers.range(1, 1000)\nallow if { some a in n; some b in n; some c in n; a + b + c < 0 }\n";
    let policies =
        RegoPolicies::compile(&[module("p.rego", text)], Data::default(), &settings).unwrap();
    for _ in 0..2 {
        let error = policies
            .evaluate(
                policies.entrypoint().unwrap(),
                &Attributes::default(),
                NOW_NS,
            )
            .unwrap_err();
        assert_eq!(
            error,
            RegoFailure::Evaluation(EvaluationError::TimeLimit(limit))
        );
        assert_eq!(error.to_string(), "evaluation took longer than 20ms");
    }
}

/// Rule: only who can ask others may take the time for it.
#[test]
fn the_time_for_others_is_for_those_who_ask_them() {
    const ENDLESS: &str = "some a in n; some b in n; some c in n; a + b + c < 0";
    let settings = RegoSettings {
        evaluation_limit: Duration::from_millis(20),
        outside: Some(Duration::from_millis(30)),
        providers: [("asking".to_owned(), "other/asking".to_owned())].into(),
        ..settings()
    };
    let modules = [
        module(
            "p.rego",
            &format!(
                "package envoy.authz\nn := numbers.range(1, 1000)\nallow if {{ {ENDLESS} }}\n"
            ),
        ),
        module(
            "q.rego",
            &format!(
                "package other\nn := data.envoy.authz.n\nasking if {{ {ENDLESS}; http.send({{\"method\": \"GET\", \"url\": \"u\"}}) }}\n"
            ),
        ),
    ];
    let policies = RegoPolicies::compile(&modules, Data::default(), &settings).unwrap();
    let asking = policies.provider("asking").unwrap();
    // In turns, as the same interpreter may evaluate both.
    for (entrypoint, millis) in [(policies.entrypoint().unwrap(), 20), (asking, 50)].repeat(2) {
        let result = policies.evaluate(entrypoint, &Attributes::default(), NOW_NS);
        let limit = EvaluationError::TimeLimit(Duration::from_millis(millis));
        assert_eq!(result, Err(RegoFailure::Evaluation(limit)));
    }
}
