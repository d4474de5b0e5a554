//! Modules that OPA refuses or loads, each with what it is refused for.

use super::super::{Data, RegoModule, RegoPolicies, tests::settings};
use super::signatures;

/// The errors of modules as `ROW: CODE: MESSAGE`, without codes' common beginning.
fn errors(texts: &[&str], v0: bool) -> Vec<String> {
    let modules: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| RegoModule {
            path: format!("{index}.rego"),
            text: (*text).to_owned(),
            v0,
        })
        .collect();
    let compiled = RegoPolicies::compile(&modules, Data::default(), &settings());
    let errors = compiled.map(drop).err().into_iter().flatten();
    errors
        .map(|error| format!("{}: {}: {}", error.row, error.code, error.message))
        .collect()
}

/// Each row: the rules of package `a`, and what the only error is; nothing: they load.
fn check(rows: &[(&str, &str)]) {
    for (rules, expected) in rows {
        let text = format!("package a\n{rules}\n");
        let found = errors(&[&text], false);
        let expected: Vec<_> = expected.lines().map(str::to_owned).collect();
        assert_eq!(found, expected, "{rules}");
    }
}

#[test]
fn rules_that_need_themselves() {
    check(&[
        (
            "p if p",
            "2: rego_recursion_error: rule data.a.p is recursive: data.a.p -> data.a.p",
        ),
        (
            "p if not q\nq if p",
            "2: rego_recursion_error: rule data.a.p is recursive: data.a.p -> data.a.q -> data.a.p\n3: rego_recursion_error: rule data.a.q is recursive: data.a.q -> data.a.p -> data.a.q",
        ),
        (
            "p contains x if { some x in data.a }",
            "2: rego_recursion_error: rule data.a.p is recursive: data.a.p -> data.a.p",
        ),
        (
            "p[x] := 1 if { x := data[_].p }",
            "2: rego_recursion_error: rule data.a.p[x] is recursive: data.a.p[x] -> data.a.p[x]",
        ),
        (
            "f(x) := f(x - 1)",
            "2: rego_recursion_error: rule data.a.f is recursive: data.a.f -> data.a.f",
        ),
        (
            "p := [x | every y in [1] { some z in data.a.p; y == z }; x := 1]",
            "2: rego_recursion_error: rule data.a.p is recursive: data.a.p -> data.a.p",
        ),
        (
            "p if { input.x with input as p }",
            "2: rego_recursion_error: rule data.a.p is recursive: data.a.p -> data.a.p",
        ),
        ("p if { some k; data[k].on }", ""),
        ("p.x := 1\nq := p.x\nr := data.a.p", ""),
    ]);
}

#[test]
fn rules_that_conflict() {
    check(&[
        (
            "p := 1\np contains 1",
            "2: rego_type_error: conflicting rules data.a.p found",
        ),
        (
            "p := 1\np(x) := x",
            "2: rego_type_error: conflicting rules data.a.p found",
        ),
        (
            "f(x) := x\nf(x, y) := y",
            "2: rego_type_error: conflicting rules data.a.f found",
        ),
        (
            "p[x] := 1 if x := 1\np := {}",
            "2: rego_type_error: conflicting rules data.a.p found",
        ),
        (
            "default p := {}\np contains 1",
            "2: rego_type_error: conflicting rules data.a.p found",
        ),
        (
            "default p := 1\ndefault p := 2",
            "2: rego_type_error: multiple default rules data.a.p found at 0.rego:2, 0.rego:3",
        ),
        (
            "p.q := 1\np := 2",
            "3: rego_type_error: rule data.a.p conflicts with [data.a.p.q]",
        ),
        (
            "p.q contains 1\np.q.r := 2",
            "2: rego_type_error: rule data.a.p.q conflicts with [data.a.p.q.r]",
        ),
        ("default p := 1\np := 2 if input.x\nelse := 3", ""),
        ("p.q := 1\np.r contains 2\np[x] := 3 if x := \"s\"", ""),
        ("p[x].y := 1 if x := 1\np.q.z := 2", ""),
    ]);
    let found = errors(&["package a\nb := 1", "package a.b\nc := 1"], false);
    assert_eq!(
        found,
        [
            "2: rego_type_error: rule data.a.b conflicts with [data.a.b.c]",
            "1: rego_type_error: package a.b conflicts with rule b defined at 0.rego:2",
        ]
    );
}

