//! Requests that no honest proxy sends.

use bytes::Bytes;

use super::*;

/// Allows everything, so that only the form of a request can deny it.
fn check(about: &str, attributes: Attributes, expected: &str) {
    let pdp = Setup::native(&[policy("all", &json!({"rules": [{}]}))]).pdp();
    let decision = pdp.check(attributes, NOW_NS).decision;
    if expected.is_empty() {
        assert_eq!(
            decision.effect(),
            Effect::Allow,
            "{about}: {:?}",
            decision.reason
        );
    } else {
        let actual = (
            decision.status(),
            decision.reason.kind,
            decision.reason.message.as_str(),
        );
        assert_eq!(
            actual,
            (400, ReasonKind::InvalidRequest, expected),
            "{about}"
        );
        assert_eq!(decision.lifetime, Lifetime::never(Unremembered::Failure));
    }
}

fn with(change: impl FnOnce(&mut HttpRequest)) -> Attributes {
    let mut attributes = get(&[]);
    change(attributes.request.as_mut().unwrap().http.as_mut().unwrap());
    attributes
}

#[test]
fn control_characters_are_refused() {
    for (text, is_bad) in [
        ("a", false),
        ("ä \u{80}", false),
        ("", false),
        ("a\0", true),
        ("a\nb", true),
        ("\rb", true),
        ("a\tb", true),
        ("\u{1b}", true),
        ("a\u{7f}", true),
    ] {
        let expected = |what: &str| match is_bad {
            true => format!("{what} control characters"),
            false => String::new(),
        };
        let about = text.escape_debug().to_string();
        let text = || text.to_owned();
        check(
            &about,
            with(|http| http.path = text()),
            &expected("the path holds"),
        );
        check(
            &about,
            with(|http| http.method = text()),
            &expected("the method holds"),
        );
        check(
            &about,
            with(|http| http.host = text()),
            &expected("the host holds"),
        );
        check(
            &about,
            by(get(&[]), &text()),
            &expected("the peer's identity holds"),
        );
        check(
            &about,
            by(Attributes::default(), &text()),
            &expected("the peer's identity holds"),
        );
    }
}

#[test]
fn headers_without_nul_and_line_breaks() {
    for (name, value, expected) in [
        ("x-a", &b"text"[..], ""),
        ("x-a", b"", ""),
        ("x-a", b"a\tb", ""),
        ("x-a", b"\xff\xfe", ""),
        ("x-a", b"a\0", "header `x-a` holds NUL, CR or LF"),
        ("x-a", b"a\r", "header `x-a` holds NUL, CR or LF"),
        ("x-a", b"\nb", "header `x-a` holds NUL, CR or LF"),
        ("x\na", b"b", "header `x\\na` holds NUL, CR or LF"),
    ] {
        let raw = vec![
            ("x-first".to_owned(), Bytes::from_static(b"1")),
            (name.to_owned(), Bytes::from_static(value)),
        ];
        check(
            name,
            with(|http| http.headers = Headers::new(Pairs::new(), Some(raw))),
            expected,
        );
        if let Ok(text) = std::str::from_utf8(value) {
            let merged = vec![(name.to_owned(), text.to_owned())];
            check(
                name,
                with(|http| http.headers = Headers::new(merged.clone(), None)),
                expected,
            );
            // Also where lines are there and the joined form is not looked at.
            check(
                name,
                with(|http| http.headers = Headers::new(merged, Some(vec![]))),
                expected,
            );
        }
    }
}

#[test]
fn what_could_not_be_read_is_denied() {
    let pdp = Setup::default()
        .with(|settings| settings.default_action = DefaultAction::Allow)
        .pdp();
    let answer = pdp.refuse("not a CheckRequest", NOW_NS);
    let decision = &answer.decision;
    assert_eq!(
        (decision.status(), decision.reason.kind),
        (400, ReasonKind::InvalidRequest)
    );
    assert_eq!(decision.reason.message, "not a CheckRequest");
    assert_eq!((answer.revision, answer.cached), (7, false));
}
