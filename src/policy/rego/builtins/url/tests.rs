use super::*;

/// Texts and the parts that Go shows of them: scheme, opaque, host, path, raw path, query, fragment.
#[test]
fn parts() {
    let rows = [
        ("", ["", "", "", "", "", "", ""]),
        ("*", ["", "", "", "*", "", "", ""]),
        ("a/b", ["", "", "", "a/b", "", "", ""]),
        ("/a?b#c", ["", "", "", "/a", "", "b", "c"]),
        ("//h/p", ["", "", "h", "/p", "", "", ""]),
        ("///p", ["", "", "", "///p", "", "", ""]),
        ("HTTP://H:80", ["http", "", "H:80", "", "", "", ""]),
        (
            "http://h/a%2fb%20",
            ["http", "", "h", "/a/b ", "/a%2fb%20", "", ""],
        ),
        ("http://h/a b", ["http", "", "h", "/a b", "/a b", "", ""]),
        ("http://h/a%20b", ["http", "", "h", "/a b", "", "", ""]),
        ("http://[::1]:8/", ["http", "", "[::1]:8", "/", "", "", ""]),
        (
            "http://[fe80::1%25e%20]/",
            ["http", "", "[fe80::1%e ]", "/", "", "", ""],
        ),
        ("mailto:a@b?c", ["mailto", "a@b", "", "", "", "c", ""]),
        ("urn:x:y", ["urn", "x:y", "", "", "", "", ""]),
        ("file:/a", ["file", "", "", "/a", "", "", ""]),
        (
            "spiffe://td/ns/x",
            ["spiffe", "", "td", "/ns/x", "", "", ""],
        ),
        ("a.b/c:d", ["", "", "", "a.b/c:d", "", "", ""]),
        ("1a", ["", "", "", "1a", "", "", ""]),
        ("/?a?b", ["", "", "", "/", "", "a?b", ""]),
        ("http://a%c3%a9/", ["http", "", "a\u{e9}", "/", "", "", ""]),
    ];
    for (text, expected) in rows {
        let url = Url::parse(text).unwrap_or_else(|| panic!("{text}"));
        let bytes = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts = [
            url.scheme.clone(),
            url.opaque.clone(),
            bytes(&url.host),
            bytes(&url.path),
            url.raw_path.clone(),
            url.raw_query.clone(),
            bytes(&url.fragment),
        ];
        assert_eq!(parts, expected.map(str::to_owned), "{text}");
    }
}

#[test]
fn texts_that_are_none() {
    for text in [
        "\n",
        "a\u{7f}",
        ":a",
        "://",
        "1:2",
        "%zz",
        "/%",
        "/%4",
        "/%+f",
        "http://h:x/",
        "http://[::1/",
        "http://[::1]x/",
        "http://a b/",
        "http://a%20b/",
        "http://u^@h/",
        "http://h/#%",
    ] {
        assert_eq!(Url::parse(text), None, "{text:?}");
    }
}

/// What is written is what was read, or the one way to write it.
#[test]
fn written() {
    let rows = [
        ("http://u:p@h:1/a?b#c", "http://u:p@h:1/a?b#c"),
        ("HTTP://h", "http://h"),
        ("http://h/a%2Fb", "http://h/a%2Fb"),
        ("http://h/a b", "http://h/a%20b"),
        ("http://h/?", "http://h/?"),
        ("mailto:a@b", "mailto:a@b"),
        ("file:/a", "file:/a"),
        ("file:///a", "file:///a"),
        ("./a:b", "./a:b"),
        ("a%3Ab", "a%3Ab"),
        ("//h/p", "//h/p"),
        ("#%20x", "#%20x"),
        ("http://h/#a[b]", "http://h/#a[b]"),
    ];
    for (text, expected) in rows {
        assert_eq!(Url::parse(text).unwrap().written(), expected, "{text}");
    }
}
