//! Records with the whole input and result, what is masked in them, and which are not kept.

use super::*;
use crate::attributes::ProtocolVersion;
use crate::decision_log::pointer::Pointer;

pub(super) fn scope(pointers: &[&str]) -> Scope {
    let pointers = pointers.iter().map(|text| Pointer::parse(text).unwrap());
    Scope {
        pointers: pointers.collect(),
        ..Scope::default()
    }
}

/// A denied POST with a body of a type.
pub(super) fn posted(path: &str, headers: &[(&str, &str)], kind: &str, body: &str) -> Sample {
    let mut headers = headers.to_vec();
    headers.push(("content-type", kind));
    headers.sort_unstable();
    let mut request = http(path, &headers);
    request.body = body.to_owned();
    let mut record = record(request);
    record.attributes.given = true;
    record.attributes.version = ProtocolVersion::V3;
    record
}

/// What is shown of records that are stored with these settings, and the metrics of that.
pub(super) fn shown_with(settings: &LogSettings, records: &[Sample]) -> (Vec<Value>, String) {
    let store = in_memory();
    let queue = queue_with(settings);
    records.iter().for_each(|record| put(&queue, record));
    queue.end();
    Writer::new(&queue, settings.clone(), &store).run();
    assert_eq!(queue.abandon(), 0);
    let mut filter = Filter {
        limit: Some(1_000),
        ..Filter::default()
    };
    let mut shown = Vec::new();
    loop {
        let page = store.query(&filter).unwrap();
        shown.extend(page.decisions);
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            shown.reverse();
            return (shown, queue.metrics().encode());
        }
    }
}

pub(super) fn shown_in(scope: Scope, record: Sample) -> Value {
    let settings = LogSettings {
        scope,
        ..settings()
    };
    shown_with(&settings, &[record]).0.remove(0)
}

