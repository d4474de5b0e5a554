//! What would exhaust time, memory or the stack is refused, when it is loaded or when it is called.

use super::*;

fn refused(text: &str) -> Vec<RegoError> {
    let modules = [module("p.rego", text)];
    let compiled = RegoPolicies::compile(&modules, Data::default(), &settings());
    compiled
        .err()
        .unwrap_or_else(|| panic!("{} bytes were accepted", text.len()))
}

#[test]
fn modules_that_nest_or_chain_without_end_are_refused() {
    let rows = [
        format!("x := {}1", "1+".repeat(20_000)),
        format!("x if {}1", "-".repeat(20_000)),
        format!("x if input{}", ".a".repeat(5_000)),
        format!("x if input{}", "[0]".repeat(5_000)),
        format!("x if {}1{}", "[".repeat(20), "]".repeat(20)),
        format!("x := {}{}", "{1 | ".repeat(3_000), "}".repeat(3_000)),
        format!("x := {}1{}", "(".repeat(3_000), ")".repeat(3_000)),
        format!("x := {}1", "1 +\n".repeat(20_000)),
    ];
    for body in rows {
        let errors = refused(&format!("package p\n\n{body}\n"));
        assert_eq!(
            (errors[0].code, errors[0].file.as_str()),
            ("rego_parse_error", "p.rego")
        );
        assert!(errors[0].row >= 3, "{errors:?}");
    }
}

#[test]
fn long_modules_of_plain_rules_are_fine() {
    let rules = (0..3_000).map(|index| {
        format!("allow if {{\n\tinput.a.b == {index} # [[[[[[[[[[[[[[[[\n\tinput.c[_] != \"(((((({{{{{{[[[[[[[[[[[[[[\"\n}}\n")
    });
    compile(&format!("package p\n\n{}", rules.collect::<String>()));
    let raw = "`[[[[[[[[[[[[[[[[[[[[\n[[[[[[[[[[`";
    compile(&format!("package p\n\nx := {raw}\ny := [[[[[[1]]]]]]\n"));
}

#[test]
fn functions_that_call_themselves_are_refused() {
    let rows = [
        "f(x) := y if y := f(x + 1)\nallow if f(1)",
        "f(x) := g(x)\ng(x) := f(x)\nallow if f(1)",
        "f(x) := data.p.g(x)\ng(x) := h(x)\nh(x) := f(x)",
    ];
    for body in rows {
        let errors = refused(&format!("package p\n\n{body}\n"));
        assert_eq!(
            (errors[0].code, errors[0].row > 0),
            ("rego_recursion_error", true),
            "{body}"
        );
    }
    // A function may call others as often as it likes.
    compile("package p\n\nf(x) := g(g(x))\ng(x) := x\nallow if f(g(f(1))) == 1\n");
}

#[test]
fn data_in_the_place_of_a_rule_is_refused() {
    let compile = |rego: &str, data: Json| {
        let modules = [module("p.rego", &format!("package a.b\n\n{rego}\n"))];
        RegoPolicies::compile(&modules, Data::from_json(data), &settings())
    };
    let rows = [
        ("allow := false", json!({"a": {"b": {"allow": true}}})),
        ("allow := false", json!({"a": {"b": {"allow": {}}}})),
        ("allow := false", json!({"a": {"b": {"allow": {"x": 1}}}})),
        ("allow := false", json!({"a": {"b": 1}})),
        (
            "default allow := false",
            json!({"a": {"b": {"allow": true}}}),
        ),
        (
            "users contains 1 if true",
            json!({"a": {"b": {"users": [1]}}}),
        ),
        ("f(x) := x", json!({"a": {"b": {"f": 1}}})),
        (
            "users[name].admin if some name in [\"eve\"]",
            json!({"a": {"b": {"users": {"eve": {"admin": true}}}}}),
        ),
        (
            "users[name] := 1 if some name in [\"eve\"]",
            json!({"a": {"b": {"users": {"eve": 2}}}}),
        ),
    ];
    for (rego, data) in rows {
        let errors = compile(rego, data.clone()).expect_err(rego);
        assert!(
            errors[0]
                .message
                .starts_with("conflicting rule for data path a/b"),
            "{errors:?}"
        );
    }
    let beside = json!({"a": {"b": {"other": 1, "allowed": {}}, "c": 1}, "ab": 1});
    assert!(compile("allow := false", beside).is_ok());
}