#[test]
fn variables_that_are_unsafe() {
    let unsafe_x = "2: rego_unsafe_var_error: var x is unsafe";
    check(&[
        ("p if x", unsafe_x),
        ("p := x", unsafe_x),
        ("p if x > 1", unsafe_x),
        ("p if not x == 1", unsafe_x),
        ("p if not input.y[x] == 1", unsafe_x),
        ("p if { [1, 2][_] == x }", unsafe_x),
        ("p if input.y[_] == x", unsafe_x),
        (
            "p if not input.y[_] == 1",
            "2: rego_unsafe_var_error: var _ is unsafe",
        ),
        (
            "p if not startswith(input.y[_], \"a\")",
            "2: rego_unsafe_var_error: var _ is unsafe",
        ),
        ("p if startswith(x, \"a\")", unsafe_x),
        (
            "p if count([y | y := x]) == 1",
            "2: rego_unsafe_var_error: var x is unsafe\n2: rego_unsafe_var_error: var y is unsafe",
        ),
        (
            "p if { x = y; y = x }",
            "2: rego_unsafe_var_error: var x is unsafe\n2: rego_unsafe_var_error: var y is unsafe",
        ),
        ("p if true with input as x", unsafe_x),
        ("p if every y in x { y }", unsafe_x),
        ("p if every y in [1] { y == x }", unsafe_x),
        ("p[x] := 1", unsafe_x),
        ("p contains x", unsafe_x),
        ("f(y) := x", unsafe_x),
        (
            "f(y) := z if { z := y + x }",
            "2: rego_unsafe_var_error: var x is unsafe\n2: rego_unsafe_var_error: var z is unsafe",
        ),
        ("p if { {x: 1} = {\"a\": 1} }", unsafe_x),
        ("p if { x in [1] }", unsafe_x),
        ("p if { {x} = {1} }", unsafe_x),
        ("p if data.b[x].c[y].d", ""),
        ("p if { y > 1; y = x; x = 2 }", ""),
        ("p if { [x, [y]] = input.z; x == y }", ""),
        ("p if { {\"a\": x} = input.z; x }", ""),
        ("p if { x = [y]; y = 1; x }", ""),
        ("p if { x = input.a; z = [y | y := input.b[x]]; z }", ""),
        ("p if { not q(x); x = 1 }\nq(y) if y", ""),
        ("p := [x | some x in input.y]", ""),
        ("p[x] := y if some x, y in input.z", ""),
        ("f([x, {\"k\": y}]) := x + y", ""),
        ("f(x) := x\np if f(1, y)\nq := z if f(2, z)", ""),
        ("p if { walk(input, [x, y]); x == y }", ""),
        ("p if { some x; input.y[x] == 1; not input.z[x] }", ""),
        (
            "p := x if { x := y; y := input.z[_] }",
            "2: rego_compile_error: var y referenced above",
        ),
    ]);
}

