//! Who may call the management API: every call is asked for by nobody, by who may no more, and by one
//! caller of each role.

mod issuer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::digest;
use doorward::management::{AreaKind, Call, Need, Role, calls};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::bundle::{archive, constant, form};
use crate::support::{Options, Server, eventually, http};

const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: NAME, namespace: NAMESPACE }\nspec: { action: DENY, rules: [{}] }\n";

fn sha256(token: &str) -> String {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An entry of `management.tokens` whose token is its name.
fn entry(name: &str, roles: &str, more: &str) -> String {
    format!(
        "{{ name: '{name}', sha256: {}, roles: [{roles}]{more} }}",
        sha256(name)
    )
}

fn server(entries: &[String]) -> Server {
    Server::with_config(&format!(
        "management: {{ tokens: [{}] }}",
        entries.join(", ")
    ))
}

/// A call from an address of this machine, so that each has its own count of failures.
async fn call(
    server: &Server,
    from: [u8; 4],
    method: &str,
    path: &str,
    token: &str,
) -> (u16, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let address = server.management.parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let authorization = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n{authorization}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Events go on and on: of these the head is enough.
    let is_endless = |answer: &[u8]| {
        let answer = String::from_utf8_lossy(answer);
        answer.contains("text/event-stream") && answer.contains("\r\n\r\n")
    };
    while !is_endless(&answer) && stream.read_buf(&mut answer).await.unwrap() > 0 {}
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// A path of the call, with names of something that is not there.
fn path(call: &Call) -> String {
    call.path
        .replace("{kind}", "AuthorizationPolicy")
        .replace("{namespace}", "nowhere")
        .replace("{name}", "nothing")
        .replace("{*path}", "nothing")
        .replace("{number}", "4711")
        .replace("{*id}", "nothing")
        .replace("{id}", "00000000-0000-0000-0000-000000000000")
}

#[tokio::test]
async fn every_call_asks_who_is_there_and_what_they_may() {
    let mut entries: Vec<_> = Role::ALL
        .iter()
        .map(|role| entry(&role.name().replace(':', "-"), &format!("'{role}'"), ""))
        .collect();
    entries.push(entry("old", "admin", ", expires: 2020-01-01T00:00:00Z"));
    let server = server(&entries);
    let all = calls();
    assert!(all.len() >= 17, "{all:?}");
    for (number, row) in (1..).zip(&all) {
        let (method, path) = (row.method.as_str(), path(row));
        let from = [127, 0, 9, number];
        let ask = async |token: &str| call(&server, from, method, &path, token).await;
        let is_open = row.need == Need::Open;
        for token in ["", "old", "unknown"] {
            let (status, answer) = ask(token).await;
            assert_eq!(
                status != 401,
                is_open,
                "{method} {path} `{token}`: {answer}"
            );
            if !is_open {
                let headers = answer.to_ascii_lowercase();
                assert!(headers.contains("www-authenticate: bearer"), "{answer}");
                assert!(answer.contains("\"code\": \"unauthorized\""), "{answer}");
            }
        }
        for role in Role::ALL {
            let (status, answer) = ask(&role.name().replace(':', "-")).await;
            let may = role == Role::Admin || row.need.roles().all(|needed| role == needed);
            assert_eq!(status != 403, may, "{method} {path} {role}: {answer}");
            assert_ne!(status, 401, "{method} {path} {role}: {answer}");
            if !may {
                assert!(answer.contains("\"code\": \"forbidden\""), "{answer}");
            }
        }
    }
    // What is no call is not told to strangers.
    for (method, path, known) in [("GET", "/nothing", 404), ("POST", "/v1/status", 405)] {
        assert_eq!(call(&server, [127, 0, 8, 1], method, path, "").await.0, 401);
        assert_eq!(
            call(&server, [127, 0, 8, 1], method, path, "metrics-read")
                .await
                .0,
            known
        );
    }
}

#[tokio::test]
async fn a_scope_keeps_changes_where_they_belong() {
    let server = server(&[
        entry(
            "team",
            "'policies:write'",
            ", scope: [bundles/team-a*, resources/shop]",
        ),
        entry("all", "'policies:write', 'policies:read'", ""),
    ]);
    let send = |token: &str, method: &str, path: &str, body: &[u8]| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        http::send(method, &server.url(path), &headers, body)
    };
    let bundle = constant("1", "true");
    let policy =
        |name: &str, namespace: &str| POLICY.replace("NAMESPACE", namespace).replace("NAME", name);
    let one = |namespace: &str| format!("/v1/resources/AuthorizationPolicy/{namespace}/p");
    let both = policy("p", "shop") + "---\n" + &policy("p", "bank");
    let listed = json!({"apiVersion": "v1", "kind": "List", "items": [{
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "bank"}, "spec": {},
    }]});
    let listed = listed.to_string();
    // Its namespace is `default`.
    let no_namespace = policy("p", "shop").replace(", namespace: shop", "");
    let rows: [(&str, &str, Vec<u8>, u16); 16] = [
        ("PUT", "/v1/bundles/team-b", bundle.clone(), 403),
        ("PUT", "/v1/bundles/team-a1", bundle.clone(), 200),
        ("PUT", "/v1/bundles/team%2da1", bundle.clone(), 200),
        ("DELETE", "/v1/bundles/team-b", vec![], 403),
        ("DELETE", "/v1/bundles/team-a1", vec![], 200),
        ("PUT", &one("shop"), policy("p", "shop").into(), 200),
        ("PUT", &one("bank"), policy("p", "bank").into(), 403),
        // The body decides nothing: the path must name the same.
        ("PUT", &one("shop"), policy("p", "bank").into(), 400),
        ("PUT", "/v1/resources", policy("p", "shop").into(), 200),
        ("PUT", "/v1/resources", policy("p", "bank").into(), 403),
        ("PUT", "/v1/resources", both.into(), 403),
        ("PUT", "/v1/resources", listed.into(), 403),
        ("PUT", "/v1/resources", no_namespace.into(), 403),
        (
            "PUT",
            "/v1/resources?prune=true",
            policy("p", "shop").into(),
            403,
        ),
        ("PUT", "/v1/resources", b"kind: [".to_vec(), 400),
        ("DELETE", &one("shop"), vec![], 200),
    ];
    for (method, path, body, expected) in &rows {
        send("team", method, path, body).expect(*expected);
    }
    for (other, expected) in [("team-b", 403), ("team-a2", 200)] {
        let manifest = |name: &str| format!("{{\"roots\": [\"{name}\"]}}");
        let bundle = |name: &str| archive(&[(".manifest", &manifest(name))]);
        let (body, kind) = form(&[("team-a1", &bundle("a")), (other, &bundle("b"))]);
        let headers = [
            ("authorization", "Bearer team"),
            ("content-type", kind.as_str()),
        ];
        http::send("PUT", &server.url("/v1/bundles"), &headers, &body).expect(expected);
    }
    send("team", "GET", "/v1/bundles", b"").expect(403);
    send(
        "all",
        "PUT",
        "/v1/resources",
        policy("p", "bank").as_bytes(),
    )
    .expect(200);
    let shown = send("all", "GET", "/v1/resources", b"").expect(200).json();
    assert_eq!(shown["resources"].as_array().map(Vec::len), Some(1));
}

