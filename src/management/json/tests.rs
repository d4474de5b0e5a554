use super::*;

#[test]
fn on_lines_of_their_own() {
    let rows = [
        ("1", "1"),
        ("[]", "[]"),
        ("{}", "{}"),
        (r#""a:{[,\"]""#, r#""a:{[,\"]""#),
        ("[1,[]]", "[\n  1,\n  []\n]"),
        (
            r#"{"a":{"b":[{}]},"c":"d"}"#,
            "{\n  \"a\": {\n    \"b\": [\n      {}\n    ]\n  },\n  \"c\": \"d\"\n}",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(indented(text), expected);
    }
}

#[test]
fn what_would_become_too_long_stays_as_it_is() {
    let deep = |depth: usize, parts: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{open}{}1{close}", "1,".repeat(parts))
    };
    // 402 kB that would be 400 MB.
    let bomb = deep(990, 200_000);
    assert_eq!(indented(&bomb), bomb);
    // Depth alone, or length, is no reason.
    assert!(indented(&deep(990, 10)).len() > 1_000_000);
    assert!(indented(&deep(1, 1_000_000)).len() > 3_000_000);
}
