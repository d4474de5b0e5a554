//! Policy changes at once and whole, while traffic flows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::bundle::{archive, constant, form};
use crate::support::check::http_check;
use crate::support::{Server, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_under_load_fits_its_revision() {
    const PUSHES: usize = 60;
    let server = Server::start();
    let url = server.url("/v1/bundles/flip");
    // Which verdict each revision must give.
    let verdicts = Arc::new(Mutex::new(HashMap::from([(0, false)])));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let checks = server.checks().await;
        let stop = Arc::clone(&stop);
        clients.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let reply = checks.get("/").await;
                seen.push((reply.revision(), reply.allows()));
            }
            seen
        }));
    }
    let checks = server.checks().await;
    for push in 0..PUSHES {
        let allow = push % 2 == 0;
        let bundle = constant(&format!("r{push}"), &allow.to_string());
        let put = url.clone();
        let answer =
            tokio::task::spawn_blocking(move || http::put(&put, &bundle).expect(200).json());
        let answer = answer.await.unwrap();
        assert_eq!(answer["revision"], format!("r{push}"));
        let snapshot = answer["snapshot"].as_u64().unwrap();
        verdicts.lock().unwrap().insert(snapshot, allow);
        // The first check after the answer is decided by what was pushed.
        let reply = checks.get("/").await;
        assert_eq!((reply.revision(), reply.allows()), (snapshot, allow));
    }
    stop.store(true, Ordering::Relaxed);
    let verdicts = verdicts.lock().unwrap().clone();
    for client in clients {
        let seen = client.await.unwrap();
        assert!(seen.len() > PUSHES, "too little load: {}", seen.len());
        assert!(
            seen.is_sorted_by_key(|(revision, _)| *revision),
            "revisions went back"
        );
        for (revision, allowed) in seen {
            assert_eq!(verdicts[&revision], allowed, "revision {revision}");
        }
    }
}

#[tokio::test]
async fn several_bundles_are_one_revision() {
    let server = Server::start();
    let bundle = |name: &str, rego: &str| {
        let manifest = format!("{{\"revision\": \"of {name}\", \"roots\": [\"{name}\"]}}");
        archive(&[(".manifest", &manifest), ("p.rego", rego)])
    };
    let put = |parts: &[(&str, &[u8])]| {
        let (body, kind) = form(parts);
        http::send(
            "PUT",
            &server.url("/v1/bundles"),
            &[("content-type", &kind)],
            &body,
        )
    };
    // Each alone would be refused by its call of a function of the other.
    let first = bundle("first", "package first\n\nx := data.second.f(1)\n");
    let second = bundle("second", "package second\n\nf(x) := x\n");
    http::put(&server.url("/v1/bundles/first"), &first).expect(400);
    let answer = put(&[("first", &first), ("second", &second)])
        .expect(200)
        .json();
    assert_eq!(answer["snapshot"], 1);
    assert_eq!(answer["bundles"][0]["name"], "first");
    assert_eq!(answer["bundles"][1]["revision"], "of second");
    // One bad one, and none is put; all that is wrong is told.
    let bad = bundle("bad", "package elsewhere\n");
    let answer = put(&[("first", &first), ("bad", &bad), ("worse", b"none")])
        .expect(400)
        .json();
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2, "{answer}");
    for (parts, message) in [
        (
            [
                ("first", first.as_slice()),
                ("b", &first),
                ("first", &second),
            ]
            .as_slice(),
            "bundle `first` is there twice",
        ),
        (&[("a/b", &first)], "a bundle's name consists of"),
        (&[], "the body holds no bundle"),
    ] {
        let answer = put(parts).expect(400).json();
        let told = answer["message"].as_str().unwrap();
        assert!(told.contains(message), "{told}");
    }
    http::put(&server.url("/v1/bundles"), &first).expect(400);
    let listed = http::get(&server.url("/v1/bundles")).json();
    assert_eq!(listed["bundles"].as_array().unwrap().len(), 2);
    assert_eq!(http::get(&server.url("/v1/status")).json()["snapshot"], 1);
}