#[test]
fn arguments_that_would_never_end_fail_the_evaluation() {
    let rows = [
        "units.parse_bytes(\"1e1000000000\")",
        "units.parse(\"1e1000000000\")",
        "units.parse(concat(\"\", [x | some i in numbers.range(1, 3000); x := \"1\"]))",
        "to_number(concat(\"\", [x | some i in numbers.range(1, 9000); x := \"1\"]))",
        "bits.lsh(1, 4294967295)",
        "sprintf(\"%2000000000d\", [1])",
        "sprintf(\"%.2000000000f\", [1])",
        "sprintf(\"%99999999999999999999d\", [1])",
        "replace(concat(\"\", [x | some i in numbers.range(1, 9000); x := \"y\"]), \"\", concat(\"\", [x | some i in numbers.range(1, 9000); x := \"y\"]))",
        "strings.replace_n({\"\": concat(\"\", [x | some i in numbers.range(1, 9000); x := \"y\"])}, concat(\"\", [x | some i in numbers.range(1, 9000); x := \"y\"]))",
        "yaml.unmarshal(concat(\"\", [x | some i in numbers.range(1, 1000); x := \"[\"]))",
        "glob.match(concat(\"\", [x | some i in numbers.range(1, 1000); x := \"{a,\"]), [], \"a\")",
    ];
    for expression in rows {
        let policies = compile(&format!("package envoy.authz\n\nallow := {expression}\n"));
        let error = ask(&policies, &Attributes::default()).unwrap_err();
        assert!(error.contains("refused"), "{expression}: {error}");
    }
}

#[test]
fn guarded_built_ins_still_answer() {
    let rows = [
        ("units.parse_bytes(\"10KiB\")", json!(10_240)),
        ("units.parse(\"1.5M\")", json!(1_500_000)),
        (
            "sprintf(\"%5d|%s|%.2f|%%\", [1, \"a\", 1.5])",
            json!("    1|a|1.50|%"),
        ),
        ("replace(\"a.b.c\", \".\", \"-\")", json!("a-b-c")),
        ("regex.replace(\"a1b2\", `[0-9]`, \"#\")", json!("a#b#")),
        (
            "strings.replace_n({\"<\": \"(\", \">\": \")\"}, \"<a>\")",
            json!("(a)"),
        ),
        ("yaml.unmarshal(\"a: [1, 2]\")", json!({"a": [1, 2]})),
        (
            "glob.match(\"*.example.{com,org}\", [], \"api.example.org\")",
            json!(true),
        ),
    ];
    for (expression, expected) in rows {
        assert_eq!(value(expression), expected, "{expression}");
    }
    // Of the wrong type they are undefined, as any built-in.
    assert_eq!(value("[1 | replace(1, 2, 3)]"), json!([]));
}

#[test]
fn a_rule_named_like_the_clock_does_not_hide_it() {
    let text = "package envoy.authz\n\ntime.now_ns := 5\nallow if { t := time.now_ns(); t > 0 }\n";
    let compiled = RegoPolicies::compile(&[module("p.rego", text)], Data::default(), &settings());
    let message = "undefined function data.envoy.authz.time.now_ns";
    assert_eq!(compiled.unwrap_err()[0].message, message);
}

