//! Documents pushed by OPA's API are what the next start reads, and nothing is taken that it could not.

use std::sync::Arc;

use crate::opa_writes::check;
use crate::support::{Options, Server, http};

#[test]
fn what_is_pushed_can_be_read_again() {
    let server = Server::start();
    let deep = |count: usize| "/a".repeat(count);
    let patches = |count: usize, path: &str| {
        let patch = format!(r#"{{"op": "add", "path": "{path}", "value": {{}}}}"#);
        format!("[{}]", vec![patch; count].join(","))
    };
    let too_deep = "a path of more than 200 parts";
    let rows = [
        (
            "PUT",
            format!("/v1/data/t{}", deep(199)),
            "{}".to_owned(),
            204,
            "",
        ),
        (
            "PUT",
            format!("/v1/data/t{}", deep(200)),
            "{}".to_owned(),
            400,
            too_deep,
        ),
        (
            "PATCH",
            format!("/v1/data/t{}", deep(150)),
            patches(1, &deep(49)),
            204,
            "",
        ),
        (
            "PATCH",
            format!("/v1/data/t{}", deep(150)),
            patches(1, &deep(50)),
            400,
            too_deep,
        ),
        (
            "PATCH",
            "/v1/data/t".to_owned(),
            patches(10_000, "/b"),
            204,
            "",
        ),
        (
            "PATCH",
            "/v1/data/t".to_owned(),
            patches(10_001, "/b"),
            400,
            "10001 changes to one document, more than 10000",
        ),
    ];
    for (method, path, body, status, message) in rows {
        check(&server, method, &path, &body, status, message);
    }
    // A value may nest by itself; the document that it is put into may then be too deep.
    let nested = format!("{}{}", "[".repeat(900), "]".repeat(900));
    check(
        &server,
        "PUT",
        "/v1/data/nested",
        &format!(r#"{{"l": {nested}}}"#),
        204,
        "",
    );
    let inside = format!("/v1/data/nested/l{}", "/0".repeat(150));
    let answer = http::send("PUT", &server.url(&inside), &[], nested.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.body);
    let number = "123456789012345678901234567890.5";
    check(&server, "PUT", "/v1/data/number", number, 204, "");
    let shown = |server: &Server| http::get(&server.url("/v1/data")).expect(200).body;
    let before = shown(&server);
    let data = Arc::clone(&server.data);
    drop(server);
    let server = Server::with(Options {
        data: Some(data),
        ..Options::default()
    });
    assert_eq!(shown(&server), before);
}