#[tokio::test]
async fn overlapping_roots_are_refused() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/a"), &constant("1", "true")).expect(200);
    let answer = http::put(&server.url("/v1/bundles/b"), &constant("1", "false"))
        .expect(400)
        .json();
    assert!(
        answer["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("overlapping roots"),
        "{answer}"
    );
    assert!(server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn native_policies_are_put_pruned_and_deleted() {
    let server = Server::start();
    let url = server.url("/v1/resources");
    let object = |name: &str, rules: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: {name} }}\nspec: {{ rules: {rules} }}\n"
        )
    };
    let results = |answer: serde_json::Value| -> Vec<String> {
        let resources = answer["resources"].as_array().unwrap().clone();
        resources
            .iter()
            .map(|resource| format!("{} {}", resource["name"], resource["result"]).replace('"', ""))
            .collect()
    };
    let both = object("a", "[{}]") + &object("b", "[]");
    assert_eq!(
        results(http::put(&url, both.as_bytes()).expect(200).json()),
        ["a created", "b created"]
    );
    let next = object("b", "[{}]") + &object("a", "[{}]");
    assert_eq!(
        results(http::put(&url, next.as_bytes()).expect(200).json()),
        ["b updated", "a unchanged"]
    );
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());

    let pruned = http::put(
        &server.url("/v1/resources?prune=true"),
        object("a", "[{}]").as_bytes(),
    );
    assert_eq!(
        results(pruned.expect(200).json()),
        ["a unchanged", "b deleted"]
    );
    let one = server.url("/v1/resources/AuthorizationPolicy/default/a");
    assert_eq!(http::get(&one).expect(200).json()["metadata"]["name"], "a");
    http::send("PUT", &one, &[], object("other", "[{}]").as_bytes()).expect(400);
    http::delete(&one).expect(200);
    http::get(&one).expect(404);
    // Nothing is loaded any more: denied, and not ready.
    assert!(!checks.get("/").await.allows());
    http::get(&server.url("/readyz")).expect(503);
}

#[tokio::test]
async fn what_a_file_owns_is_not_changed_over_the_api() {
    let files = tempfile::tempdir().unwrap();
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: a }\nspec: { rules: [{}] }\n";
    std::fs::write(files.path().join("a.yaml"), policy).unwrap();
    std::fs::create_dir(files.path().join("bundle")).unwrap();
    std::fs::write(
        files.path().join("bundle/p.rego"),
        "package envoy.authz\n\nallow := true\n",
    )
    .unwrap();
    let config = format!(
        "policies: [{0}/a.yaml]\nbundles: {{ local: {{ path: {0}/bundle }} }}\n",
        files.path().display()
    );
    let server = Server::with_config(&config);
    assert_eq!(server.revision, 1);
    assert!(server.checks().await.get("/").await.allows());
    let put = http::put(&server.url("/v1/resources"), policy.as_bytes())
        .expect(409)
        .json();
    assert_eq!(
        put["message"],
        "AuthorizationPolicy/default/a belongs to a file, which alone can change it"
    );
    http::put(&server.url("/v1/bundles/local"), &constant("1", "true")).expect(409);
    http::put(&server.url("/v1/resources?prune=true"), policy.as_bytes()).expect(409);
    http::delete(&server.url("/v1/resources/AuthorizationPolicy/default/a")).expect(409);
    http::delete(&server.url("/v1/bundles/local")).expect(409);
}