/// A number of 400 digits can be used like any other.
#[test]
fn long_numbers_of_a_body() {
    let digits = "7".repeat(400);
    let asked = http(HttpRequest {
        headers: Headers::new(
            vec![("content-type".to_owned(), "application/json".to_owned())],
            None,
        ),
        body: format!("{{\"n\": {digits}, \"e\": 1e400, \"d\": 1.7976931348623157e308}}"),
        ..HttpRequest::default()
    });
    let rows = [
        ("input.parsed_body.n > input.parsed_body.d", json!(true)),
        ("input.parsed_body.e > input.parsed_body.n", json!(true)),
        (
            "input.parsed_body.n == input.parsed_body.n + 0",
            json!(true),
        ),
        ("input.parsed_body.n + 1 - input.parsed_body.n", json!(1)),
        ("json.marshal(input.parsed_body.n)", json!(digits)),
        ("sprintf(\"%d\", [input.parsed_body.n])", json!(digits)),
        ("sprintf(\"%v\", [input.parsed_body.n])", json!(digits)),
        (
            "sprintf(\"%v\", [[input.parsed_body.n]])",
            json!(format!("[{digits}]")),
        ),
        ("format_int(input.parsed_body.n, 10)", json!(digits)),
        ("$\"{input.parsed_body.n}\"", json!(digits)),
        ("count(json.marshal(input.parsed_body.d)) > 10", json!(true)),
        (
            "count({input.parsed_body.n, input.parsed_body.n})",
            json!(1),
        ),
    ];
    for (expression, expected) in rows {
        assert_eq!(value_for(expression, &asked), expected, "{expression}");
    }
    let metadata = "{\"allowed\": true, \"dynamic_metadata\": {\"n\": input.parsed_body.n}}";
    let why = ask(&answering(metadata), &asked).unwrap_err();
    assert!(why.contains("failed to get dynamic metadata"), "{why}");
}

#[test]
fn what_nests_deep_is_bounded() {
    let depth = 900;
    let row = |inner: &str| {
        http(HttpRequest {
            headers: Headers::new(
                vec![("content-type".to_owned(), "application/json".to_owned())],
                None,
            ),
            body: format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth)),
            ..HttpRequest::default()
        })
    };
    let deep = row("1");
    for (expression, expected) in [
        (
            "count(json.marshal(input.parsed_body))",
            json!(2 * depth + 1),
        ),
        (
            "count(sprintf(\"%v\", [input.parsed_body]))",
            json!(2 * depth + 1),
        ),
        (
            "count([p | walk(input.parsed_body, [p, _])])",
            json!(depth + 1),
        ),
        (
            "input.parsed_body == json.unmarshal(json.marshal(input.parsed_body))",
            json!(true),
        ),
        ("count({input.parsed_body, input.parsed_body})", json!(1)),
    ] {
        assert_eq!(value_for(expression, &deep), expected, "{expression}");
    }
    let wide = row(&vec!["1"; 20_000].join(","));
    for expression in [
        "count([p | walk(input.parsed_body, [p, _])])",
        "count(yaml.marshal(input.parsed_body))",
    ] {
        let why = ask(&answering(expression), &wide).unwrap_err();
        assert!(why.contains("refused"), "{expression}: {why}");
    }
}