/// Of every change, whatever tells what it is about: who may only change something else is refused, and
/// it is known who tried.
#[test]
fn no_change_is_made_outside_of_a_scope() {
    let server = server(&[
        entry(
            "foreign",
            "'policies:write', 'data:write'",
            ", scope: [bundles/other, resources/other, data/other]",
        ),
        entry("reader", "'logs:read', 'policies:read'", ""),
    ]);
    let send = |token: &str, method: &str, path: &str, kind: &str, body: &[u8]| {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", kind),
        ];
        http::send(method, &server.url(path), &headers, body)
    };
    let policy = |namespace: &str| POLICY.replace("NAMESPACE", namespace).replace("NAME", "p");
    let (bundle, policies) = (
        constant("1", "true"),
        policy("other") + "---\n" + &policy("x"),
    );
    let (bundles, form) = form(&[("other", &bundle), ("x", &bundle)]);
    let changes = calls().into_iter();
    let changes = changes.filter(|call| {
        let role = call.need.role();
        matches!(role, Some(Role::PoliciesWrite | Role::DataWrite))
    });
    let mut tried = Vec::new();
    for row in changes {
        let (kind, body): (&str, &[u8]) = match (row.need, row.path) {
            (Need::ChangeNamed, "/v1/bundles") => (&form, &bundles),
            (Need::ChangeNamed, "/v1/resources") => ("application/yaml", policies.as_bytes()),
            (Need::ChangeNamed, path) => panic!("{path} needs a body that names what is foreign"),
            _ => ("application/json", b"{}"),
        };
        let (method, path) = (row.method.as_str(), path(&row));
        let answer = send("foreign", method, &path, kind, body)
            .expect(403)
            .json();
        assert_eq!(answer["code"], "forbidden", "{method} {path}");
        tried.insert(0, format!("{method} {path}"));
    }
    assert!(tried.len() >= 13, "{tried:?}");
    let log = send("reader", "GET", "/v1/audit", "", b"")
        .expect(200)
        .json();
    let records = log["records"].as_array().unwrap().iter();
    let found: Vec<_> = records
        .map(|record| {
            let told = (&record["author"], &record["action"], &record["result"]);
            assert_eq!(
                told,
                (&json!("foreign"), &json!("refused"), &json!("failure"))
            );
            record["target"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(found, tried);
    let shown = send("reader", "GET", "/v1/bundles", "", b"").expect(200);
    assert_eq!(shown.headers["etag"], "\"0\"", "{}", shown.body);
}

#[tokio::test]
async fn who_guesses_is_not_listened_to_for_a_while() {
    let server = server(&[entry("right", "admin", "")]);
    let (one, other) = ([127, 0, 7, 1], [127, 0, 7, 2]);
    let mut seen = BTreeMap::<u16, u32>::new();
    for _ in 0..25 {
        let (status, _) = call(&server, one, "GET", "/v1/status", "guess").await;
        *seen.entry(status).or_default() += 1;
    }
    assert_eq!(seen, BTreeMap::from([(401, 20), (429, 5)]));
    let (status, answer) = call(&server, one, "GET", "/v1/status", "guess").await;
    assert_eq!(status, 429, "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("retry-after: "),
        "{answer}"
    );
    assert_eq!(call(&server, one, "GET", "/livez", "").await.0, 200);
    assert_eq!(call(&server, one, "GET", "/v1/status", "").await.0, 401);
    // Who has a token is not locked out by who guesses beside them.
    assert_eq!(
        call(&server, one, "GET", "/v1/status", "right").await.0,
        200
    );
    let (status, answer) = call(&server, other, "GET", "/metrics", "right").await;
    assert_eq!(status, 200);
    for row in [
        "doorward_management_refused_total{reason=\"too_many_attempts\"} 6",
        "doorward_management_refused_total{reason=\"unauthorized\"} 21",
    ] {
        assert!(answer.contains(row), "{answer}");
    }
}

#[tokio::test]
async fn a_file_of_tokens_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    let write = |entries: &[String], mode: u32| {
        let list: String = entries.iter().map(|entry| format!("- {entry}\n")).collect();
        let list = if list.is_empty() {
            "[]".to_owned()
        } else {
            list
        };
        // As a whole, so that no half of it is ever read.
        let new = folder.path().join("new");
        std::fs::write(&new, list).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::rename(&new, &file).unwrap();
    };
    let config = || Options {
        config: format!("management: {{ tokens_file: '{}' }}", file.display()),
        ..Options::default()
    };
    write(&[entry("first", "admin", "")], 0o644);
    let said = Server::try_with(config()).err().unwrap();
    assert!(
        said.contains("exit status: 3") && said.contains("0600"),
        "{said}"
    );

    write(&[], 0o600);
    let server = Server::with(config());
    let status = |token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        http::send("GET", &server.url("/v1/status"), &headers, b"").status
    };
    // A list without anybody lets nobody in.
    assert_eq!(http::get(&server.url("/v1/status")).status, 401);
    write(&[entry("first", "admin", "")], 0o600);
    server.signal("HUP");
    let times = |times| server.said().matches("read again").count() >= times;
    eventually("the first token holds", || times(1)).await;
    assert_eq!(status("first"), 200);
    write(&[entry("second", "admin", "")], 0o600);
    eventually("the second token holds", || times(2)).await;
    assert_eq!(status("second"), 200);
    assert_eq!(status("first"), 401);
    // One that cannot be used changes nothing, and is told.
    write(&[entry("third", "nonsense", "")], 0o600);
    eventually("the error is told", || server.said().contains("is no role")).await;
    assert_eq!(status("second"), 200);
    let metrics = http::send(
        "GET",
        &server.url("/metrics"),
        &[("authorization", "Bearer second")],
        b"",
    );
    let row = "doorward_reloads_total{what=\"management.tokens_file\",result=\"failure\"} 1";
    assert!(metrics.body.contains(row), "{}", metrics.body);
}

