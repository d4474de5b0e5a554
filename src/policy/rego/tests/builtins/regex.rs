use super::*;

/// A pattern and a text in raw strings of Rego.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    result(&format!("regex.match(`{pattern}`, {})", quoted(text))).map(|answer| answer == true)
}

#[test]
fn patterns_mean_what_they_mean_to_go() {
    let rows = [
        (r"^\d+$", "123", true),
        (r"^\d+$", "٣", false),
        (r"^\D+$", "ab٣", true),
        (r"^\w+$", "a_Z9", true),
        (r"^\w+$", "é", false),
        (r"^\W$", "é", true),
        (r"^\s+$", " \t\n\r\u{c}", true),
        (r"^\s$", "\u{b}", false),
        (r"^\s$", "\u{a0}", false),
        (r"^\S$", "\u{a0}", true),
        (r"\bfoo\b", "a foo b", true),
        (r"\bfoo\b", "afoo", false),
        (r"\bfoo\b", "éfoo", true),
        (r"a\Bb", "ab", true),
        (r"^[\d.]+$", "1.2", true),
        (r"^[^\d]+$", "a1", false),
        (r"^[\D]+$", "ab", true),
        (r"^[\w-]+$", "a-b", true),
        (r"^[^\W_]+$", "a_", false),
        ("(?i)^admin$", "AdMiN", true),
        ("(?i)^é$", "É", true),
        (r"^\p{L}+$", "aé", true),
        (r"^\pN$", "٣", true),
        (r"^\p{Greek}$", "α", true),
        (r"^\x{3b1}\x41$", "αA", true),
        (r"^[\p{L}\x{30}]+$", "é0", true),
        ("^/users/{id}$", "/users/{id}", true),
        ("^a{2}$", "aa", true),
        ("^a{2,}$", "aaa", true),
        ("^a{,2}$", "a{,2}", true),
        ("^a{,2}$", "aa", false),
        (r"^\Qa.b\E$", "a.b", true),
        (r"^\Qa.b\E$", "axb", false),
        (r"^\<a\>$", "<a>", true),
        ("^[[]$", "[", true),
        ("^[]a]$", "]", true),
        ("^[^]a]$", "]", false),
        ("^[a&&b]+$", "a&b", true),
        ("^[a~~b]+$", "~", true),
        ("^[[:alpha:]]+$", "ab", true),
        ("^[[:^alpha:]]+$", "12", true),
        ("a$", "a\n", false),
        ("^a.b$", "a\nb", false),
        ("(?s)^a.b$", "a\nb", true),
        (r"^(?P<x>a)\.(?:b)$", "a.b", true),
    ];
    for (pattern, text, expected) in rows {
        assert_eq!(matches(pattern, text), Some(expected), "{pattern} {text:?}");
    }
    for pattern in [
        "(", "[", "\\", "(?=a)", r"(a)\1", "[b-a]", r"\Z", "*a", "[\\",
    ] {
        assert_eq!(matches(pattern, "a"), None, "{pattern}");
        let valid = result(&format!("regex.is_valid(`{pattern}`)"));
        assert_eq!(valid, Some(json!(false)), "{pattern}");
    }
}