#[test]
fn long_lines_are_broken_or_refused() {
    let blanks = " ".repeat(70_000);
    let tabs = "\t".repeat(20_000);
    let long = "y".repeat(70_000);
    let many = "\"abc\", ".repeat(40_000);
    let refused = [
        format!("allow := {blanks} ]"),
        format!("allow := {tabs} ]"),
        format!("allow if {{ {blanks} x := 1 / 0 }}"),
        format!("import data.a\nallow if {{ {blanks} a == 1 }}"),
        format!("test_x if {{ {blanks} ] }}"),
        format!("allow := {{{blanks}"),
        // A string that is broken beyond what can be pointed at.
        format!("allow := \"{long}\\q\""),
        format!("allow := \"{long}\\u00g0\""),
        format!("allow := \"{long}"),
        format!("allow := [\"{long}\" ; 1]"),
        format!("allow := `{}`", "y".repeat(1 << 20)),
        format!("# {}", "y".repeat(1 << 20)),
        long.clone(),
        "9".repeat(70_000),
    ];
    for row in refused {
        let modules = [module("p.rego", &format!("package envoy.authz\n\n{row}"))];
        let errors = RegoPolicies::compile(&modules, Data::default(), &settings()).unwrap_err();
        assert_eq!(errors[0].code, "rego_parse_error", "{}", errors[0]);
        let limit = Duration::from_secs(20);
        assert!(RegoTests::compile(&modules, Data::default(), limit, true).is_err());
    }
    let rows = [
        format!("count(\"{long}\") == 70000"),
        format!("startswith(`{long}`, \"{long}\")"),
        format!("count([{many}1]) == 40001"),
        format!("count({{\"a\": \"{long}\", \"b\": [{many} [\"{long}\"]]}}.b) == 40001"),
    ];
    for row in rows {
        let text = format!("package envoy.authz\n\nallow if {row}\n");
        let outcome = ask(&compile(&text), &Attributes::default());
        assert!(outcome.unwrap().allowed);
        // What is wrong behind them is pointed at.
        let modules = [module("p.rego", &format!("{text}\nother := ]\n"))];
        let errors = RegoPolicies::compile(&modules, Data::default(), &settings()).unwrap_err();
        assert_eq!((errors[0].row, errors[0].col), (5, 10), "{}", errors[0]);
    }
}

/// The interpreter forgets an error of one clause where another has a value.
#[test]
fn a_limit_in_one_clause_of_a_function_is_not_forgotten() {
    let clauses = r#"package envoy.authz
        allow if not denied
        denied if verdict("/admin") == "deny"
        verdict(path) := "deny" if { startswith(path, "/admin"); EXPENSIVE }
        verdict(path) := "default" if path != ""
    "#;
    let mut settings = settings();
    settings.evaluation_limit = Duration::from_millis(1);
    let rows = [
        (
            "count(numbers.range(1, 999999999)) >= 0",
            "a range of more than",
        ),
        (
            "count([1 | some x in numbers.range(1, 9999); some y in numbers.range(1, 9999); x == y]) > 0",
            "took longer than 1ms",
        ),
    ];
    for (expensive, expected) in rows {
        let text = clauses.replace("EXPENSIVE", expensive);
        let modules = [module("p.rego", &text)];
        let policies = RegoPolicies::compile(&modules, Data::default(), &settings).unwrap();
        let error = ask(&policies, &Attributes::default()).unwrap_err();
        assert!(error.contains(expected), "{expensive}: {error}");
    }
}

fn json_body(body: String) -> Attributes {
    http(HttpRequest {
        headers: Headers::new(
            vec![("content-type".to_owned(), "application/json".to_owned())],
            None,
        ),
        body,
        ..HttpRequest::default()
    })
}

