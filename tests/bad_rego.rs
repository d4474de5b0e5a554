//! Rego that cannot be answered, and requests made to break it, asked of a real server: each is denied
//! with a clear reason, and the server answers the next request as before.

use doorward_proto::envoy::service::auth::v3::CheckRequest;
use serde_json::Value;

use crate::support::bundle::archive;
use crate::support::check::{Reply, http_check, http_of};
use crate::support::{Checks, Server, http};

/// Longer than any evaluation here may take on a busy machine, shorter than one without an end.
const CONFIG: &str = "ext_authz: { deadline: 5s }\nrego: { evaluation_limit: 300ms }";

async fn push(server: &Server, rego: &str) {
    let text = format!("package envoy.authz\n\n{rego}\n");
    http::put(&server.url("/v1/bundles/b"), &archive(&[("p.rego", &text)])).expect(200);
}

async fn started() -> (Server, Checks) {
    let server = Server::with_config(CONFIG);
    let checks = server.checks().await;
    (server, checks)
}

fn request(body: &[u8], headers: &[(&str, &str)]) -> CheckRequest {
    let mut check = http_check("POST", "/", headers);
    http_of(&mut check).raw_body = body.to_vec().into();
    check
}

/// Why it was decided so, as the record has it.
async fn recorded(server: &Server, reply: &Reply) -> Value {
    let id = match &reply.response.dynamic_metadata {
        Some(metadata) => metadata.fields["decision_id"].clone(),
        None => panic!("no metadata: {reply:?}"),
    };
    let Some(prost_types::value::Kind::StringValue(id)) = id.kind else {
        panic!("no id: {reply:?}");
    };
    let url = server.url(&format!("/v1/decisions/{id}"));
    crate::support::eventually("the record", || http::get(&url).status == 200).await;
    http::get(&url).json()["reason"].clone()
}

#[tokio::test]
async fn rego_without_an_answer_is_denied() {
    let (server, checks) = started().await;
    let rows = [
        (
            "value := x if some x in [1, 2]\n\nallow if value == 1",
            "multiple outputs",
        ),
        (
            "n := numbers.range(1, 10000)\n\nallow if { some x in n; some y in n; some z in n; x + y + z == 0 }",
            "took longer than",
        ),
        (
            "allow if count(numbers.range(1, 1000000000000)) > 0",
            "a range of more than 1000000 numbers is refused",
        ),
        (
            "allow if count(net.cidr_expand(\"::/0\")) > 0",
            "expanding `::/0` to 2^128 addresses is refused",
        ),
        (
            "allow if sprintf(\"%10000000d\", [1]) != \"\"",
            "a width over 1000 is refused",
        ),
        (
            "allow if sprintf(\"%.*f\", [10000000, 1]) == \"never\"",
            "a width over 1000 is refused",
        ),
        (
            "times := numbers.range(1, 64)\n\na := concat(\"\", [\"aaa?\" | some _ in times])\n\nb := concat(\"\", [a | some _ in times])\n\nmegabyte := concat(\"\", [b | some _ in times])\n\nallow if regex.match(megabyte, \"b\")",
            "a regular expression of this size is refused",
        ),
        ("other := true", "undefined decision"),
        ("allow := [\"of\", \"no\", \"type\"]", "illegal value"),
        ("allow := 7", "illegal value"),
    ];
    for (rego, why) in rows {
        push(&server, rego).await;
        let reply = checks.get("/").await;
        assert_eq!((reply.allows(), reply.status()), (false, 403), "{rego}");
        let reason = recorded(&server, &reply).await;
        assert!(
            reason["message"].as_str().unwrap().contains(why),
            "{rego}: {reason}"
        );
    }
    // What is missing is told to operators; proxies are told what OPA tells them.
    push(&server, "other := true").await;
    let reply = checks.get("/").await;
    let reason = recorded(&server, &reply).await;
    assert_eq!(reason["message"], "undefined decision");
    let missing = "no rule or data is loaded at data.envoy.authz.allow";
    assert_eq!(reason["detail"], missing);
    assert!(server.said().contains(missing));
    push(&server, "allow := true").await;
    assert!(checks.get("/").await.allows());
}

