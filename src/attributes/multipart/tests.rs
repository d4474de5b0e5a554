//! Bodies, good and bad. What the plugin makes of them is in the recorded replies as well.

use super::*;

/// Names and values; `~` stands for a line's end.
fn read(content_type: &str, body: &str) -> Result<Option<Vec<(String, String)>>, String> {
    let body = body.replace('~', "\r\n");
    let parts = parts(content_type, body.as_bytes()).map_err(|error| error.to_string())?;
    let shown = |part: Part<'_>| (part.name, String::from_utf8_lossy(&part.value).into_owned());
    Ok(parts.map(|parts| parts.into_iter().map(shown).collect()))
}

const TYPE: &str = "multipart/form-data; boundary=foo";
const A: &str = "--foo~Content-Disposition: form-data; name=a~";

#[test]
fn parts_by_name() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("--foo--~", &[]),
        (&format!("{A}~v~--foo--"), &[("a", "v")]),
        (&format!("before~{A}~v~--foo-- ~after"), &[("a", "v")]),
        (&format!("{A}~--foo--"), &[("a", "")]),
        (&format!("{A}~~--foo--"), &[("a", "")]),
        (&format!("{A}~v~{A}~w~--foo--"), &[("a", "v"), ("a", "w")]),
        (&format!("{A}~~--foobar~--foo--"), &[("a", "\r\n--foobar")]),
        (&format!("{A}~v~--foo-x~--foo--"), &[("a", "v\r\n--foo-x")]),
        (
            "--foo~Content-Disposition: form-data;~ name=a~~v~--foo--",
            &[("a", "v")],
        ),
        (
            "--foo~Content-Disposition: form-data; name=\"C:\\dir\"~~v~--foo--",
            &[("C:\\dir", "v")],
        ),
        (
            "--foo~Content-Disposition: form-data; name=a; name=b~~v~--foo--",
            &[],
        ),
        (
            "--foo~Content-Disposition: form-data; name*0=a~~v~--foo--",
            &[],
        ),
        (
            &format!("{A}Content-Transfer-Encoding: quoted-printable~~x=3d =~y \t~z~--foo--"),
            &[("a", "x= y\r\nz")],
        ),
    ];
    for (body, expected) in rows {
        let expected = expected.iter();
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(read(TYPE, body), Ok(Some(expected)), "{body}");
    }
}

#[test]
fn lines_may_end_as_in_unix() {
    let body = "--foo\nContent-Disposition: form-data; name=a\n\nv\r\n\n--foo--\n";
    let expected = vec![("a".to_owned(), "v\r\n".to_owned())];
    assert_eq!(read(TYPE, body), Ok(Some(expected)));
}

#[test]
fn a_type_without_boundary_is_not_parsed() {
    for content_type in ["multipart/form-data", "multipart/form-data; charset=x;"] {
        assert_eq!(read(content_type, A), Ok(None));
    }
}

#[test]
fn bad_bodies_are_refused() {
    let many = "--foo~~~".repeat(MAX_PARTS + 1);
    let rows = [
        ("multipart/form-data; boundary=", A, "mime: "),
        ("multipart/form-data; boundary=\"\"", A, "mime: "),
        ("multipart/form-data; boundary=\"foo", A, "mime: "),
        (
            "multipart/form-data; boundary=a; boundary=b",
            A,
            "mime: duplicate",
        ),
        ("multipart/form-data; boundary=a b", A, "mime: "),
        ("multipart/form-data; boundary*0=a", A, "mime: "),
        ("/ multipart/form-data; boundary=foo", A, "mime: "),
        (TYPE, "", "EOF"),
        (TYPE, "nothing", "EOF"),
        (TYPE, "--foo", "EOF"),
        (TYPE, A, "unexpected EOF"),
        (TYPE, &format!("{A}~v"), "unexpected EOF"),
        (
            TYPE,
            &format!("{A}~v~--foo x~--foo--"),
            "expecting a new Part",
        ),
        (TYPE, &format!("{A}~v~--foo~"), "unexpected EOF"),
        (TYPE, "--foo~no colon~~v~--foo--", "malformed"),
        (TYPE, "--foo~ first: x~~v~--foo--", "malformed"),
        (TYPE, "--foo~na me: x~~v~--foo--", "malformed"),
        (
            TYPE,
            &format!("--foo~{}~v~--foo--", "a: b~".repeat(MAX_HEADERS + 1)),
            "more than",
        ),
        (TYPE, &many, "more than"),
        (
            TYPE,
            &format!("{A}Content-Transfer-Encoding: quoted-printable~~=x1~--foo--"),
            "quotedprintable",
        ),
    ];
    for (content_type, body, expected) in rows {
        let error = read(content_type, body).unwrap_err();
        assert!(error.contains(expected), "{content_type}: {error}");
    }
}