#[test]
fn patches_that_grow_without_end_are_refused() {
    let copies = |document: &str, from: &str, path: &str, count: usize| {
        let operation = format!(r#"{{"op": "copy", "from": "{from}", "path": "{path}"}}"#);
        let operations = vec![operation; count].join(",");
        json_body(format!(r#"{{"doc": {document}, "ops": [{operations}]}}"#))
    };
    let expression = "json.patch(input.parsed_body.doc, input.parsed_body.ops)";
    for asked in [
        copies(r#"["x"]"#, "", "/-", 40),
        copies(r#"{"a": {"a": {}}}"#, "", "/a/a/a", 2_000),
    ] {
        let why = ask(&answering(expression), &asked).unwrap_err();
        assert!(why.contains("refused"), "{why}");
    }
    // Small parts can be copied as often as it takes.
    let small = copies(r#"{"a": [], "b": 1}"#, "/b", "/a/-", 200);
    let count = format!("count({expression}.a)");
    assert_eq!(value_for(&count, &small), json!(200));
    let failed = copies(r#"{"a": [], "b": 1}"#, "/c", "/a/-", 200);
    assert_eq!(
        value_for(&format!("[1 | {expression}]"), &failed),
        json!([])
    );
}

#[test]
fn many_objects_and_sets_are_united_at_once() {
    let objects: Vec<_> = (0..20_000)
        .map(|at| format!(r#"{{"k{at}": {at}}}"#))
        .collect();
    let asked = json_body(format!("[{}]", objects.join(",")));
    for expression in [
        "count(object.union_n(input.parsed_body))",
        "count(union({{x} | some x in input.parsed_body}))",
    ] {
        assert_eq!(value_for(expression, &asked), json!(20_000));
    }
}

#[test]
fn values_that_share_their_parts_are_gone_through_within_bounds() {
    // A billion leaves, of three thousand values.
    let shared = "
a := numbers.range(1, 1000)
b := [a | some _ in a]
c := [b | some _ in a]
d := [[b | some _ in a]]
";
    let rows = [
        "allow := sprintf(\"%v\", [c])",
        "allow if print(\"c\", c)",
        "allow if { print([x | x := c], input.nope); true }",
        "allow := sort([d, [1, c], d, [b]])",
        "allow := max([c, d])",
        "allow := min([c, d])",
        "allow := strings.render_template(\"{{.c}}\", {\"c\": c})",
        "allow := c",
        "allow := {\"allowed\": true, \"headers\": {\"x\": c}}",
    ];
    for allow in rows {
        let policies = compile(&format!("package envoy.authz\n{allow}\n{shared}"));
        let error = ask(&policies, &Attributes::default()).unwrap_err();
        assert!(error.contains("refused"), "{allow}: {error}");
    }
}

#[test]
fn products_are_bounded() {
    let squares: String = (0..20)
        .map(|index| format!("n{} := n{index} * n{index}\n", index + 1))
        .collect();
    let rows = [
        format!("allow if n20 > 0\nn0 := 12345678901234567890123456789012345678\n{squares}"),
        "allow if product(numbers.range(1, 100000)) > 0".to_owned(),
    ];
    for body in rows {
        let policies = compile(&format!("package envoy.authz\n{body}\n"));
        let error = ask(&policies, &Attributes::default()).unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }
    let large = "allow if product(numbers.range(1, 1000)) > 0";
    assert!(
        ask(
            &compile(&format!("package envoy.authz\n{large}\n")),
            &Attributes::default()
        )
        .is_ok()
    );
}

#[test]
fn brackets_that_are_read_again_and_again_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "{".repeat(depth), "}".repeat(depth));
    let rows = [
        format!("x := {}", nested(13)),
        (0..16)
            .map(|index| format!("x{index} := {}\n", nested(12)))
            .collect(),
    ];
    for body in rows {
        let errors = refused(&format!("package p\n\n{body}\n"));
        assert!(errors[0].message.contains("nested"), "{errors:?}");
    }
    let ordinary: String = (0..50)
        .map(|index| {
            format!("t{index} if x with input as {{\"a\": {{\"b\": {{\"c\": {{\"d\": 1}}}}}}}}\n")
        })
        .collect();
    compile(&format!("package p\nx if input.a\n{ordinary}"));
}

#[test]
fn types_that_share_their_parts_are_held_against_each_other_within_bounds() {
    let levels = |name: &str| -> String {
        let levels =
            (0..24).map(|level| format!("{name}{level} := [{name}{0}, {name}{0}]\n", level + 1));
        levels.chain([format!("{name}24 := 1\n")]).collect()
    };
    compile(&format!(
        "package p\nx if r0 == q0\n{}{}",
        levels("r"),
        levels("q")
    ));
}