#[test]
fn a_denial_has_its_input_and_result() {
    let mut record = posted("/a/b?q=1", &[("x", "y")], "application/json", r#"{"n": 1}"#);
    record.attributes.source = Some(Peer {
        certificate: "CERTIFICATE".to_owned(),
        principal: "spiffe://td/a".to_owned(),
        ..Peer::default()
    });
    let shown = shown_in(Scope::default(), record);
    let expected = json!({
        "attributes": {
            "request": {"http": {
                "method": "GET", "host": "shop.example", "path": "/a/b?q=1", "body": "{\"n\": 1}",
                "headers": {"content-type": "application/json", "x": "y"},
            }},
            "source": {"principal": "spiffe://td/a"},
        },
        "version": {"ext_authz": "v3", "encoding": "protojson"},
        "parsed_path": ["a", "b"], "parsed_query": {"q": ["1"]}, "parsed_body": {"n": 1},
        "truncated_body": false, "source_principal": "spiffe://td/a",
    });
    assert_eq!(shown["input"], expected);
    assert_eq!(
        shown["result"],
        json!({"allowed": false, "http_status": 403})
    );
    assert_eq!(shown["request"]["path"], "/a/b?q=1");
    // What is left out is told.
    let left_out = "/input/attributes/source/certificate";
    assert_eq!(shown["erased"], json!([left_out]));
    for absent in ["masked", "mask_error", "input_omitted"] {
        assert_eq!(shown.get(absent), None, "{absent}");
    }
}

#[test]
fn how_much_is_kept_is_said_by_effect() {
    for (level, of_allow) in [(Level::Summary, false), (Level::Input, true)] {
        let scope = Scope {
            detail: Detail {
                allow: level,
                deny: Level::Summary,
            },
            ..Scope::default()
        };
        let denied = shown_in(scope.clone(), record(http("/", &[])));
        assert_eq!(denied.get("input"), None);
        let allowed = shown_in(scope, allowed(record(http("/", &[]))));
        assert_eq!(allowed.get("input").is_some(), of_allow);
    }
}

/// What is too large is stored without; its summary is there all the same.
#[test]
fn inputs_are_bounded() {
    let large = "b".repeat(200 << 10);
    for (path, body) in [("/a", large.as_str()), (large.as_str(), "")] {
        let record = posted(path, &[], "application/x-www-form-urlencoded", body);
        let settings = LogSettings {
            scope: Scope::default(),
            ..settings()
        };
        let (shown, metrics) = shown_with(&settings, &[record]);
        assert_eq!(shown[0].get("input"), None);
        assert_eq!(shown[0]["input_omitted"], "too_large");
        assert!(
            shown[0]["request"]["path"]
                .as_str()
                .unwrap()
                .starts_with('/')
                || body.is_empty()
        );
        let line = "doorward_decision_log_input_omitted_total{reason=\"too_large\"} 1";
        assert!(metrics.contains(line), "{metrics}");
    }
    // Where masks could not look, nothing is shown.
    let record = posted(&large, &[("x", "y")], "text/plain", "");
    let shown = shown_in(scope(&["/input/attributes/request/http/headers/x"]), record);
    assert_eq!(shown["mask_error"], "too_large");
    assert_eq!(shown["request"]["path"], "");
    // A body that is too large, or too deep, is no way to hide from them.
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for body in [large, deep] {
        let record = posted("/a", &[("x", "y")], "application/json", &body);
        let shown = shown_in(scope(&["/input/attributes/request/http/headers/x"]), record);
        assert_eq!(shown["request"]["path"], "/a");
        assert_eq!(shown["request"]["headers"]["x"], "**");
        assert_eq!(shown["input_omitted"], "too_large");
    }
}

/// However deep a body nests, its record is there and can be read.
#[test]
fn no_depth_makes_a_record_unreadable() {
    let nested = (1..=140).map(|depth| {
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        posted("/a", &[], "application/json", &body)
    });
    let nested: Vec<_> = nested.collect();
    let settings = LogSettings {
        scope: Scope::default(),
        ..settings()
    };
    let (shown, _) = shown_with(&settings, &nested);
    assert_eq!(shown.len(), nested.len());
    for (depth, record) in (1..).zip(&shown) {
        let is_there = record.get("input").is_some();
        assert_eq!(is_there, record.get("input_omitted").is_none(), "{depth}");
    }
}

/// Each row: pointers, what must be gone from the whole record, what must be there.
#[test]
fn pointers_mask_a_thing_wherever_it_stands() {
    let rows: [(&[&str], &[&str], &[&str]); 12] = [
        (
            &["/input/attributes/request/http/headers/x-one"],
            &["ONE"],
            &["TWO", "SEGMENT"],
        ),
        (
            &["/input/attributes/request/http/headers/X-One"],
            &["ONE"],
            &["TWO"],
        ),
        (
            &["/input/attributes/request/http/headers"],
            &["ONE", "TWO"],
            &["SEGMENT"],
        ),
        (
            &["/input/attributes/request/http/path"],
            &["SEGMENT", "PARAMETER"],
            &["ONE", "MEMBER"],
        ),
        (
            &["/input/attributes/request/http/headers/:path"],
            &["SEGMENT", "PARAMETER"],
            &["ONE"],
        ),
        (
            &["/input/parsed_path/1"],
            &["SEGMENT", "PARAMETER"],
            &["ONE"],
        ),
        (
            &["/input/parsed_query/q"],
            &["PARAMETER"],
            &["SEGMENT", "ONE"],
        ),
        (&["/input/parsed_body/a~1b"], &["MEMBER"], &["OTHER", "ONE"]),
        (
            &["/input/parsed_body/a%2Fb"],
            &["MEMBER"],
            &["OTHER", "ONE"],
        ),
        (
            &["/input/parsed_body/c d", "/input/parsed_body/a~1b"],
            &["MEMBER", "OTHER"],
            &["ONE"],
        ),
        (
            &["/input/parsed_body/c%20d"],
            &["OTHER"],
            &["MEMBER", "ONE"],
        ),
        (
            &["/input"],
            &[
                "ONE",
                "TWO",
                "SEGMENT",
                "PARAMETER",
                "MEMBER",
                "OTHER",
                "shop.example",
            ],
            &[],
        ),
    ];
    for (pointers, gone, there) in rows {
        let path = "/a/SEGMENT?q=PARAMETER";
        let headers = [(":path", path), ("x-one", "ONE"), ("x-two", "TWO")];
        let body = r#"{"a/b": "MEMBER", "c d": "OTHER"}"#;
        let record = posted(path, &headers, "application/json", body);
        let shown = shown_in(scope(pointers), record).to_string();
        for text in gone {
            assert!(!shown.contains(text), "{pointers:?} {text}: {shown}");
        }
        for text in there {
            assert!(shown.contains(text), "{pointers:?} {text}: {shown}");
        }
        assert!(shown.contains("erased"), "{shown}");
    }
}

#[test]
fn who_asks_can_be_masked() {
    let mut record = record(http("/", &[]));
    record.attributes.source = Some(Peer {
        principal: "spiffe://td/WHO".to_owned(),
        ..Peer::default()
    });
    let mut decision = Decision::clone(&record.decision);
    decision.peer_principal = Some("spiffe://td/WHO".to_owned());
    record.decision = Arc::new(decision);
    let shown = shown_in(scope(&["/input/attributes/source/principal"]), record);
    assert!(!shown.to_string().contains("WHO"), "{shown}");
}

#[test]
fn pointers_that_are_none_are_refused() {
    for text in ["", "input", "/", "/output/a", "/Input/a", "//input"] {
        assert!(Pointer::parse(text).is_err(), "{text}");
    }
    let config: Config = Config {
        mask: vec!["/output".to_owned(), "x-name".to_owned()],
        sample: vec![Sampling {
            effect: None,
            policy: None,
            ratio: f64::NAN,
        }],
        ..Config::default()
    };
    let keys: Vec<_> = config.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["decision_log.mask", "decision_log.sample"]);
}