/// What never ends is told, and when to change what does.
#[tokio::test]
async fn the_end_of_a_token_is_told_before_it_comes() {
    let server = server(&[
        entry("endless", "admin", ""),
        entry("later", "admin", ", expires: 2090-01-01T00:00:00Z"),
        entry("next", "admin", ", expires: 2089-01-01T00:00:00Z"),
    ]);
    eventually("it is told", || server.said().contains("have no `expires`")).await;
    let said = server.said();
    let line = said.lines().find(|line| line.contains("`expires`"));
    let line = line.unwrap();
    assert!(
        line.contains("\"endless\"") && !line.contains("later"),
        "{line}"
    );
    let (_, metrics) = call(&server, [127, 0, 3, 1], "GET", "/metrics", "endless").await;
    let row = "doorward_management_token_expiry_timestamp_seconds";
    let rows: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with(row))
        .collect();
    assert_eq!(rows, [format!("{row}{{token=\"next\"}} 3755376000")]);
}

/// A name of the table of calls is a parameter of its path.
#[test]
fn what_a_call_changes_is_named_by_its_path() {
    for row in calls() {
        if let Need::Change(kind, name) = row.need {
            assert!(row.path.contains(&format!("{{{name}}}")), "{row:?}");
            assert!(matches!(kind, AreaKind::Bundles | AreaKind::Resources));
        }
    }
}

