//! How long answers hold, and how a server is asked whether they still do.

use super::*;
use crate::policy::rego::external::TlsOptions;

type Pairs<'a> = [(&'a str, &'a str)];

fn response(headers: &Pairs<'_>, status: u16) -> HttpResponse {
    let headers = headers.iter();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    HttpResponse {
        status,
        headers: headers.map(owned).collect(),
        ..HttpResponse::default()
    }
}

fn stored(headers: &Pairs<'_>) -> Stored {
    Stored {
        response: response(headers, 200),
        from_ns: 0,
        expires_ns: None,
    }
}

/// Until when an answer holds that came in 1970; 0 if it is kept without holding.
fn fresh_until(headers: &Pairs<'_>, status: u16, remember: Remember) -> Option<i64> {
    let request = HttpRequest {
        key: [0; 32],
        method: "GET".to_owned(),
        url: "http://a/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
        follow_redirects: false,
        retries: 0,
        remember,
        tls: TlsOptions::default(),
    };
    let responses = Responses::new(1 << 20);
    responses.keep(&request, &response(headers, status), 0);
    let stored = responses.get(&request.key)?;
    let until = stored.expires_ns.unwrap_or(0);
    assert!(!stored.is_fresh(until));
    assert!(until == 0 || stored.is_fresh(until - 1));
    responses.forget(&request.key);
    assert!(responses.get(&request.key).is_none());
    Some(until)
}

fn lines(headers: &Pairs<'_>) -> Vec<String> {
    let line = |(name, value): &(&str, &str)| format!("{name}: {value}");
    headers.iter().map(line).collect()
}

fn conditions(headers: &Pairs<'_>) -> Vec<String> {
    let conditions = stored(headers).conditions().into_iter();
    conditions
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect()
}

fn updated(kept: &Pairs<'_>, news: &Pairs<'_>) -> Vec<String> {
    let headers = stored(kept).updated_by(&response(news, 304)).headers;
    let line = |(name, value): &(String, String)| format!("{name}: {value}");
    headers.iter().map(line).collect()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_SECONDS: i64 = 784_111_777;

#[test]
fn how_long_answers_hold() {
    let control = "cache-control";
    // Headers and status, and the second since 1970 until when the answer holds: 0 if it is kept and
    // old at once, `None` if it is not kept.
    let rows: [(&[(&str, &str)], u16, Option<i64>); 22] = [
        (
            &[(control, "max-age=60"), ("date", DATE)],
            200,
            Some(DATE_SECONDS + 60),
        ),
        (
            &[(control, "max-age=60"), ("date", DATE)],
            404,
            Some(DATE_SECONDS + 60),
        ),
        (&[(control, "max-age=60"), ("date", DATE)], 500, None),
        (&[(control, "max-age=60"), ("date", DATE)], 302, None),
        (&[(control, "max-age=60")], 200, None),
        (&[(control, "max-age=60"), ("date", "yesterday")], 200, None),
        (
            &[(control, "public, max-age=60"), ("date", DATE)],
            200,
            Some(DATE_SECONDS + 60),
        ),
        (
            &[(control, "max-age=0"), ("date", DATE)],
            200,
            Some(DATE_SECONDS),
        ),
        (&[(control, "max-age=-1"), ("date", DATE)], 200, None),
        (&[(control, "max-age=x"), ("date", DATE)], 200, None),
        (&[(control, "max-age="), ("date", DATE)], 200, None),
        (
            &[(control, "max-age=99999999999999999999"), ("date", DATE)],
            200,
            Some(DATE_SECONDS + 0x7fff_ffff),
        ),
        (
            &[(control, "no-store, max-age=60"), ("date", DATE)],
            200,
            None,
        ),
        (&[(control, "no-store")], 200, None),
        (
            &[(control, "no-cache"), ("expires", DATE)],
            200,
            Some(DATE_SECONDS),
        ),
        (&[("expires", DATE)], 200, Some(DATE_SECONDS)),
        (
            &[("expires", "Sunday, 06-Nov-94 08:49:37 GMT")],
            200,
            Some(DATE_SECONDS),
        ),
        (
            &[("expires", "Sun Nov  6 08:49:37 1994")],
            200,
            Some(DATE_SECONDS),
        ),
        // `max-age` goes first.
        (
            &[(control, "max-age=60"), ("date", DATE), ("expires", "0")],
            200,
            Some(DATE_SECONDS + 60),
        ),
        (&[("expires", "0")], 200, Some(0)),
        (&[], 200, Some(0)),
        (&[("date", DATE)], 200, Some(0)),
    ];
    for (headers, status, expected) in rows {
        let until = fresh_until(headers, status, Remember::AsAnswered);
        let expected = expected.map(|seconds| seconds * 1_000_000_000);
        assert_eq!(until, expected, "{headers:?} {status}");
    }
    // The policy's own time goes before all of it, and begins with the check.
    let minute = Remember::For(Duration::from_secs(60));
    for headers in [&[][..], &[(control, "no-store")]] {
        assert_eq!(fresh_until(headers, 200, minute), Some(60_000_000_000));
        assert_eq!(fresh_until(headers, 500, minute), None);
    }
    assert_eq!(fresh_until(&[("expires", DATE)], 200, Remember::No), None);
}

#[test]
fn answers_of_later_do_not_hold() {
    let stored = Stored {
        from_ns: 2 * MAX_AHEAD,
        expires_ns: Some(3 * MAX_AHEAD),
        ..stored(&[])
    };
    let times = [
        0,
        MAX_AHEAD - 1,
        MAX_AHEAD,
        3 * MAX_AHEAD - 1,
        3 * MAX_AHEAD,
    ];
    let fresh = times.map(|now_ns| stored.is_fresh(now_ns));
    assert_eq!(fresh, [false, false, true, true, false]);
}

#[test]
fn how_a_server_is_asked_whether_an_answer_holds() {
    let (tag, date) = (("etag", "\"v1\""), ("last-modified", DATE));
    let rows: [(&[(&str, &str)], &[(&str, &str)]); 5] = [
        (&[], &[]),
        (&[("etag", "")], &[]),
        (&[tag], &[("if-none-match", "\"v1\"")]),
        (&[date], &[("if-modified-since", DATE)]),
        (
            &[tag, date],
            &[("if-none-match", "\"v1\""), ("if-modified-since", DATE)],
        ),
    ];
    for (headers, expected) in rows {
        assert_eq!(conditions(headers), lines(expected), "{headers:?}");
    }
    let kept = [("a", "1"), ("b", "2"), ("b", "3")];
    let news = [("b", "4"), ("c", "5")];
    assert_eq!(
        updated(&kept, &news),
        lines(&[("a", "1"), ("b", "4"), ("c", "5")])
    );
}
