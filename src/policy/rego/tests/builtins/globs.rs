use super::*;

#[test]
fn globs_that_some_text_matches() {
    check(&[
        (r#"regex.globs_match("a.*", "ab.*")"#, json!(true)),
        (
            r#"regex.globs_match("a.a.[0-9]+z", ".b.b2359825792*594823z")"#,
            json!(true),
        ),
        (r#"regex.globs_match("[a-z]+", "[0-9]*")"#, json!(false)),
        (r#"regex.globs_match("abc", "abc")"#, json!(true)),
        (r#"regex.globs_match("abc", "abd")"#, json!(false)),
        (r#"regex.globs_match("ab", "abc")"#, json!(false)),
        (r#"regex.globs_match("", "")"#, json!(true)),
        (r#"regex.globs_match("a+", "")"#, json!(false)),
        (r#"regex.globs_match("é[à-ü]", "..")"#, json!(true)),
        (r#"regex.globs_match(`\*`, `\*`)"#, json!(true)),
        (r#"regex.globs_match(`[\]a]`, `\]`)"#, json!(true)),
        (r#"regex.globs_match("x*y", "xxxz")"#, json!(false)),
        (r#"regex.globs_match("x*y", "xxxy")"#, json!(true)),
        (r#"regex.globs_match("x*x*", "x")"#, json!(true)),
    ]);
}

#[test]
fn what_is_no_glob() {
    check_undefined(&[
        r#"regex.globs_match("pqrs]", "[a-b]+")"#,
        r#"regex.globs_match("[a", "a")"#,
        r#"regex.globs_match("[-a]", "a")"#,
        r#"regex.globs_match("[b-a]", "a")"#,
        r#"regex.globs_match("[a-]", "a")"#,
        r#"regex.globs_match("*a", "a")"#,
        r#"regex.globs_match("a**", "a")"#,
        r#"regex.globs_match(`a\`, "a")"#,
        r#"regex.globs_match(1, "a")"#,
    ]);
}

#[test]
fn globs_that_take_too_long() {
    let many = quoted(&format!("{}zb*", "a*[ab]*".repeat(30)));
    let text = quoted(&format!("{}b", "a".repeat(3_000)));
    let why = refusal(&format!("regex.globs_match({many}, {text})"));
    assert!(why.contains("refused"), "{why}");
    let long = quoted(&"a".repeat(5_000));
    let why = refusal(&format!("regex.globs_match({long}, {long})"));
    assert!(why.contains("refused"), "{why}");
    let sets = quoted(&format!("[{}]", "ab".repeat(2_000)));
    let others = quoted(&format!("[{}]", "cd".repeat(2_000)));
    let why = refusal(&format!(
        "regex.globs_match(concat(\"\", [{sets}, \"*\"]), concat(\"\", [{others}, \"*\"]))"
    ));
    assert!(why.contains("refused"), "{why}");
}