fn under_policy(text: &str, path: &str) -> Sample {
    let headers = [("x-one", "ONE"), ("x y", "TWO")];
    let mut record = posted(path, &headers, "application/json", r#"{"badge": 87654}"#);
    record.policies = policies(&[text]);
    record
}

/// As OPA has it, but for members whose names have to be escaped, which it misses.
#[test]
fn policies_say_what_is_masked() {
    let policy = r#"package system.log
        mask contains "/input/attributes/request/http/headers/x-one"
        mask contains "/input/attributes/request/http/headers/x y"
        mask contains "/input/nope/x"
        mask contains {"op": "upsert", "path": "/input/parsed_body/badge", "value": "****"}
        mask contains {"op": "upsert", "path": "/input/new/deep", "value": 1}
        mask contains {"op": "remove", "path": "/result/http_status"} if input.result.allowed == false
    "#;
    let shown = shown_in(Scope::default(), under_policy(policy, "/a"));
    let text = shown.to_string();
    assert!(
        !text.contains("ONE") && !text.contains("TWO") && !text.contains("87654"),
        "{text}"
    );
    assert_eq!(shown["input"]["new"], json!({"deep": 1}));
    assert_eq!(shown["input"]["parsed_body"]["badge"], "****");
    assert_eq!(shown["result"], json!({"allowed": false}));
    let erased = json!([
        "/input/attributes/request/http/body",
        "/input/attributes/request/http/headers/x y",
        "/input/attributes/request/http/headers/x-one",
        "/result/http_status",
    ]);
    assert_eq!(shown["erased"], erased);
    assert_eq!(
        shown["masked"],
        json!(["/input/new/deep", "/input/parsed_body/badge"])
    );
    assert_eq!(shown["request"]["headers"]["x-one"], "**");
    assert_eq!(shown["request"]["path"], "/a");
}

/// Base data says it as well as a rule does.
#[test]
fn data_says_what_is_masked() {
    let data =
        json!({"system": {"log": {"mask": ["/input/attributes/request/http/headers/x-one"]}}});
    let settings = policy::config::settings(
        &MeshConfig::default(),
        &RegoConfig::default(),
        &[],
        Duration::from_secs(20),
    );
    let sources = PolicySources {
        data: policy::rego::Data::from_json(data),
        has_rego: true,
        ..PolicySources::default()
    };
    let mut record = posted("/a", &[("x-one", "ONE")], "text/plain", "");
    record.policies = Arc::new(PolicySet::compile(sources, &settings).unwrap());
    let shown = shown_in(Scope::default(), record).to_string();
    assert!(
        !shown.contains("ONE") && shown.contains("erased"),
        "{shown}"
    );
}

/// Rule: a mask that fails keeps the record, and nothing of the request in it.
#[test]
fn a_mask_that_fails_shows_nothing() {
    for policy in [
        "package system.log\nmask := 1 if true\nmask := 2 if true",
        "package system.log\nmask := \"/input/a\"",
        "package system.log\nmask := [\"/labels/id\"]",
        "package system.log\nmask := [{\"op\": \"move\", \"path\": \"/input/a\"}]",
        "package system.log\ndrop := true if true\ndrop := false if true",
    ] {
        let mut record = under_policy(policy, "/SEGMENT");
        let mut decision = Decision::clone(&record.decision);
        decision.peer_principal = Some("WHO".to_owned());
        record.decision = Arc::new(decision);
        let id = record.id.to_string();
        let settings = LogSettings {
            scope: Scope::default(),
            ..settings()
        };
        let (mut shown, metrics) = shown_with(&settings, &[record]);
        let shown = shown.remove(0);
        let text = shown.to_string();
        for gone in [
            "ONE",
            "TWO",
            "87654",
            "SEGMENT",
            "shop.example",
            "WHO",
            "input\"",
        ] {
            assert!(!text.contains(gone), "{policy} {gone}: {text}");
        }
        assert!(shown["mask_error"].is_string(), "{text}");
        assert_eq!(shown["decision_id"], id);
        assert_eq!(shown["request"]["method"], "GET");
        assert_eq!(shown["effect"], "deny");
        let line = "doorward_decision_log_mask_failures_total 1";
        assert!(metrics.contains(line), "{metrics}");
    }
}

/// Replies = stored + sampled out + dropped.
#[test]
fn what_is_not_wanted_is_counted() {
    let policy =
        "package system.log\ndrop if input.input.attributes.request.http.path == \"/health\"";
    let rule = |effect, policy: Option<&str>, ratio| Sampling {
        effect,
        policy: policy.map(str::to_owned),
        ratio,
    };
    let settings = LogSettings {
        scope: Scope::default(),
        sample: vec![
            rule(None, Some("a/kept"), 1.0),
            rule(Some(crate::decision::Effect::Allow), None, 0.5),
            rule(None, Some("a/none"), 0.0),
        ],
        ..settings()
    };
    let by = |name: &str, path: &str| {
        let mut record = under_policy(policy, path);
        let reason = Reason {
            policy: Some(name.to_owned()),
            ..Reason::new(ReasonKind::AuthorizationPolicy, "")
        };
        record.decision = Arc::new(Decision::deny(403, reason));
        record
    };
    let mut records = vec![by("a/none", "/a"), by("a/kept", "/b"), by("a/c", "/health")];
    let shared = policies(&[policy]);
    records.extend((0_u128..100).map(|index| {
        let mut record = allowed(record(http("/c", &[])));
        record.id = Uuid::from_u128(index * (u128::MAX / 100));
        record.policies = Arc::clone(&shared);
        record
    }));
    let (shown, metrics) = shown_with(&settings, &records);
    let kept = |path: &str| {
        let of = |shown: &&Value| shown["request"]["path"] == path;
        shown.iter().filter(of).count()
    };
    assert_eq!(
        [kept("/a"), kept("/b"), kept("/health"), kept("/c")],
        [0, 1, 0, 51]
    );
    for line in [
        "doorward_decision_log_sampled_total{by=\"sample\"} 50",
        "doorward_decision_log_sampled_total{by=\"policy\"} 1",
        "doorward_decision_log_written_total 52",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
