//! Paths under every mode. What Envoy makes of them was asked of Envoy 1.40.

use proptest::prelude::*;

use super::super::*;

use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None, Reject};
use RefusedPath::{
    BrokenEscape, ControlCharacter, DotSegment, DoubleEscape, Fragment, NoPath, NoUtf8, NotNormal,
    Nul,
};

/// `(target, base, merge_slashes, decode_and_merge_slashes)`.
#[test]
fn paths_become_what_envoy_makes_of_them() {
    let rows: &[(&str, &str, &str, &str)] = &[
        ("", "", "", ""),
        ("*", "*", "*", "*"),
        ("/", "/", "/", "/"),
        ("/a?b/../c", "/a", "/a", "/a"),
        ("/a#b/../c", "/a", "/a", "/a"),
        (
            "/.well-known/a..b/.../x",
            "/.well-known/a..b/.../x",
            "/.well-known/a..b/.../x",
            "/.well-known/a..b/.../x",
        ),
        ("/a/../b", "/b", "/b", "/b"),
        ("/../../b", "/b", "/b", "/b"),
        ("/a/.", "/a/", "/a/", "/a/"),
        ("/a/b/..", "/a/", "/a/", "/a/"),
        ("//a//../..//b", "///b", "/b", "/b"),
        ("//", "//", "//", "//"),
        ("///", "///", "//", "//"),
        ("/\\", "//", "//", "//"),
        ("/a//", "/a//", "/a/", "/a/"),
        ("/a\\..\\b", "/b", "/b", "/b"),
        ("/%61%2d%5F%7e%30", "/a-_~0", "/a-_~0", "/a-_~0"),
        ("/a/%2e%2E/b", "/b", "/b", "/b"),
        ("/a%2e%2e/b", "/a../b", "/a../b", "/a../b"),
        ("/a%2fb%5Cc", "/a%2fb%5Cc", "/a%2fb%5Cc", "/a/b/c"),
        ("/a%2f%2e%2e%5cb", "/a%2f..%5cb", "/a%2f..%5cb", "/b"),
        ("/a%252fb", "/a%252fb", "/a%252fb", "/a%252fb"),
        ("/a%20b%zz%2", "/a%20b%zz%2", "/a%20b%zz%2", "/a%20b%zz%2"),
        (
            "/%2%41/%%34%31",
            "/%252A/%2541",
            "/%252A/%2541",
            "/%252A/%2541",
        ),
        (
            "/\"<>^`{|}",
            "/%22%3C%3E%5E%60%7B%7C%7D",
            "/%22%3C%3E%5E%60%7B%7C%7D",
            "/%22%3C%3E%5E%60%7B%7C%7D",
        ),
        (
            "/[]!$&'()*+,:@=",
            "/[]!$&'()*+,:@=",
            "/[]!$&'()*+,:@=",
            "/[]!$&'()*+,:@=",
        ),
        // Parameters go with dots that are written as such, up to a slash.
        ("/a/..;x/b", "/b", "/b", "/b"),
        ("/a/.;x=1;y/b", "/a/b", "/a/b", "/a/b"),
        ("/a/b/..;x\\c", "/a/", "/a/", "/a/"),
        ("/a\\..;\\b", "/a/..;/b", "/a/..;/b", "/a/..;/b"),
        ("/a/%2e.;/b", "/a/..;/b", "/a/..;/b", "/a/..;/b"),
        ("/a/..%3b/b", "/a/..%3b/b", "/a/..%3b/b", "/a/..%3b/b"),
        ("/a/b/..;x%2fy/c", "/a/c", "/a/c", "/a/y/c"),
        (
            "/a/...;/b;c/;",
            "/a/...;/b;c/;",
            "/a/...;/b;c/;",
            "/a/...;/b;c/;",
        ),
        ("/a/..;%00/b", "/b", "/b", "/b"),
        // What no HTTP/1 codec lets through.
        ("/ä", "/%C3%A4", "/%C3%A4", "/%C3%A4"),
        ("/a b", "/a%20b", "/a%20b", "/a%20b"),
        // No paths.
        ("a/../b", "a/../b", "a/../b", "a/../b"),
        (
            "http://h/a/../b",
            "http://h/a/../b",
            "http://h/a/../b",
            "http://h/a/../b",
        ),
        ("%2fa", "%2fa", "%2fa", "%2fa"),
        ("\\a", "\\a", "\\a", "\\a"),
    ];
    for (target, base, merged, decoded) in rows {
        let bare = target.split(['?', '#']).next().unwrap();
        let wanted = [
            (None, bare),
            (Base, base),
            (MergeSlashes, merged),
            (DecodeAndMergeSlashes, decoded),
        ];
        for (mode, expected) in wanted {
            let actual = mode.apply(target).unwrap();
            assert_eq!(actual.path(), expected, "{mode:?} {target}");
            let behind = &target[bare.len()..];
            assert_eq!(actual.whole(), format!("{expected}{behind}"));
        }
    }
    for target in ["/a%00", "/%00/../b", "/a/%2e;%00/b"] {
        for mode in [Base, MergeSlashes, DecodeAndMergeSlashes] {
            assert_eq!(mode.apply(target), Err(Nul), "{mode:?} {target}");
        }
        assert!(None.apply(target).is_ok());
    }
    assert_eq!(Base.apply("/a?%00").unwrap().path(), "/a");
}