#[test]
fn other_uses_of_patterns() {
    check(&[
        (r#"regex.is_valid(`^\d+$`)"#, json!(true)),
        (r#"regex.is_valid(1)"#, json!(false)),
        (r#"re_match(`^\d$`, "1")"#, json!(true)),
        (
            r#"regex.split(`\s*,\s*`, "a , b,c")"#,
            json!(["a", "b", "c"]),
        ),
        (r#"regex.find_n(`\d+`, "1 22 333", 2)"#, json!(["1", "22"])),
        (
            r#"regex.find_n(`\d+`, "1 22 333", -1)"#,
            json!(["1", "22", "333"]),
        ),
        (
            r#"regex.find_all_string_submatch_n(`(\w)=(\d)`, "a=1 b=2", -1)"#,
            json!([["a=1", "a", "1"], ["b=2", "b", "2"]]),
        ),
        (r##"regex.replace("a1b22", `\d+`, "#")"##, json!("a#b#")),
        (r#"regex.replace("ab", `(\w)(\w)`, "$2$1")"#, json!("ba")),
    ]);
    check_undefined(&["regex.match(1, \"a\")", "regex.match(\"a\", 1)"]);
}

#[test]
fn patterns_that_take_too_much_are_refused() {
    let written = "a regular expression of this size is refused";
    let rows = [
        (
            "regex.match(\"(.{1000}|b{1000}|c{1000})+(\\\\pL{999}){1}\", \"a\")".to_owned(),
            written,
        ),
        (
            "not regex.match(\"(.{1000}|b{1000}|c{1000})+(\\\\pL{999}){1}\", \"a\")".to_owned(),
            written,
        ),
        (
            format!("regex.match(\"{}\", \"a\")", "a".repeat(70_000)),
            written,
        ),
    ];
    for (call, expected) in rows {
        let policies = compile(&format!("package envoy.authz\n\nallow if {call}\n"));
        let error = ask(&policies, &Attributes::default()).unwrap_err();
        assert_eq!(error, expected);
    }
}

#[test]
fn patterns_inside_of_templates() {
    let rows = [
        (r#""urn:foo:{.*}", "urn:foo:bar:baz", "{", "}""#, true),
        (r#""urn:foo:<.*>", "urn:foo:bar", "<", ">""#, true),
        (r#"`/users/{\d+}/x.y`, "/users/12/x.y", "{", "}""#, true),
        (r#"`/users/{\d+}/x.y`, "/users/12/xzy", "{", "}""#, false),
        (r#"`/users/{\d+}`, "/users/12/more", "{", "}""#, false),
        (r#"`{a{2}}b`, "aab", "{", "}""#, true),
        (r#"`{a|b}c`, "ac", "{", "}""#, true),
        (r#"`{a|b}c`, "a", "{", "}""#, false),
        (r#""plain", "plain", "{", "}""#, true),
        // A text shorter than what the template begins with.
        (r#""a long beginning {.*}", "a", "{", "}""#, false),
        (r#""é{.*}", "è", "{", "}""#, false),
    ];
    for (arguments, expected) in rows {
        let call = format!("regex.template_match({arguments})");
        assert_eq!(result(&call), Some(json!(expected)), "{call}");
    }
    check_undefined(&[
        r#"regex.template_match("a}{", "a", "{", "}")"#,
        r#"regex.template_match("a{", "a", "{", "}")"#,
        r#"regex.template_match("a{(}", "a", "{", "}")"#,
        r#"regex.template_match("a", "a", "", "}")"#,
        r#"regex.template_match("a", "a", "{", "}}")"#,
    ]);
    assert_eq!(
        refusal(r#"regex.template_match("{\\pL{999}}", "a", "{", "}")"#),
        "a regular expression of this size is refused"
    );
}

#[test]
fn what_is_no_pattern_to_go_is_none() {
    let invalid = [
        "(?x)a b",
        "(?ix)a",
        "(?R)a",
        r"(?-u)\w",
        "(?i-)a",
        "(?-)a",
        "(?i--s)a",
        "a**",
        "a++",
        "a*+",
        "a+?*",
        "a??*",
        "x{2}{3}",
        "x{2}*",
        "a{0,1001}",
        "a{1001}",
        "a{1001,}",
        "a{2,1}",
        "a{99999999999999999999}",
        "(a{100}){100}",
        "((a{10}){11}){10}",
        r"\u0041",
        r"\U0001F600",
        r"\x",
        r"\x4",
        r"\x{}",
        r"\x{g}",
        r"\x{110000}",
        r"\8",
        r"\1",
        r"\C",
        r"\Z",
        r"\h",
        r"\i",
        r"\é",
        r"\p{Alphabetic}",
        r"\p{Lowercase}",
        r"\p{Script=Greek}",
        r"\p{sc=Greek}",
        r"\p{gc=L}",
        r"\p{Grek}",
        r"\p{greek}",
        r"\p{}",
        r"\p{L",
        r"\pé",
        "[[:foo:]]",
        "[[:Alpha:]]",
        r"[a-\d]",
        r"[\b]",
        r"[\Qa\E]",
        "[z-a]",
        "(?P<a.b>x)",
        "(?P<>x)",
        "(?P<a",
        "(?<=a)b",
        "(?#a)",
    ];
    for pattern in invalid {
        assert_eq!(matches(pattern, "a"), None, "{pattern}");
        let valid = result(&format!("regex.is_valid(`{pattern}`)"));
        assert_eq!(valid, Some(json!(false)), "{pattern}");
    }
    let rows = [
        (r"^\141\0\x{0061}$", "a\0a", true),
        (r"^\101$", "A", true),
        (r"^[\141-c]+$", "abc", true),
        (r"^\a\f\n\r\t\v$", "\u{7}\u{c}\n\r\t\u{b}", true),
        (r"^\-\/\_\<\ $", "-/_< ", true),
        ("^a{01}$", "a{01}", true),
        ("^a{0}b$", "b", true),
        ("^(a{10}){100}$", &"a".repeat(1000), true),
        ("^(a{0,}){1000}$", "", true),
        ("^a{,3}$", "a{,3}", true),
        ("^(?U)a+?$", "aa", true),
        ("^(?i-i)A$", "a", false),
        ("^(?ii:A)$", "a", true),
        ("^(?)a$", "a", true),
        ("^(?:)a$", "a", true),
        ("^(?s-i:.)$", "\n", true),
        ("(?<x>a)", "a", true),
        (r"^\p{^L}$", "1", true),
        (r"^\P{^L}$", "1", false),
        (r"^[\P{L}]$", "1", true),
        (r"^[^\pL]$", "1", true),
        (r"^\p{Old_Italic}$", "\u{10300}", true),
        (r"^\p{Thai}$", "\u{e01}", true),
        (r"^\p{Any}+$", "a\n", true),
        (r"^\p{Lu}\p{Nd}$", "É1", true),
        (r"^[[:word:]]+[[:^space:]]$", "a_1", true),
        ("^[a-]+$", "a-", true),
        ("^[-a]+$", "a-", true),
        (r"^[\w-z]+$", "a-z", true),
        ("^[a^]+$", "^a", true),
        ("^[.*+?(){}|$]+$", ".*+?(){}|$", true),
        ("^[[:a]+$", "[:a", true),
        ("^[[a]]$", "a]", true),
        ("^[^^]$", "a", true),
        (r"^[\]\\]+$", "]\\", true),
        ("^.{1,1000}$", "abc", true),
        (r"^[\p{L} ]{1,100}$", "Zoë B", true),
        ("^a|b$", "xb", true),
    ];
    for (pattern, text, expected) in rows {
        assert_eq!(matches(pattern, text), Some(expected), "{pattern} {text:?}");
    }
}

#[test]
fn matches_of_nothing() {
    check(&[
        (r#"regex.split("", "ab")"#, json!(["a", "b"])),
        (r#"regex.split("x*", "axbc")"#, json!(["a", "b", "c"])),
        (r#"regex.split("x", "")"#, json!([""])),
        (r#"regex.split("", "")"#, json!([])),
        (r#"regex.split("a", "aba")"#, json!(["", "b", ""])),
        (r#"regex.split("b*", "abc")"#, json!(["a", "c"])),
        (r#"regex.split("z", "abc")"#, json!(["abc"])),
        (r#"regex.split("", "aé")"#, json!(["a", "é"])),
        (
            r#"regex.find_n("x*", "axbc", -1)"#,
            json!(["", "x", "", ""]),
        ),
        (r#"regex.find_n("a", "aaa", 0)"#, json!([])),
        (r#"regex.replace("abc", "x*", "-")"#, json!("-a-b-c-")),
        (
            r#"regex.find_all_string_submatch_n("(a)|(b)", "ab", -1)"#,
            json!([["a", "a", ""], ["b", "", "b"]]),
        ),
    ]);
    check_undefined(&[
        "regex.find_n(\"a\", \"a\", 1.5)",
        "regex.find_n(\"a\", \"a\", \"1\")",
    ]);
}
