//! Where tokens are found in a request.

use bytes::Bytes;

use super::super::*;
use crate::attributes::{Headers, HttpRequest};

/// A line with a colon is a header of the request, anything else its path.
fn request(lines: &[&str]) -> HttpRequest {
    let mut raw = Vec::new();
    let mut path = String::new();
    for line in lines {
        match line.split_once(": ") {
            Some((name, value)) => raw.push((name.to_owned(), Bytes::from(value.to_owned()))),
            None => path = (*line).to_owned(),
        }
    }
    HttpRequest {
        path,
        headers: Headers::new(Vec::new(), Some(raw)),
        ..HttpRequest::default()
    }
}

fn check(location: &Location, rows: &[(&[&str], &[&str])]) {
    for (lines, expected) in rows {
        let request = request(lines);
        let found: Vec<_> = location
            .find(&request)
            .into_iter()
            .map(|found| found.text.into_owned())
            .collect();
        assert_eq!(found, *expected, "{lines:?}");
    }
}

#[test]
fn headers_with_a_prefix() {
    check(
        &Location::defaults()[0],
        &[
            (&["authorization: Bearer a.b.c"], &["a.b.c"]),
            (&["Authorization: Bearer a.b.c"], &["a.b.c"]),
            (&["authorization:  Bearer   a.b.c"], &["a.b.c"]),
            // The prefix is searched for, not asked for at the begin.
            (&["authorization: x Bearer a.b.c"], &["a.b.c"]),
            (&["authorization: NotBearer a.b.c"], &["a.b.c"]),
            (&["authorization: Basic eA==,Bearer a.b.c"], &["a.b.c"]),
            // What is no space is part of the token, and spoils it.
            (&["authorization: Bearer \"a.b.c"], &["\"a.b.c"]),
            (&["authorization: Bearer ,a.b.c"], &[",a.b.c"]),
            (&["authorization: Bearer "], &[]),
            (&["authorization: Bearer  ,;"], &[]),
            (&["authorization: Bearer"], &[]),
            (&["authorization: bearer a.b.c"], &[]),
            (&["authorization: BEARER a.b.c"], &[]),
            (&["authorization: Basic a.b.c"], &[]),
            (&["authorization: a.b.c"], &[]),
            (&["authorization: "], &[]),
            (&["x-authorization: Bearer a.b.c"], &[]),
            (&[], &[]),
            (
                &[
                    "authorization: Bearer a",
                    "authorization: Basic x",
                    "authorization: Bearer b",
                ],
                &["a,Basic x,Bearer b"],
            ),
        ],
    );
}

#[test]
fn headers_without_a_prefix() {
    let location = Location::Header {
        name: "x-jwt".to_owned(),
        prefix: String::new(),
    };
    check(
        &location,
        &[
            (&["x-jwt: a.b.c"], &["a.b.c"]),
            (&["x-jwt: Bearer a.b.c"], &["Bearer a.b.c"]),
            // There is a header, so there is a token, and it does not verify.
            (&["x-jwt: "], &[""]),
            (&["x-jwt: a", "X-JWT: b"], &["a,b"]),
            (&["authorization: Bearer a.b.c"], &[]),
        ],
    );
}

#[test]
fn query_parameters() {
    check(
        &Location::defaults()[1],
        &[
            (&["/p?access_token=a.b.c"], &["a.b.c"]),
            (&["/p?x=1&access_token=a.b.c&y"], &["a.b.c"]),
            (&["/p?access_token=a%2Eb%2ec"], &["a.b.c"]),
            (&["/p?access%5Ftoken=a.b.c"], &["a.b.c"]),
            (&["/p?access_token=a.b.c#x"], &["a.b.c"]),
            (&["/p?access_token=a&access_token=b"], &["a", "b"]),
            (&["/p?access_token=a&access_token=a"], &["a"]),
            (&["/p?access_token="], &[""]),
            (&["/p?access_token"], &[""]),
            // Nor does it hide itself: who reads it behind the proxy may be less strict.
            (&["/p?access_token=a.b.c%zz"], &["a.b.c%zz"]),
            (&["/p?access_token=a.b.c%"], &["a.b.c%"]),
            (&["/p?access_token=a.b.c;x=1"], &["a.b.c;x=1"]),
            (&["/p?access_token=a.b.c%ff"], &["a.b.c\u{fffd}"]),
            (&["/p?access%5ftoken=%zz"], &["%zz"]),
            // A broken pair beside it does not hide it.
            (&["/p?x=%zz&access_token=a.b.c"], &["a.b.c"]),
            (&["/p?Access_Token=a.b.c"], &[]),
            (&["/p?xaccess_token=a.b.c"], &[]),
            (&["/access_token=a.b.c"], &[]),
            (&["/p"], &[]),
            (&[""], &[]),
        ],
    );
}

#[test]
fn cookies() {
    check(
        &Location::Cookie("jwt".to_owned()),
        &[
            (&["cookie: jwt=a.b.c"], &["a.b.c"]),
            (&["cookie: a=1; jwt=a.b.c; b=2"], &["a.b.c"]),
            (&["cookie: a=1;jwt=a.b.c"], &["a.b.c"]),
            (&["cookie: jwt=\"a.b.c\""], &["a.b.c"]),
            (&["cookie: jwt=a", "cookie: jwt=b"], &["a", "b"]),
            (&["cookie: jwt=a; jwt=b"], &["a", "b"]),
            (&["cookie: jwt=a; jwt="], &["a", ""]),
            // As a proxy joins several lines, and what others read for a cookie: all bad tokens.
            (&["cookie: a=1,jwt=a.b.c"], &["a=1,jwt=a.b.c"]),
            (&["cookie: x; a=1, jwt=a.b.c; y"], &["a=1, jwt=a.b.c"]),
            (&["cookie: jwt=a.b.c,a=1"], &["a.b.c,a=1"]),
            (&["cookie: jwt=a,jwt=b"], &["a,jwt=b"]),
            (&["cookie: jwt =a.b.c"], &["jwt =a.b.c"]),
            (&["cookie: a=1,xjwt=a.b.c,b=jwt"], &[]),
            (&["cookie: jwt="], &[""]),
            (&["cookie: jwt"], &[]),
            (&["cookie: JWT=a.b.c"], &[]),
            (&["cookie: xjwt=a.b.c"], &[]),
            (&["cookie: a=jwt=b"], &[]),
            (&["x-cookie: jwt=a.b.c"], &[]),
        ],
    );
}

/// Another cookie of the line must not hide it.
#[test]
fn cookies_beside_bytes_that_are_no_text() {
    let line = Bytes::from_static(b"x=\xff; jwt=a.b.c; y=\xff");
    let http = HttpRequest {
        headers: Headers::new(Vec::new(), Some(vec![("cookie".to_owned(), line)])),
        ..HttpRequest::default()
    };
    let location = Location::Cookie("jwt".to_owned());
    let found = location.find(&http);
    let found: Vec<_> = found.iter().map(|found| found.text.as_ref()).collect();
    assert_eq!(found, ["a.b.c"]);
}
