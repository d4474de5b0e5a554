//! Every decision can be asked for afterwards, and none tells a secret.

use serde_json::Value;

use crate::support::bundle::{archive, constant};
use crate::support::check::{http_check, tcp_check};
use crate::support::{Server, eventually, http};

fn query(server: &Server, filter: &str) -> Vec<Value> {
    let answer = http::get(&server.url(&format!("/v1/decisions?{filter}")))
        .expect(200)
        .json();
    answer["decisions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn decisions_are_found_by_what_they_were_about() {
    let server = Server::start();
    let bundle = archive(&[(
        "p.rego",
        "package envoy.authz\n\ndefault allow := false\n\nallow if input.parsed_path[0] == \"open\"\n",
    )]);
    http::put(&server.url("/v1/bundles/b"), &bundle).expect(200);
    let checks = server.checks().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let mut ids = Vec::new();
    for index in 0..5 {
        let path = format!("/open/{index}?q=1");
        let reply = checks
            .check(&http_check("GET", &path, &[("traceparent", &parent)]))
            .await;
        assert!(reply.allows());
        ids.push(reply.text("decision_id").unwrap());
    }
    assert!(!checks.get("/shut").await.allows());
    assert!(
        !checks
            .check(&tcp_check("spiffe://cluster.local/ns/default/sa/x"))
            .await
            .allows()
    );
    eventually("seven records", || query(&server, "").len() == 7).await;

    let rows = [
        ("effect=allow", 5),
        ("effect=deny", 2),
        ("path=/open/3", 1),
        ("path=/open/*", 5),
        ("host=web.example", 6),
        ("principal=spiffe://cluster.local/ns/default/sa/x", 1),
        ("policy=envoy/authz/allow", 7),
        ("revision=1", 7),
        ("revision=2", 0),
        (&format!("trace_id={trace}"), 5),
        ("since=1h", 7),
        ("until=1h", 0),
        ("effect=allow&path=/open/1&since=5m", 1),
        ("path=/open/' OR 1=1 --", 0),
    ];
    for (filter, count) in rows {
        let filter = filter.replace(' ', "%20").replace('\'', "%27");
        assert_eq!(query(&server, &filter).len(), count, "{filter}");
    }

    let newest = &query(&server, "limit=1&effect=allow")[0];
    assert_eq!(newest["decision_id"], ids[4]);
    assert_eq!(newest["reason"]["kind"], "rego");
    assert_eq!(newest["request"]["path"], "/open/4?q=1");
    assert_eq!(newest["workload"]["namespace"], "default");
    let one = http::get(&server.url(&format!("/v1/decisions/{}", ids[0])))
        .expect(200)
        .json();
    assert_eq!(one["request"]["path"], "/open/0?q=1");

    // Pages do not overlap and leave nothing out.
    let mut paged = Vec::new();
    let mut filter = "limit=3".to_owned();
    loop {
        let page = http::get(&server.url(&format!("/v1/decisions?{filter}"))).json();
        paged.extend(page["decisions"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => filter = format!("limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, query(&server, ""));
}

#[tokio::test]
async fn a_decision_from_memory_has_its_own_record() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    let checks = server.checks().await;
    let (first, second) = (checks.get("/").await, checks.get("/").await);
    assert_eq!((first.cached(), second.cached()), (false, true));
    assert_ne!(first.text("decision_id"), second.text("decision_id"));
    eventually("two records", || query(&server, "").len() == 2).await;
    let cached: Vec<_> = query(&server, "")
        .iter()
        .map(|record| record["cached"].clone())
        .collect();
    assert_eq!(cached, [true, false]);
    // A push ends what was remembered.
    http::put(&server.url("/v1/bundles/b"), &constant("2", "false")).expect(200);
    let third = checks.get("/").await;
    assert_eq!((third.cached(), third.allows()), (false, false));
}

#[tokio::test]
async fn watching_policies_mark_the_record_and_nothing_else() {
    let server = Server::start();
    let policy = |name: &str, annotations: &str, spec: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: {name}, namespace: istio-system, annotations: {{{annotations}}}}}\n\
             spec: {spec}\n"
        )
    };
    let to = "rules: [{to: [{operation: {paths: [/a]}}]}]";
    let dry = "istio.io/dry-run: 'true'";
    let body = [
        policy("open", "", "{action: ALLOW, rules: [{}]}"),
        policy("audit", "", &format!("{{action: AUDIT, {to}}}")),
        policy("try-deny", dry, &format!("{{action: DENY, {to}}}")),
        policy("try-allow", dry, "{}"),
    ]
    .concat();
    http::put(&server.url("/v1/resources"), body.as_bytes()).expect(200);
    let checks = server.checks().await;
    // The third answer comes from the cache.
    for path in ["/a", "/b", "/a"] {
        assert!(checks.get(path).await.allows(), "{path}");
    }
    eventually("three records", || query(&server, "").len() == 3).await;
    let marked = serde_json::json!([true, {
        "deny": {"result": "denied", "matched": "ns[istio-system]-policy[try-deny]-rule[0]"},
        "allow": {"result": "denied"}}]);
    let unmarked = serde_json::json!([false,
        {"deny": {"result": "allowed"}, "allow": {"result": "denied"}}]);
    let records = query(&server, "");
    let seen = records
        .iter()
        .map(|record| serde_json::json!([record["audited"], record["dry_run"]]));
    assert_eq!(seen.collect::<Vec<_>>(), [marked.clone(), unmarked, marked]);

    let metrics = http::get(&server.url("/metrics")).body;
    for row in [
        "doorward_dry_run_total{action=\"deny\",policy=\"istio-system/try-deny\",result=\"denied\"} 2",
        "doorward_dry_run_total{action=\"deny\",policy=\"none\",result=\"allowed\"} 1",
        "doorward_dry_run_total{action=\"allow\",policy=\"none\",result=\"denied\"} 3",
        "doorward_policy_decisions_total{effect=\"allow\",policy=\"istio-system/open\"} 3",
    ] {
        assert!(metrics.lines().any(|line| line == row), "{row}\n{metrics}");
    }
}