/// What is pushed must hold together before anybody asks.
#[tokio::test]
async fn rego_that_can_have_no_answer_is_refused() {
    let server = Server::start();
    let deep = |depth: usize| format!("{{\"a\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let rows = [
        (
            "p.rego",
            "package p\n\nallow if other\n\nother if allow\n".to_owned(),
            "rego_recursion_error",
        ),
        (
            "p.rego",
            "package p\n\nf(x) := f(x)\n\nallow if f(1)\n".to_owned(),
            "rego_recursion_error",
        ),
        ("data.json", deep(100_000), "bundle_error"),
    ];
    for (name, text, code) in rows {
        let answer =
            http::put(&server.url("/v1/bundles/b"), &archive(&[(name, &text)])).expect(400);
        let error = answer.json()["errors"][0].clone();
        assert!(
            error["code"].as_str().unwrap().starts_with(code),
            "{name}: {error}"
        );
    }
    http::put(
        &server.url("/v1/bundles/b"),
        &archive(&[("data.json", &deep(100))]),
    )
    .expect(200);
}

#[tokio::test]
async fn bodies_made_to_break_rego() {
    let (server, checks) = started().await;
    push(&server, "allow if input.parsed_body.a == 2\n\nallow if count(json.marshal(input.parsed_body)) > 200").await;
    let json = ("content-type", "application/json");
    let nested = |depth: usize| {
        let text = format!("{{\"a\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        text.into_bytes()
    };
    // Body, headers, status.
    let rows: Vec<(Vec<u8>, Vec<(&str, &str)>, i32)> = vec![
        (
            b"{\"a\": 2}".to_vec(),
            vec![json, ("content-length", "8")],
            200,
        ),
        // Rule: of a key that is there twice, the last counts.
        (b"{\"a\": 1, \"a\": 2}".to_vec(), vec![json], 200),
        (b"{\"a\": 2, \"a\": 1}".to_vec(), vec![json], 403),
        (nested(126), vec![json], 200),
        (nested(100_000), vec![json], 400),
        (b"{\"a\": \"\xff\xfe\"}".to_vec(), vec![json], 403),
        (b"\xff\xfe{\"a\": 2}".to_vec(), vec![json], 400),
        (b"{\"a\": 2".to_vec(), vec![json], 400),
        (b"{\"a\": 2}{".to_vec(), vec![json], 400),
        // A length that is not the body's: nothing of what is missing was seen.
        (
            b"{\"a\": 2}".to_vec(),
            vec![json, ("content-length", "9")],
            403,
        ),
        // Rule: this one is Go's for a length that is not known.
        (
            b"{\"a\": 2}".to_vec(),
            vec![json, ("content-length", "-1")],
            200,
        ),
        (
            b"{\"a\": 2}".to_vec(),
            vec![json, ("content-length", "many")],
            400,
        ),
    ];
    for (body, headers, status) in rows {
        let reply = checks.check(&request(&body, &headers)).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(reply.status(), status, "{shown} {headers:?} {reply:?}");
    }
    assert!(
        checks
            .check(&request(b"{\"a\": 2}", &[json]))
            .await
            .allows()
    );
}

/// A token's header is the sender's to write: members of any type make it no token, and no error.
#[tokio::test]
async fn token_headers_of_the_wrong_type() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (server, checks) = started().await;
    let rego = "default allow := false\n\ntoken := input.attributes.request.http.headers.authorization\n\nallow if io.jwt.decode_verify(token, {\"secret\": \"s\"})[0]\n\nallow if io.jwt.verify_hs256(token, \"s\")\n\nallow if io.jwt.decode(token)[1].admin == \"no\"";
    push(&server, rego).await;
    let headers = [
        "{\"alg\": 1}",
        "{\"alg\": null}",
        "{\"alg\": [\"HS256\"]}",
        "{\"alg\": {\"a\": 1}}",
        "{\"alg\": \"HS256\", \"kid\": 7}",
        "{\"alg\": \"HS256\", \"typ\": [1]}",
        "{\"alg\": \"HS256\", \"crit\": \"exp\"}",
        "{\"alg\": \"HS256\", \"cty\": {}}",
        "{\"alg\": \"HS256\", \"enc\": 1}",
        "[]",
        "7",
        "null",
        "\"HS256\"",
        "{\"alg\": \"none\"}",
        "{",
        "",
    ];
    for header in headers {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!(
            "{}.{}.{}",
            part(header),
            part("{\"admin\": true}"),
            part("x")
        );
        let check = http_check("GET", "/", &[("authorization", &token)]);
        let reply = checks.check(&check).await;
        assert_eq!((reply.allows(), reply.status()), (false, 403), "{header}");
        let reason = recorded(&server, &reply).await;
        assert_eq!(reason["kind"], "rego", "{header}: {reason}");
    }
}
