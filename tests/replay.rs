//! What was decided is decided again by policy that is not in force: what would change is told, nothing is
//! changed by that, and a push can be kept back by it.

mod command;
mod pushes;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::bundle::archive;
use crate::support::check::{Reply, http_check, http_of};
use crate::support::{Checks, Server, eventually, http};

/// Requests of all effects are recorded as a whole.
const WHOLE: &str = "decision_log: { detail: { allow: input, deny: input } }\n";
const CANARY: &str = "c4n4ry";

/// A bundle that allows what a condition says.
fn allowing(revision: &str, condition: &str) -> Vec<u8> {
    let manifest = format!("{{\"revision\": \"{revision}\", \"roots\": [\"envoy\"]}}");
    let rego = format!(
        "package envoy.authz\n\nimport input.attributes.request.http as req\n\ndefault allow := false\n\n\
         allow if {condition}\n"
    );
    archive(&[(".manifest", &manifest), ("p.rego", &rego)])
}

fn count(server: &Server) -> u64 {
    let summary = http::get(&server.url("/v1/decisions/summary")).expect(200);
    summary.json()["total"].as_u64().unwrap()
}

/// A server with bundle `b`, which has decided on some requests.
async fn decided(config: &str, condition: &str, sent: &[(&str, &str, &[(&str, &str)])]) -> Server {
    let server = Server::with_config(config);
    let url = server.url("/v1/bundles/b");
    http::put(&url, &allowing("one", condition)).expect(200);
    let checks = server.checks().await;
    ask(&checks, sent).await;
    let all = sent.len() as u64;
    eventually("all is recorded", || count(&server) == all).await;
    server
}

async fn ask(checks: &Checks, sent: &[(&str, &str, &[(&str, &str)])]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for (method, path, headers) in sent {
        replies.push(checks.check(&http_check(method, path, headers)).await);
    }
    replies
}

fn replay(server: &Server, parameters: &str, body: &[u8]) -> http::Answer {
    let url = server.url(&format!("/v1/replay?{parameters}"));
    http::send("POST", &url, &[], body)
}

fn revision(server: &Server) -> u64 {
    let status = http::get(&server.url("/v1/status")).expect(200);
    status.json()["snapshot"].as_u64().unwrap()
}

const GET: (&str, &str, &[(&str, &str)]) = ("GET", "/a", &[]);
const POST: (&str, &str, &[(&str, &str)]) = ("POST", "/b?x=1", &[]);
const IS_GET: &str = "req.method == \"GET\"";