#[test]
fn variables_that_are_declared_where_they_must_not() {
    check(&[
        (
            "p if { some x; true }",
            "2: rego_compile_error: declared var x unused",
        ),
        (
            "p if { every x in [1] { true } }",
            "2: rego_compile_error: declared var x unused",
        ),
        (
            "p if { x := 1; some x; x == 1 }",
            "2: rego_compile_error: var x assigned above",
        ),
        (
            "f(x) if { x := 1 }",
            "2: rego_compile_error: arg x redeclared",
        ),
        (
            "f(input) if input",
            "2: rego_compile_error: args must not shadow input (use a different variable name)",
        ),
        (
            "p if { [1, x] := input.y; x }",
            "2: rego_compile_error: cannot assign to number",
        ),
        ("p if { some x; x = 1 }", ""),
        ("p := x if { some x; x = 1 }", ""),
        ("p if { every _ in [1] { true } }", ""),
        ("p if { x := 1; y := [x | x := 2]; y == [x] }", ""),
        ("q := 1\np if { q := 2; q == 2 }", ""),
        (
            "import data.b\nimport data.c.b\np := b",
            "3: rego_compile_error: import must not shadow import data.b",
        ),
        ("data := 1", "2: rego_parse_error: data cannot be shadowed"),
        (
            "default p := count([])",
            "2: rego_parse_error: illegal default rule (value cannot contain call)",
        ),
        (
            "default p := input.x",
            "2: rego_parse_error: illegal default rule (value cannot contain ref)",
        ),
        ("default p := [x | x := input.y]", ""),
        ("default p := {\"a\": [1, {2}]}", ""),
    ]);
}

#[test]
fn types_that_do_not_fit() {
    let undefined = "3: rego_type_error: undefined ref: data.a.x";
    check(&[
        ("p if 1 == \"a\"", "2: rego_type_error: match error"),
        ("p if [1, 2] = [1]", "2: rego_type_error: match error"),
        (
            "p if count(1)",
            "2: rego_type_error: count: invalid argument(s)",
        ),
        (
            "p if [1] + 1",
            "2: rego_type_error: plus: invalid argument(s)",
        ),
        (
            "p := startswith(\"a\")",
            "2: rego_type_error: startswith: arity mismatch",
        ),
        (
            "p if startswith(\"a\", \"b\", x, 1)",
            "2: rego_type_error: startswith: arity mismatch",
        ),
        ("x := {\"a\": 1}\np if x.b", &format!("{undefined}.b")),
        ("x := [1, 2]\np if x[5]", &format!("{undefined}[5]")),
        ("x := 1\np if x.b", &format!("{undefined}.b")),
        (
            "x := 1\np if x(1)",
            "3: rego_type_error: undefined function data.a.x",
        ),
        ("x(y) := y\np if x", undefined),
        (
            "f(x) := startswith(x, \"a\")\np if f(1)",
            "3: rego_type_error: data.a.f: invalid argument(s)",
        ),
        (
            "f([x, y]) := x\np if f([1])",
            "3: rego_type_error: data.a.f: invalid argument(s)",
        ),
        ("x contains \"a\"\np if x[1]", &format!("{undefined}[1]")),
        (
            "p if { x := 1; upper(x) == \"A\" }",
            "2: rego_type_error: upper: invalid argument(s)",
        ),
        (
            "p if { x := upper(\"a\"); x + 1 == 2 }",
            "2: rego_type_error: plus: invalid argument(s)",
        ),
        (
            "p := [upper(x) | x := 1]",
            "2: rego_type_error: upper: invalid argument(s)",
        ),
        (
            "p := any([true])",
            "2: rego_type_error: deprecated built-in function calls in expression: any",
        ),
        ("p if 1 != \"a\"", ""),
        ("p if 1 < \"a\"", ""),
        (
            "x := {\"a\": 1} if input.y\nx := {\"b\": 1} if input.z\np if x.b",
            "",
        ),
        ("x[y] := 1 if y := \"a\"\np if x.b", ""),
        ("x := input.y\np if x.b.c[1]", ""),
        ("f(x) := 1\np if f(\"a\") + f([1]) == 2", ""),
        ("x := []\np if x[0]", ""),
        ("p if data.a.b.c\nq if data.z[1]", ""),
        ("f(x) := x\np if f(1) == \"a\"\nq if f(\"a\") == \"a\"", ""),
        (
            "x := object.get(input, \"y\", 1)\np if startswith(x, \"z\")",
            "",
        ),
        ("x := {1, \"a\"}\np if x[\"a\"]\nq if x[1]", ""),
        ("p if { some i; [1, \"a\"][i] == \"a\"; i > 0 }", ""),
        ("p := {k: v | some k, v in {\"a\": 1}}\nq if p.b", ""),
        (
            "p if { x := [1, \"a\"]; [y, z] := x; y + 1 == 2; startswith(z, \"a\") }",
            "",
        ),
        ("x.y := 1\nx.z contains 2\np if x.y == 1\nq if x.z[2]", ""),
    ]);
}

