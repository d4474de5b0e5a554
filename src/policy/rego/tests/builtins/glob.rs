use super::*;

fn matches(pattern: &str, delimiters: &str, text: &str) -> Option<Json> {
    let (pattern, text) = (quoted(pattern), quoted(text));
    result(&format!("glob.match({pattern}, {delimiters}, {text})"))
}

#[test]
fn globs() {
    for (pattern, delimiters, text, expected) in [
        ("*.github.com", "[]", "api.github.com", true),
        ("*.github.com", "[]", "a.b.github.com", false),
        ("*.github.com", "[]", ".github.com", true),
        ("**.github.com", "[]", "a.b.github.com", true),
        ("*:github:com", "[\":\"]", "api:github:com", true),
        ("*", "[\".\"]", "", true),
        ("*", "[\".\"]", "a.b", false),
        ("*", "null", "a.b/c", true),
        ("a**d", "[\"/\"]", "a/b/c/d", true),
        ("api**", "[\".\"]", "api.a.b", true),
        // What is left out in the paths of a file system is not left out here.
        ("**/foo", "[\"/\"]", "foo", false),
        ("**/foo", "[\"/\"]", "a/b/foo", true),
        // Two texts with anything between may overlap.
        ("/a/**/b", "[\"/\"]", "/a/b", true),
        ("ab*bc", "null", "abc", true),
        ("ab*bc", "[]", "abc", false),
        ("aba**aba", "[]", "ab", false),
        ("?/a/**/b", "[\"/\"]", "x/a/b", false),
        ("/a/**/b", "[\"/\"]", "/a/x/y/b", true),
        ("/a/**", "[\"/\"]", "/a/", true),
        ("/a/**", "[\"/\"]", "/a", false),
        ("/a/*", "[\"/\"]", "/a/b", true),
        ("/a/*", "[\"/\"]", "/a/b/c", false),
        ("/a/*", "[]", "/a/b/c", true),
        ("/a/*", "[\"/\", \":\"]", "/a/b:c", false),
        ("a?c", "[]", "abc", true),
        ("a?c", "[]", "a\u{e9}c", true),
        ("a?c", "[]", "a.c", false),
        ("a?c", "[]", "ac", false),
        ("[abc]at", "[]", "bat", true),
        ("[abc]at", "[]", "rat", false),
        ("[!abc]at", "[]", "rat", true),
        ("[!abc]at", "[]", "at", false),
        ("[a-c]at", "[]", "bat", true),
        ("[a-c]at", "[]", "dat", false),
        ("[!a-c]at", "[]", "dat", true),
        ("[.]", "[]", ".", true),
        (r"[\]a]", "[]", "]", true),
        ("{cat,bat,[fr]at}", "[]", "rat", true),
        ("{cat,bat,[fr]at}", "[]", "vat", false),
        ("{a,b{c,d}}*", "[]", "bdx", true),
        ("{a,b{c,d}}*", "[]", "bx", false),
        ("{,a}b", "[]", "b", true),
        ("{*,**}x", "[]", "a.x", true),
        ("{a,b", "[]", "b", true),
        ("a,b}", "[]", "a,b}", true),
        (r"\*\{\,", "[]", "*{,", true),
        (r"a\", "[]", "a", true),
        ("a]", "[]", "a]", true),
        ("", "[]", "", true),
        ("", "[]", "a", false),
        ("A", "[]", "a", false),
        ("a/b", "[\".\"]", "a/b", true),
        ("a\0b", "[]", "a\0b", true),
    ] {
        let actual = matches(pattern, delimiters, text);
        assert_eq!(
            actual,
            Some(json!(expected)),
            "{pattern} {delimiters} {text}"
        );
    }
}

#[test]
fn what_is_no_glob() {
    check_undefined(&[
        r#"glob.match("[a", [], "a")"#,
        r#"glob.match("[]", [], "a")"#,
        r#"glob.match("[a-z0-9]", [], "a")"#,
        r#"glob.match("[z-a]", [], "a")"#,
        r#"glob.match("[a-", [], "a")"#,
        r#"glob.match("a", ["::"], "a")"#,
        r#"glob.match("a", [""], "a")"#,
        r#"glob.match("a", [1], "a")"#,
        r#"glob.match("a", ".", "a")"#,
        r#"glob.match("a", {"."}, "a")"#,
        r#"glob.match(1, [], "a")"#,
        r#"glob.match("a", [], 1)"#,
        r#"glob.quote_meta(1)"#,
    ]);
    check(&[(
        r#"glob.quote_meta("*.a?[b]{c}\\,!-é")"#,
        json!(r"\*.a\?\[b\]\{c\}\\,!-é"),
    )]);
}

#[test]
fn globs_that_take_too_much() {
    for (pattern, text) in [
        ("{".repeat(100), "a".to_owned()),
        ("a".repeat(5_000), "a".to_owned()),
        ("*a".repeat(2_000), "a".repeat(10_000)),
    ] {
        let (pattern, text) = (quoted(&pattern), quoted(&text));
        let why = refusal(&format!("glob.match({pattern}, [], {text})"));
        assert!(why.contains("refused"), "{why}");
    }
}