#[test]
fn what_can_be_read_in_several_ways_is_refused() {
    let rows: &[(&str, Result<(), RefusedPath>)] = &[
        ("", Ok(())),
        ("*", Ok(())),
        ("/", Ok(())),
        ("/a/b/", Ok(())),
        ("/pkg.Service/Method", Ok(())),
        ("/.well-known/a..b/.../..x/x..", Ok(())),
        ("/a;v=1/b;c", Ok(())),
        ("/a%20b/%C3%A4/%22/100%25", Ok(())),
        ("/a?b=/../%2f%00#", Ok(())),
        ("a", Err(NoPath)),
        ("?a", Err(NoPath)),
        ("*?a", Err(NoPath)),
        ("**", Err(NoPath)),
        ("http://h/a", Err(NoPath)),
        ("%2fa", Err(NoPath)),
        ("\\a", Err(NoPath)),
        ("#", Err(NoPath)),
        ("/a#b", Err(Fragment)),
        ("/a#b?c", Err(Fragment)),
        ("//", Err(NotNormal)),
        ("/a//b", Err(NotNormal)),
        ("/a/", Ok(())),
        ("/a/.", Err(NotNormal)),
        ("/a/../b", Err(NotNormal)),
        ("/..", Err(NotNormal)),
        ("/a/%2e%2e/b", Err(NotNormal)),
        ("/a%2eb", Err(NotNormal)),
        ("/%61dmin", Err(NotNormal)),
        ("/a\\b", Err(NotNormal)),
        ("/a%2fb", Err(NotNormal)),
        ("/a%5Cb", Err(NotNormal)),
        ("/a\"b", Err(NotNormal)),
        ("/ä", Err(NotNormal)),
        ("/a b", Err(NotNormal)),
        ("/..;/a", Err(DotSegment)),
        ("/.;x/a", Err(DotSegment)),
        ("/..%3b/a", Err(DotSegment)),
        ("/a/..%3Bx", Err(DotSegment)),
        ("/%2e;/a", Err(NotNormal)),
        ("/a%00", Err(Nul)),
        ("/a%0a", Err(ControlCharacter)),
        ("/a%7f", Err(ControlCharacter)),
        ("/a%", Err(BrokenEscape)),
        ("/a%2", Err(BrokenEscape)),
        ("/a%zz", Err(BrokenEscape)),
        ("/a%u002f", Err(BrokenEscape)),
        ("/a%252fb", Err(DoubleEscape)),
        ("/%252e%252e/b", Err(DoubleEscape)),
        ("/%25%32%66", Err(NotNormal)),
        ("/%c0%af", Err(NoUtf8)),
        ("/%c0%ae%c0%ae/a", Err(NoUtf8)),
        ("/%e4", Err(NoUtf8)),
        ("/%ed%a0%80", Err(NoUtf8)),
    ];
    for (target, expected) in rows {
        assert_eq!(Reject.apply(target).map(drop), *expected, "{target}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: Option::None, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_is_the_same_under_every_mode(
        path in r#"/(/|\.|%2e|%2F|%5c|\\|;|%3B|a|%00|%41|%zz|%|%25|"|%20|ä|%c3%a4|\?|#|[ -~]){0,12}"#,
    ) {
        let passes = Reject.apply(&path).is_ok();
        for mode in [Base, MergeSlashes, DecodeAndMergeSlashes] {
            match mode.apply(&path) {
                // A path that is normal takes no memory.
                Ok(normal) if normal.whole().as_ptr() == path.as_ptr() => {
                    prop_assert_eq!(normal.whole(), &path);
                }
                Ok(normal) => {
                    prop_assert!(!passes, "{mode:?} makes {normal:?}");
                    let normal = normal.path();
                    prop_assert!(normal.starts_with('/') && !normal.contains(['?', '#', '\\']));
                    let has_dots = normal.split('/').any(|segment| matches!(segment, "." | ".."));
                    prop_assert!(!has_dots, "{mode:?} makes {normal}");
                    let slashes_alone = normal == "//";
                    prop_assert!(mode == Base || slashes_alone || !normal.contains("//"));
                }
                Err(refused) => prop_assert!(!passes && refused == Nul),
            }
        }
    }
}