#[tokio::test]
async fn a_candidate_is_held_against_what_was_decided_and_decides_nothing() {
    let server = decided(WHOLE, IS_GET, &[GET, POST, GET, GET, POST]).await;
    let checks_counted = || {
        let metrics = http::get(&server.url("/metrics")).expect(200).body;
        let lines = metrics.lines().filter(|line| {
            line.starts_with("doorward_decisions_total") || line.starts_with("doorward_cache_")
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = checks_counted();
    let both = allowing("two", "req.method in {\"GET\", \"POST\"}");
    let report = replay(&server, "candidate=bundle/b&since=1h", &both)
        .expect(200)
        .json();
    let counts = |report: &Value| {
        [
            &report["examined"],
            &report["same"],
            &report["changed"]["total"],
            &report["undetermined"]["total"],
            &report["drifted"],
        ]
        .map(|count| count.as_u64().unwrap())
    };
    assert_eq!(counts(&report), [5, 3, 2, 0, 0], "{report}");
    assert_eq!(
        (&report["revision"], &report["complete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        report["changed"],
        json!({"total": 2, "changed_to_allow": 2})
    );
    let group = &report["groups"][0];
    assert_eq!(
        (&group["count"], &group["result"]),
        (&json!(2), &json!("changed_to_allow"))
    );
    let side = |effect: &str, status: u16| json!({"effect": effect, "status": status, "reason": "rego", "policy": "envoy/authz/allow"});
    assert_eq!(group["now"], side("deny", 403));
    assert_eq!(group["candidate"], side("allow", 200));
    assert_eq!(group["workload"], "default/web");
    let examples = group["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 2);
    assert_eq!(
        (&examples[0]["method"], &examples[0]["path"]),
        (&json!("POST"), &json!("/b?x=1"))
    );
    let id = examples[0]["decision_id"].as_str().unwrap();
    http::get(&server.url(&format!("/v1/decisions/{id}"))).expect(200);

    // Nothing has changed by that.
    assert_eq!(revision(&server), 1);
    assert_eq!(checks_counted(), before);
    assert_eq!(count(&server), 5);
    let replies = ask(&server.checks().await, &[GET, POST]).await;
    assert_eq!([true, false], [replies[0].allows(), replies[1].allows()]);
    assert!(replies[0].cached());

    // Which decisions, and how many.
    eventually("all is recorded", || count(&server) == 7).await;
    for (parameters, expected) in [
        ("effect=deny", [3, 0, 3, 0, 0]),
        ("method=GET", [4, 4, 0, 0, 0]),
        ("path=/b", [3, 0, 3, 0, 0]),
        ("since=1h&until=30m", [0, 0, 0, 0, 0]),
        ("limit=1", [1, 0, 1, 0, 0]),
        ("limit=3", [3, 1, 2, 0, 0]),
    ] {
        let parameters = format!("candidate=bundle/b&{parameters}");
        let report = replay(&server, &parameters, &both).expect(200).json();
        assert_eq!(counts(&report), expected, "{parameters}: {report}");
        let is_cut = parameters.contains("limit");
        assert_eq!(report["complete"], !is_cut, "{parameters}");
        assert_eq!(report["next_cursor"].is_string(), is_cut, "{parameters}");
        assert_eq!(report["stopped"].as_str(), is_cut.then_some("limit"));
    }
    // It goes on where it was.
    let mut parameters = "candidate=bundle/b&limit=3".to_owned();
    let mut seen = 0;
    loop {
        let report = replay(&server, &parameters, &both).expect(200).json();
        seen += report["examined"].as_u64().unwrap();
        match report["next_cursor"].as_str() {
            Some(cursor) => parameters = format!("candidate=bundle/b&limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, 7);
}

#[tokio::test]
async fn every_kind_of_change_can_be_tried() {
    let server = decided(WHOLE, IS_GET, &[GET, POST]).await;
    let total = |report: &Value| report["changed"].clone();
    let deny = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: { name: d, namespace: default }\n\
                spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/a] } }] }] }\n";
    let report = replay(&server, "candidate=resources", deny.as_bytes())
        .expect(200)
        .json();
    assert_eq!(total(&report), json!({"total": 1, "changed_to_deny": 1}));
    let candidate = &report["groups"][0]["candidate"];
    assert_eq!(
        (&candidate["policy"], &candidate["rule"]),
        (&json!("default/d"), &json!(0))
    );
    // Another bundle besides, whose entrypoint nobody asks, changes nothing.
    let other = archive(&[
        (".manifest", "{\"roots\": [\"other\"]}"),
        ("o.rego", "package other\n\nx := 1\n"),
    ]);
    let report = replay(&server, "candidate=bundle/o", &other)
        .expect(200)
        .json();
    assert_eq!(total(&report), json!({"total": 0}));

    let url = server.url("/v1/bundles/b?mode=shadow");
    http::put(&url, &allowing("two", "true")).expect(200);
    let report = replay(&server, "candidate=shadow/b", b"")
        .expect(200)
        .json();
    assert_eq!(total(&report), json!({"total": 1, "changed_to_allow": 1}));
    assert_eq!(report["revision"], 2);

    let url = server.url("/v1/bundles/b");
    http::put(&url, &allowing("three", "false")).expect(200);
    let report = replay(&server, "candidate=revision/1", b"")
        .expect(200)
        .json();
    assert_eq!(total(&report), json!({"total": 1, "changed_to_allow": 1}));
    // What was allowed then is not any more.
    assert_eq!(report["drifted"], 1);
    // A reply that only looks otherwise has changed as well.
    let with_body = "true\n} else := {\"allowed\": false, \"body\": \"no\"} if {\n  true";
    let report = replay(
        &server,
        "candidate=bundle/b",
        &allowing("four", &format!("{{ not {with_body} }}")),
    )
    .expect(200)
    .json();
    assert_eq!(total(&report), json!({"total": 2, "changed_reply": 2}));
    // As has one of an evaluation that fails.
    let report = replay(
        &server,
        "candidate=bundle/b",
        &allowing(
            "five",
            "{ req.method == \"GET\"; y := [1 | true]; y == 1 / 0 }",
        ),
    );
    assert!(matches!(report.status, 200 | 400), "{report:?}");
}

/// What is masked is not guessed, and comes out nowhere.
#[tokio::test]
async fn what_cannot_be_told_is_counted_by_why() {
    let secret: &[(&str, &str)] = &[("authorization", CANARY), ("x-role", "admin")];
    let role: &[(&str, &str)] = &[("x-role", "user")];
    let sent = [
        ("GET", "/a", secret),
        ("GET", "/a?password=c4n4ry", role),
        ("GET", "/a", role),
    ];
    let config = format!("{WHOLE}rego: {{ http_send: true }}\n");
    let server = decided(&config, "req.headers[\"x-role\"] == \"admin\"", &sent).await;
    for (condition, changed, undetermined) in [
        // Nobody looks at what is masked.
        (
            "req.headers[\"x-role\"] == \"user\"",
            json!({"total": 3, "changed_to_allow": 2, "changed_to_deny": 1}),
            json!({"total": 0}),
        ),
        (
            "req.headers.authorization",
            json!({"total": 0}),
            json!({"total": 1, "masked": 1}),
        ),
        (
            "input.parsed_query.password[0] == \"c4n4ry\"",
            json!({"total": 1, "changed_to_deny": 1}),
            json!({"total": 1, "masked": 1}),
        ),
        (
            "startswith(req.path, \"/\")",
            json!({"total": 1, "changed_to_allow": 1}),
            json!({"total": 1, "masked": 1}),
        ),
        (
            "count(req.headers) > 0",
            json!({"total": 2, "changed_to_allow": 2}),
            json!({"total": 1, "masked": 1}),
        ),
        (
            "rand.intn(\"x\", 2) == 0",
            json!({"total": 0}),
            json!({"total": 3, "random": 3}),
        ),
        (
            "http.send({\"method\": \"GET\", \"url\": \"https://example.com\"}).status_code == 200",
            json!({"total": 0}),
            json!({"total": 3, "external": 3}),
        ),
    ] {
        let answer = replay(&server, "candidate=bundle/b", &allowing("two", condition));
        let answer = answer.expect(200);
        assert!(
            !answer.body.contains(CANARY),
            "{condition}: {}",
            answer.body
        );
        let report = answer.json();
        assert_eq!(report["changed"], changed, "{condition}: {report}");
        assert_eq!(
            report["undetermined"], undetermined,
            "{condition}: {report}"
        );
        assert_eq!(report["drifted"], 0, "{condition}");
    }
    // Native policies read it too: tokens may be in a header or in a parameter.
    let jwt = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
               metadata: { name: j, namespace: default }\n\
               spec: { jwtRules: [{ issuer: https://issuer.example, jwksUri: 'https://a.example/' }] }\n";
    let report = replay(&server, "candidate=resources", jwt.as_bytes()).expect(200);
    assert_eq!(
        report.json()["undetermined"],
        json!({"total": 2, "masked": 2}),
        "{}",
        report.body
    );
}

#[tokio::test]
async fn a_summary_cannot_be_replayed() {
    let server = decided("", IS_GET, &[GET, POST, GET]).await;
    let report = replay(&server, "candidate=bundle/b", &allowing("two", "false"))
        .expect(200)
        .json();
    assert_eq!(report["same"], 1, "{report}");
    assert_eq!(
        report["undetermined"],
        json!({"total": 2, "no_input": 2}),
        "{report}"
    );
}

/// Whatever a request holds, its record can be replayed, or it is told that it cannot.
#[tokio::test]
async fn hostile_requests_are_replayed_as_any_other() {
    let server = Server::with_config(WHOLE);
    http::put(&server.url("/v1/bundles/b"), &allowing("one", IS_GET)).expect(200);
    let checks = server.checks().await;
    let long = format!("/{}", "x".repeat(64 << 10));
    let huge = format!("/{}", "x".repeat(200 << 10));
    let mut all = 0;
    for path in [
        "/\u{202e}gpj.exe",
        "/\u{1b}[31mred",
        "/%zz?%zz=%zz",
        "/a%00b",
        "/a\nb",
        "",
        "*",
        "/%2e%2e/%2F?a=1;b=2&&c",
        "/eyJhbGciOi.eyJzdWIi.c4n4ry",
        &long,
        &huge,
    ] {
        let mut request = http_check("GET", path, &[("x-a", "\u{7f}"), ("x-B", "1")]);
        checks.check(&request).await;
        http_of(&mut request).body = "{\"password\": \"c4n4ry\", \"a\": [[[[1]]]]}".to_owned();
        http_of(&mut request)
            .headers
            .insert("content-type".to_owned(), "application/json".to_owned());
        checks.check(&request).await;
        all += 2;
    }
    eventually("all is recorded", || count(&server) == all).await;
    let answer = replay(&server, "candidate=bundle/b", &allowing("two", IS_GET)).expect(200);
    assert!(!answer.body.contains(CANARY), "{}", answer.body);
    let report = answer.json();
    assert_eq!(report["examined"], all, "{report}");
    assert_eq!(report["changed"]["total"], 0, "{report}");
    assert_eq!(report["drifted"], 0, "{report}");
    let told = report["same"].as_u64().unwrap();
    assert!(told > 8, "{report}");
    assert_eq!(
        told + report["undetermined"]["total"].as_u64().unwrap(),
        all,
        "{report}"
    );
    for why in ["failed", "unreadable"] {
        assert_eq!(report["undetermined"].get(why), None, "{report}");
    }
}

#[tokio::test]
async fn bad_replays_are_refused() {
    let server = decided(WHOLE, IS_GET, &[GET]).await;
    let good = allowing("two", "true");
    let bundle = |rego: &str| archive(&[("p.rego", rego)]);
    let rows: [(&str, Vec<u8>, u16); 26] = [
        ("", good.clone(), 400),
        ("candidate=", good.clone(), 400),
        ("candidate=bundle", good.clone(), 400),
        ("candidate=bundle/", good.clone(), 400),
        ("candidate=bundle/a/b", good.clone(), 400),
        ("candidate=bundle/b&candidate=bundle/b", good.clone(), 400),
        ("candidate=resources/x", good.clone(), 400),
        ("candidate=resources", b"\xff".to_vec(), 400),
        ("candidate=resources", b"kind: Nothing".to_vec(), 400),
        ("candidate=resources", vec![], 400),
        ("candidate=resources&prune=1", vec![], 400),
        ("candidate=bundle/b&prune=true", good.clone(), 400),
        ("candidate=shadow/b", vec![], 404),
        ("candidate=shadow/b", b"x".to_vec(), 400),
        ("candidate=revision/x", vec![], 400),
        ("candidate=revision/4711", vec![], 404),
        ("candidate=bundle/b", b"none".to_vec(), 400),
        (
            "candidate=bundle/b",
            bundle("package envoy.authz\n\nallow if\n"),
            400,
        ),
        ("candidate=bundle/b&limit=0", good.clone(), 400),
        ("candidate=bundle/b&limit=1000001", good.clone(), 400),
        ("candidate=bundle/b&limit=1&limit=1", good.clone(), 400),
        ("candidate=bundle/b&since=yesterday", good.clone(), 400),
        ("candidate=bundle/b&since=1h&since=2h", good.clone(), 400),
        ("candidate=bundle/b&cursor=x", good.clone(), 400),
        ("candidate=bundle/b&effect=maybe", good.clone(), 400),
        ("candidate=bundle/b&group_by=path", good.clone(), 400),
    ];
    for (parameters, body, expected) in rows {
        let answer = replay(&server, parameters, &body);
        assert_eq!(answer.status, expected, "{parameters}: {}", answer.body);
        assert!(answer.json()["code"].is_string());
    }
    // As of a push, with the place.
    let bad = bundle("package envoy.authz\n\nallow if\n");
    let pushed = http::put(&server.url("/v1/bundles/b"), &bad).json();
    let tried = replay(&server, "candidate=bundle/b", &bad).json();
    assert_eq!(tried, pushed);
    assert!(tried["errors"][0]["location"]["row"].is_u64(), "{tried}");
    // Whatever became of it, the place is free.
    replay(&server, "candidate=bundle/b", &good).expect(200);
}

/// One at a time, and it ends when nobody waits for it any more.
#[tokio::test]
async fn a_second_replay_waits_for_its_turn() {
    let config = format!("{WHOLE}replay: {{ cpu_share: 0.01 }}\n");
    let many: Vec<_> = (0..300).map(|_| POST).collect();
    let server = decided(&config, IS_GET, &many).await;
    let candidate = allowing("two", "true");
    let head = format!(
        "POST /v1/replay?candidate=bundle/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        candidate.len()
    );
    let mut first = TcpStream::connect(&server.management).await.unwrap();
    first.write_all(head.as_bytes()).await.unwrap();
    first.write_all(&candidate).await.unwrap();
    let second = || replay(&server, "candidate=bundle/b&limit=1", &candidate);
    let replaying = || {
        let mut threads = server.threads().into_iter();
        threads.find_map(|(name, nice)| (name == "replay").then_some(nice))
    };
    eventually("the first replays, behind checks", || {
        replaying() == Some(10)
    })
    .await;
    let refused = second().expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.json()["code"], "unavailable");
    // Pushes and checks go on meanwhile.
    http::put(&server.url("/v1/bundles/b"), &allowing("three", "true")).expect(200);
    assert!(server.checks().await.get("/").await.allows());
    drop(first);
    eventually("the place is free", || second().status == 200).await;
}

/// What was hung up on is finished before anything else is begun, so that no number of callers who do that
/// makes threads or memory grow.
#[tokio::test]
async fn a_candidate_that_nobody_waits_for_keeps_its_place() {
    let server = Server::start();
    let rules = (0..4_000).map(|at| {
        format!("r{at}[x] if {{ some x in input.a; count(x) > {at}; y := x; startswith(y, \"{at}\") }}\n")
    });
    let large = format!("package large\n\n{}", rules.collect::<String>());
    let candidate = archive(&[("p.rego", &large)]);
    let head = format!(
        "POST /v1/replay?candidate=bundle/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        candidate.len()
    );
    for _ in 0..4 {
        let mut call = TcpStream::connect(&server.management).await.unwrap();
        call.write_all(head.as_bytes()).await.unwrap();
        call.write_all(&candidate).await.unwrap();
        let answer = &mut [0; 64];
        drop(tokio::time::timeout(std::time::Duration::from_millis(300), call.read(answer)).await);
        drop(call);
        let threads = server.threads().into_iter();
        let compiling = threads.filter(|(name, _)| name == "compile").count();
        assert!(compiling <= 1, "{compiling}");
    }
    // Whatever became of them, the place is free again.
    let small = allowing("one", "true");
    eventually("the place is free", || {
        replay(&server, "candidate=bundle/b", &small).status == 200
    })
    .await;
}