/// A caller that hangs up in the middle of a push leaves nothing half done: what is stored is
/// active, and the next push goes on from there.
#[tokio::test]
async fn a_push_whose_caller_hangs_up_is_whole() {
    use std::io::Write as _;

    let server = Server::start();
    let rules = (0..3_000).map(|index| format!("allow if input.parsed_path[0] == \"p{index}\"\n"));
    let rego = format!(
        "package envoy.authz\n\ndefault allow := false\n\n{}",
        rules.collect::<String>()
    );
    let bundle = archive(&[("p.rego", &rego)]);
    for delay in [0, 5, 20, 60, 150, 400] {
        let mut stream = std::net::TcpStream::connect(&server.management).unwrap();
        let head = format!(
            "PUT /v1/bundles/b HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            bundle.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&bundle).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
        drop(stream);
    }
    // Whatever came of them, this one is next.
    let pushed = http::put(&server.url("/v1/bundles/b"), &constant("last", "true"))
        .expect(200)
        .json();
    let reply = server.checks().await.get("/").await;
    assert_eq!(
        (Some(reply.revision()), reply.allows()),
        (pushed["snapshot"].as_u64(), true)
    );
}

/// Checks go before what is compiled meanwhile.
#[test]
fn pushes_are_compiled_at_low_priority() {
    let server = Server::start();
    let rules = (0..500).map(|index| format!("r{index} if input.parsed_path[0] == \"p{index}\"\n"));
    let rego = format!("package envoy.authz\n\n{}", rules.collect::<String>());
    let (url, bundle) = (server.url("/v1/bundles/b"), archive(&[("p.rego", &rego)]));
    let push = std::thread::spawn(move || http::put(&url, &bundle).expect(200));
    let mut seen = false;
    while !push.is_finished() {
        seen |= server.threads().contains(&("compile".to_owned(), 10));
    }
    push.join().unwrap();
    assert!(seen, "no thread stepped back");
    assert!(
        server
            .threads()
            .iter()
            .all(|(name, niceness)| name == "compile" || *niceness == 0)
    );
}

/// Rego of a file cannot be widened from outside by rules or data in its package.
#[tokio::test]
async fn rego_of_a_file_is_not_added_to_over_the_api() {
    let files = tempfile::tempdir().unwrap();
    let rego = "package envoy.authz\n\ndefault allow := false\n";
    std::fs::write(files.path().join("p.rego"), rego).unwrap();
    let server = Server::with_config(&format!("policies: [{}]\n", files.path().display()));
    let wider = archive(&[
        (".manifest", "{\"roots\": [\"envoy/authz\"]}"),
        ("p.rego", "package envoy.authz\n\nallow if true\n"),
    ]);
    let answer = http::put(&server.url("/v1/bundles/b"), &wider)
        .expect(409)
        .json();
    assert_eq!(
        answer["message"],
        "data.envoy.authz belongs to a file, which alone can change it"
    );
    assert!(!server.checks().await.get("/").await.allows());
    // Beside it there is room.
    let beside = archive(&[
        (".manifest", "{\"roots\": [\"other\"]}"),
        ("p.rego", "package other\n\nx := 1\n"),
    ]);
    http::put(&server.url("/v1/bundles/b"), &beside).expect(200);
}

#[test]
fn what_is_likely_not_meant_is_told_with_the_answer() {
    let server = Server::start();
    let url = server.url("/v1/resources");
    let text = std::fs::read("tests/fixtures/doubtful.yaml").unwrap();
    // Also of an object that stays as it is, and not of others.
    for result in ["created", "unchanged"] {
        let answer = http::put(&url, &text).expect(200).json();
        assert_eq!(answer["resources"][0]["result"], result);
        let warning = &answer["warnings"][0];
        assert_eq!(warning["location"]["row"], 8, "{answer}");
        let message = warning["message"].as_str().unwrap();
        assert!(message.contains("also denies plain TCP"), "{message}");
    }
    let other = String::from_utf8(text).unwrap();
    let other = other.replace("no-delete", "other").replace("DENY", "ALLOW");
    let answer = http::put(&url, other.as_bytes()).expect(200).json();
    assert!(answer.get("warnings").is_none(), "{answer}");
}

/// Rego that is for action CUSTOM alone decides nothing else.
#[tokio::test]
async fn rego_can_be_for_providers_alone() {
    let config = "rego: { entrypoint: none, providers: { opa: shop/authz/allow } }\nmesh: { default_action: allow, default_workload: { namespace: default, labels: {} } }";
    let server = Server::with_config(config);
    let checks = server.checks().await;
    let rego = "package shop.authz\n\nallow if input.attributes.request.http.method == \"GET\"\n";
    http::put(&server.url("/v1/bundles/b"), &archive(&[("p.rego", rego)])).expect(200);
    assert!(checks.get("/").await.allows());
    let custom = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: c }\nspec: { action: CUSTOM, provider: { name: opa }, rules: [{ to: [{ operation: { paths: [/asked] } }] }] }\n";
    http::put(&server.url("/v1/resources"), custom.as_bytes()).expect(200);
    for (method, path, allowed) in [
        ("GET", "/asked", true),
        ("POST", "/asked", false),
        ("POST", "/other", true),
    ] {
        let reply = checks.check(&http_check(method, path, &[])).await;
        assert_eq!(reply.allows(), allowed, "{method} {path}");
    }
}
