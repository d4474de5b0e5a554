use super::*;

#[test]
fn what_is_no_module_is_told() {
    for text in [
        "",
        "# nothing",
        "p := 1",
        "import data.a",
        "package",
        "package 1",
        "package a[x]",
        "package a.f(1)",
        "package a\npackage b",
        "package a\nimport b",
        "package a\nimport data.if",
        "package a\nimport future.keywords.what",
        "package a\nimport rego.v2",
        "package a\nimport data.b as if",
    ] {
        assert!(matches!(parsed(text), Err(Failure::Failed(_))), "{text}");
    }
    for text in [
        // Of OPA 1: `if` and `contains` are not left out.
        "p { true }",
        "p[x]",
        "p.q",
        "p.q.r",
        "p",
        "f()",
        "count(x)",
        "1",
        "a == b",
        "not p := 1",
        "p := 1; q := 2",
        "p := 1 with input as 2",
        "p if",
        "p if { a b }",
        "p if { a; }",
        "p if a else",
        "p if a else { b }",
        "p if a else = 1 { b }",
        "p[x] if a else := 1",
        "p contains 1 if a else := 2",
        "f(x) contains 1 if x",
        "p if { not some x }",
        "p if { some 1 }",
        "p if { some x == 1 }",
        "p if { every 1 in x { a } }",
        "p if { every x { a } }",
        "p if { every x in y }",
        "p if { a with b }",
        "p if { a with 1 as 2 }",
        "default p.q",
        "default p := x",
        "default p := input.x",
        "default p := f(1)",
        "default f(1) := 1",
        "default f(x, x) := 1",
        "if := 1",
        "p := in",
        "p := -x",
        "p := .5",
        "p := 01",
        "p := 1.",
        "p := 1e",
        "p := 1a",
        "p := 1e400000",
        "p := \"a\nb\"",
        "p := \"\\q\"",
        "p := \"\\u12\"",
        "p := \"a",
        "p := `a",
        "p := 'a'",
        "p := \"a\".b",
        "p := (a.b).c",
        "p := a. b",
        "p := a.1",
        "p := a[1",
        "p := (1",
        "p := [1",
        "p := [1 2]",
        "p := {1",
        "p := {1: }",
        "p := {1: 2",
        "p := {1: 2, 3}",
        "p := f(1",
        "p := f(1 2)",
        "p := a ! b",
        "p := ü",
        "p := \"\0\"",
        "p := $\"{a}\"",
    ] {
        let text = format!("package x\n{text}");
        assert!(matches!(parsed(&text), Err(Failure::Failed(_))), "{text}");
    }
}

#[test]
fn what_would_take_too_much_is_refused() {
    let nested = |open: &str, close: &str, times: usize| {
        let (open, close) = (open.repeat(times), close.repeat(times));
        format!("package x\np := {open}1{close}")
    };
    for (text, is_taken) in [
        (nested("[", "]", 60), true),
        (nested("{\"a\": ", "}", 60), true),
        (nested("[", "]", 100_000), false),
        (nested("(", ")", 100_000), false),
        (nested("{", "}", 64), false),
        (nested("f(", ")", 64), false),
        (nested("a[", "]", 64), false),
        (nested("[1 | x := ", "]", 64), false),
        // Each of these is tried as two things, and so are those in it.
        (nested("[a | ", ", b]", 40), false),
        (format!("package x\np := 1{}", " + 1".repeat(60)), true),
        (format!("package x\np := 1{}", " + 1".repeat(100)), false),
        (
            format!(
                "package x\np := {}1{}",
                "(".repeat(15),
                " + 1 + 1)".repeat(15)
            ),
            true,
        ),
        (
            format!(
                "package x\np := {}1{}",
                "(".repeat(40),
                " + 1 + 1)".repeat(40)
            ),
            false,
        ),
        (format!("package x\np := 1{}", " in 1".repeat(100)), false),
        (format!("package x\np := f{}", "(1).a".repeat(100)), false),
        (
            format!("package x\np if a{}", " else = 1 if a".repeat(100)),
            false,
        ),
        (
            format!("package x\np := [{}]", "1 + 1, ".repeat(12_000)),
            true,
        ),
        (format!("package x\np := [{}]", "1, ".repeat(30_000)), false),
        // A head of many tokens, over and over.
        (
            format!(
                "package x\nf([{}]) if {}",
                "1, ".repeat(1_000),
                "{ a }".repeat(1_000)
            ),
            false,
        ),
        (format!("package x\n#{}", " ".repeat(2 << 20)), false),
    ] {
        let beginning = &text[..text.len().min(60)];
        match parse("x.rego", &text) {
            Ok(_) => assert!(is_taken, "{beginning}"),
            Err(failure) => {
                assert!(!is_taken, "{beginning}: {failure}");
                assert!(
                    matches!(failure, Failure::Limit(_)),
                    "{beginning}: {failure}"
                );
            }
        }
    }
}