#[tokio::test]
async fn no_secret_gets_out() {
    const CANARY: &str = "c4n4ry";
    let server = Server::with_config("decision_log: { mask: [x-inner] }");
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    let checks = server.checks().await;
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{CANARY}.{CANARY}");
    let path = format!("/x?access_token={CANARY}&code={CANARY}&other={token}&fine=shown");
    let headers = [
        ("authorization", format!("Bearer {CANARY}")),
        ("cookie", format!("session={CANARY}")),
        ("x-api-key", CANARY.to_owned()),
        ("x-my-secret", CANARY.to_owned()),
        ("x-inner", CANARY.to_owned()),
        ("x-some", token),
        (":path", path.clone()),
        ("x-fine", "shown".to_owned()),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    checks.check(&http_check("GET", &path, &headers)).await;
    eventually("the record", || query(&server, "").len() == 1).await;
    let record = query(&server, "")[0].to_string();
    assert!(!record.contains(CANARY), "{record}");
    assert_eq!(record.matches("shown").count(), 3, "{record}");
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(!metrics.contains(CANARY) && !server.said().contains(CANARY));
    for file in ["decisions.db", "decisions.db-wal"] {
        let bytes = std::fs::read(server.data.path().join(file)).unwrap_or_default();
        assert!(
            !bytes
                .windows(CANARY.len())
                .any(|window| window == CANARY.as_bytes()),
            "{file}"
        );
    }
}

/// Policies of the log's mask and drop, and are asked under the revision that decided.
#[tokio::test]
async fn policies_mask_and_drop_records() {
    let server = Server::start();
    let allow = ("p.rego", "package envoy.authz\n\ndefault allow := false\n");
    let log = "package system.log\n\n\
        mask contains \"/input/attributes/request/http/headers/x-pii\"\n\n\
        drop if input.input.parsed_path[0] == \"health\"\n";
    let with_masks = archive(&[allow, ("log.rego", log)]);
    let without = archive(&[allow]);
    let checks = server.checks().await;
    for (bundle, path) in [(&with_masks, "/masked"), (&without, "/shown")] {
        http::put(&server.url("/v1/bundles/b"), bundle).expect(200);
        for path in [path, "/health"] {
            let reply = checks
                .check(&http_check("GET", path, &[("x-pii", "c4n4ry")]))
                .await;
            assert!(!reply.allows());
        }
    }
    eventually("three records", || query(&server, "").len() == 3).await;
    assert_eq!(query(&server, "path=/health").len(), 1);
    let shown = &query(&server, "path=/shown")[0];
    let header = "/input/attributes/request/http/headers/x-pii";
    assert_eq!(shown.pointer(header).unwrap(), "c4n4ry");
    assert_eq!(shown["result"]["allowed"], false);
    let masked = &query(&server, "path=/masked")[0];
    assert!(!masked.to_string().contains("c4n4ry"), "{masked}");
    assert_eq!(masked["erased"], serde_json::json!([header]));
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let line = "doorward_decision_log_sampled_total{by=\"policy\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_telemetry_says_which_decisions_are_recorded() {
    let server = Server::start();
    let object = |expression: &str| {
        serde_json::json!({
            "apiVersion": "telemetry.istio.io/v1",
            "kind": "Telemetry",
            "metadata": { "name": "wide", "namespace": "istio-system" },
            "spec": { "accessLogging": [{ "filter": { "expression": expression } }] },
        })
    };
    let url = server.url("/v1/resources/Telemetry/istio-system/wide");
    let refused = http::put(&url, object("reqest.path == ''").to_string().as_bytes()).expect(400);
    assert!(
        refused.body.contains("`reqest` is no attribute"),
        "{}",
        refused.body
    );
    let open = "request.url_path.startsWith('/seen') && response.code == 403";
    http::put(&url, object(open).to_string().as_bytes()).expect(200);
    let checks = server.checks().await;
    for path in ["/seen/1?a=b", "/unseen/1", "/seen/2", "/unseen/2"] {
        assert!(!checks.get(path).await.allows());
    }
    eventually("two records", || query(&server, "").len() == 2).await;
    let row = "doorward_decision_log_sampled_total{by=\"telemetry\"} 2";
    eventually(row, || {
        http::get(&server.url("/metrics")).body.contains(row)
    })
    .await;
    let recorded = query(&server, "path=/seen/*");
    assert_eq!(recorded.len(), 2);
}