#[tokio::test]
async fn an_error_has_opas_shape() {
    let server = server(&[entry("a", "'logs:read'", "")]);
    for token in ["", "a"] {
        let (_, answer) = call(&server, [127, 0, 6, 1], "GET", "/v1/bundles", token).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(
            body["code"].is_string() && body["message"].is_string(),
            "{body}"
        );
    }
}

/// Who tries a change sees decisions, and may only try what they may do.
#[tokio::test]
async fn a_replay_shows_decisions_to_who_may_see_them() {
    let server = server(&[
        entry("admin", "admin", ""),
        entry(
            "team",
            "'policies:write', 'logs:read'",
            ", scope: [bundles/team*, resources/shop]",
        ),
        entry("writer", "'policies:write'", ""),
        entry("reader", "'policies:read', 'logs:read'", ""),
    ]);
    let send = |token: &str, method: &str, path: &str, body: &[u8]| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        http::send(method, &server.url(path), &headers, body)
    };
    let policy = |namespace: &str| POLICY.replace("NAMESPACE", namespace).replace("NAME", "p");
    let (bundle, both) = (
        constant("1", "true"),
        policy("shop") + "---\n" + &policy("bank"),
    );
    send("admin", "PUT", "/v1/bundles/other?mode=shadow", &bundle).expect(200);
    let (shop, bank) = (policy("shop"), policy("bank"));
    let texts = [shop.as_bytes(), bank.as_bytes(), both.as_bytes(), b""];
    let [shop, bank, both, none] = texts;
    let rows = [
        ("team", "bundle/team-a", &*bundle, 200),
        ("team", "bundle/other", &bundle, 403),
        ("team", "resources", shop, 200),
        ("team", "resources", bank, 403),
        ("team", "resources", both, 403),
        ("team", "resources&prune=true", shop, 403),
        ("team", "shadow/other", none, 403),
        ("team", "revision/1", none, 403),
        ("writer", "bundle/team-a", &bundle, 403),
        ("reader", "bundle/team-a", &bundle, 403),
        ("admin", "shadow/other", none, 200),
        ("admin", "revision/1", none, 200),
    ];
    for (token, candidate, body, expected) in rows {
        let path = format!("/v1/replay?candidate={candidate}");
        let answer = send(token, "POST", &path, body);
        assert_eq!(
            answer.status, expected,
            "{token} {candidate}: {}",
            answer.body
        );
    }
    // Who tries what they may not is known.
    let audit = send("admin", "GET", "/v1/audit", b"").expect(200).json();
    let audit = audit["records"].as_array().unwrap();
    let refused = audit.iter().filter(|record| record["action"] == "refused");
    assert_eq!(refused.count(), 8, "{audit:?}");
    assert_eq!(audit[0]["target"], "POST /v1/replay");
    // The same of a push that is kept back by it.
    let path = "/v1/bundles/team-a?require_replay=1h";
    send("writer", "PUT", path, &bundle).expect(403);
    send("team", "PUT", "/v1/bundles/x?require_replay=1h", &bundle).expect(403);
    send("team", "PUT", path, &bundle).expect(200);
    let path = "/v1/resources?require_replay=1h";
    send("writer", "PUT", path, shop).expect(403);
    send("team", "PUT", path, bank).expect(403);
    send("team", "PUT", path, shop).expect(200);
}