#[test]
fn what_with_can_replace() {
    let wrong = "2: rego_type_error: with keyword target must reference existing input, data, or a function";
    check(&[
        ("p if true with foo as 1", wrong),
        ("p if { x := 1; x == 1 with x as 2 }", wrong),
        (
            "q.r := 1\np if q with data.a.q.r.s as 2",
            "3: rego_compile_error: with keyword cannot partially replace virtual document(s)",
        ),
        ("q := 1\np if q with data.a.q as 2", ""),
        ("q := 1\np if q == 2 with q as 2", ""),
        ("p if count([]) == 5 with count as 5", ""),
        ("f(_) := 5\np if count([]) == 5 with count as f", ""),
        (
            "p if input.x with input as {\"x\": 1} with data.y as input.z",
            "",
        ),
        ("import input.u\np if u with u as 1", ""),
    ]);
}

#[test]
fn text_that_is_no_part_of_a_module() {
    assert_eq!(
        errors(
            &["\u{feff}package a\r\n\r\nq := 1\r\np if not q\r\n"],
            false
        ),
        [""; 0]
    );
    // The names that lowering puts in are no policy's own.
    for name in ["__argument_0__", "__with_17__", "__template_x"] {
        let text = format!("package a\n# {name}\np if {{ {name} := \"{name}\"; {name} }}");
        let found = errors(&[&text], false);
        assert!(
            found.len() == 1 && found[0].starts_with("3: rego_parse_error: names"),
            "{found:?}"
        );
    }
}

#[test]
fn version_0() {
    let loads = [
        "package a\np[x] { x := 1 }\np[2] { true }",
        "package a\np { q[_] == 1 }\nq[x] = y { y := input.z[x] }",
        "package a\nimport input.x\nimport data.x\np { x }",
    ];
    for text in loads {
        assert_eq!(errors(&[text], true), [""; 0], "{text}");
    }
}

#[test]
fn signatures_can_be_read() {
    let (lines, read) = signatures::lines();
    assert_eq!(lines, read);
}

#[test]
fn signatures_have_the_numbers_of_arguments_that_are_implemented() {
    for (name, (_, arity)) in regorus::unstable::BUILTINS.iter() {
        if let Some(signature) = signatures::of(name) {
            assert_eq!(signature.arguments.len(), usize::from(*arity), "{name}");
        }
    }
}

#[test]
fn terms_of_comprehensions_may_loop() {
    check(&[
        ("p := [input.x[_] | true]", ""),
        ("p := {input.x[i]: i | true}", ""),
        (
            "p := [y | true]",
            "2: rego_unsafe_var_error: var y is unsafe",
        ),
    ]);
}

#[test]
fn chains_of_rules_have_an_end() {
    let chain = |length: usize| {
        let rules = (1..length).map(|rule| format!("q{rule} := q{}\n", rule - 1));
        format!("package a\nq0 := 1\n{}", rules.collect::<String>())
    };
    assert_eq!(errors(&[&chain(1_000)], false), Vec::<String>::new());
    assert_eq!(
        errors(&[&chain(20_000)], false),
        [
            "1002: rego_recursion_error: rule data.a.q1000 needs more than 1000 others, one by way \
             of another"
        ]
    );
}
