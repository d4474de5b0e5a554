use super::*;

#[test]
fn verbs_and_flags() {
    let rows = [
        (r#""hi", []"#, "hi"),
        (r#""%s %d %v", ["a", 1, true]"#, "a 1 true"),
        (r#""100%%", []"#, "100%"),
        // Integers.
        (
            r#""%d|%5d|%-5d|%05d|%+d|% d", [42, 42, 42, 42, 42, 42]"#,
            "42|   42|42   |00042|+42| 42",
        ),
        (r#""%d|%05d|%5d", [-7, -7, -7]"#, "-7|-0007|   -7"),
        (r#""%.3d|%6.3d|%06.3d", [7, 7, 7]"#, "007|   007|   007"),
        (
            r#""%x %X %o %O %b", [255, 255, 8, 8, 5]"#,
            "ff FF 10 0o10 101",
        ),
        (
            r#""%#x %#X %#o %#b %x", [255, 255, 8, 5, -255]"#,
            "0xff 0XFF 010 0b101 -ff",
        ),
        (r#""%c %U %q", [65, 233, 65]"#, "A U+00E9 'A'"),
        (
            r#""%d %s %v", [12345678901234567890, 1208925819614629174706175, 12345678901234567890]"#,
            "12345678901234567890 1208925819614629174706175 12345678901234567890",
        ),
        // Others.
        (
            r#""%f|%.2f|%8.2f|%-8.2f|%08.2f", [3.14159, 3.14159, 3.14159, 3.14159, -3.14159]"#,
            "3.141590|3.14|    3.14|3.14    |-0003.14",
        ),
        (
            r#""%e %E %.1e", [12345.678, 12345.678, 0.00123]"#,
            "1.234568e+04 1.234568E+04 1.2e-03",
        ),
        (
            r#""%g %g %v %.3g %g", [0.00001, 0.5, 0.1, 1234.5, 0.0001]"#,
            "1e-05 0.5 0.1 1.23e+03 0.0001",
        ),
        (
            r#""%v %v %v", [1234.5, 123456789.25, 0.00000125]"#,
            "1234.5 1.2345678925e+08 1.25e-06",
        ),
        // Strings.
        (
            r#""%10s|%-10s|%.2s|%5.1s", ["ab", "cd", "efg", "hij"]"#,
            "        ab|cd        |ef|    h",
        ),
        (
            r#""%q %x %X", ["a\"b", "hi", "hi"]"#,
            "\"a\\\"b\" 6869 6869",
        ),
        (r#""%s", ["é"]"#, "é"),
        // Anything else is written as Rego writes it.
        (
            r#""%v %v %v", [null, [1, "a"], {"k": "v"}]"#,
            "null [1, \"a\"] {\"k\": \"v\"}",
        ),
        (r#""%v %v", [{"b", "a"}, set()]"#, "{\"a\", \"b\"} set()"),
        (
            r#""%s", [{"a": {"b": [1.5, {2}]}}]"#,
            "{\"a\": {\"b\": [1.5, {2}]}}",
        ),
        // Arguments by number, and widths out of arguments.
        (r#""%[2]s %[1]s", ["a", "b"]"#, "b a"),
        (r#""%[1]s %[1]s", ["a", "b"]"#, "a a"),
        (r#""%*d|%-*d|%*d", [5, 1, 3, 2, -3, 4]"#, "    1|2  |4  "),
        (r#""%.*f", [1, 2.55555]"#, "2.6"),
        (r#""%T %T %T", [1, 1.5, "a"]"#, "int float64 string"),
    ];
    for (arguments, expected) in rows {
        let call = format!("sprintf({arguments})");
        assert_eq!(result(&call), Some(json!(expected)), "{call}");
    }
}

#[test]
fn what_does_not_fit_is_told_in_the_text() {
    let rows = [
        (r#""%s", [1]"#, "%!s(int=1)"),
        (r#""%s", [1.5]"#, "%!s(float64=1.5)"),
        (r#""%d", ["x"]"#, "%!d(string=x)"),
        (r#""%t", [true]"#, "%!t(string=true)"),
        (r#""%f", [1]"#, "%!f(int=1)"),
        (r#""%d", [1.5]"#, "%!d(float64=1.5)"),
        (r#""%s %s", ["a"]"#, "a %!s(MISSING)"),
        (r#""%s", ["a", "b", 1]"#, "a%!(EXTRA string=b, int=1)"),
        (r#""%!", []"#, "%!!(MISSING)"),
        (r#""%", []"#, "%!(NOVERB)"),
        (r#""%[3]s", ["a"]"#, "%!s(BADINDEX)"),
        (r#""%[x]s", ["a"]"#, "%!s(BADINDEX)"),
        (r#""%*d", ["a", 1]"#, "%!(BADWIDTH)1"),
        (r#""%y", [1]"#, "%!y(int=1)"),
    ];
    for (arguments, expected) in rows {
        let call = format!("sprintf({arguments})");
        assert_eq!(result(&call), Some(json!(expected)), "{call}");
    }
    check_undefined(&["sprintf(1, [])", "sprintf(\"%s\", \"a\")"]);
}

#[test]
fn texts_without_end_are_refused() {
    for arguments in [
        r#""%1001d", [1]"#,
        r#""%.1001f", [1.5]"#,
        r#""%*d", [1001, 1]"#,
        r#""%*d", [-9223372036854775807, 1]"#,
        r#""%99999999999999999999d", [1]"#,
    ] {
        assert_eq!(
            refusal(&format!("sprintf({arguments})")),
            "a width over 1000 is refused"
        );
    }
    let long = "concat(\"\", [\"aaaaaaaaaaaaaaaa\" | some _ in numbers.range(1, 1)])";
    let call = format!(
        "count(sprintf(concat(\"\", [x | some i in numbers.range(1, 20000); x := \"%[1]1000s\"]), [{long}]))"
    );
    assert_eq!(
        refusal(&call),
        "a text of more than 16777216 bytes is refused"
    );
}
