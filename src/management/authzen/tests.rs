use std::time::{Duration, Instant};

use axum::body::to_bytes;
use serde_json::{Value, json};

use super::outcome::Outcome;
use super::request::{Asked, Evaluation, Semantic};
use super::*;
use crate::policy::rego::Data;

fn data(value: Value) -> Data {
    Data::from_json(value)
}

fn whole() -> Value {
    json!({
        "subject": {"type": "user", "id": "alice", "properties": {"team": "a"}},
        "action": {"name": "read"},
        "resource": {"type": "file", "id": "1"},
        "context": {"hour": 7},
    })
}

/// The body, with a member in place of its own, or without it.
fn with(name: &str, value: Option<Value>) -> Value {
    let mut body = whole();
    let members = body.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    body
}

#[test]
fn policies_see_four_members_and_nothing_else() {
    let more = with("options", Some(json!({"secret": 1})));
    let seen = Evaluation::parse(&data(more)).unwrap().into_input();
    assert_eq!(seen, data(whole()));
    let seen = Evaluation::parse(&data(with("context", None))).unwrap();
    assert_eq!(seen.into_input(), data(with("context", None)));
}

#[test]
fn bad_bodies_are_refused() {
    let rows = [
        (json!([]), "the body must be an object"),
        (json!("text"), "the body must be an object"),
        (json!({}), "subject: it is missing"),
        (with("subject", None), "subject: it is missing"),
        (with("action", None), "action: it is missing"),
        (with("resource", None), "resource: it is missing"),
        (
            with("subject", Some(json!("alice"))),
            "subject: it must be an object",
        ),
        (
            with("subject", Some(json!(null))),
            "subject: it must be an object",
        ),
        (
            with("subject", Some(json!({"type": "user"}))),
            "subject.id: it must be a string",
        ),
        (
            with("subject", Some(json!({"type": "user", "id": 7}))),
            "subject.id: it must be a string",
        ),
        (
            with("action", Some(json!({}))),
            "action.name: it must be a string",
        ),
        (
            with("resource", Some(json!({"id": "1"}))),
            "resource.type: it must be a string",
        ),
        (
            with(
                "resource",
                Some(json!({"type": "t", "id": "1", "properties": []})),
            ),
            "resource.properties: it must be an object",
        ),
        (
            with("context", Some(json!([]))),
            "context: it must be an object",
        ),
    ];
    for (body, expected) in rows {
        let error = Evaluation::parse(&data(body)).unwrap_err();
        assert_eq!(error.message(), expected);
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn members_of_its_own_go_before_defaults_whole() {
    let own = json!({"subject": {"type": "service", "id": "b"}, "evaluations": 1});
    let asked = with("evaluations", Some(json!([{}, own])));
    let Asked::Many(evaluations, Semantic::All) = Asked::parse(&data(asked)).unwrap() else {
        panic!("it is a list");
    };
    let inputs: Vec<_> = evaluations
        .into_iter()
        .map(Evaluation::into_input)
        .collect();
    let second = with("subject", Some(json!({"type": "service", "id": "b"})));
    assert_eq!(inputs, [data(whole()), data(second)]);
}

#[test]
fn lists_and_their_options() {
    let refused = |body: Value| {
        let error = Asked::parse(&data(body)).unwrap_err();
        error.message().to_owned()
    };
    let semantic = |options: Value| {
        let mut body = with("evaluations", Some(json!([{}])));
        body["options"] = options;
        body
    };
    let no_subject = |list: Value| {
        let mut body = with("subject", None);
        body["evaluations"] = list;
        body
    };
    let choice = "options.evaluations_semantic: it must be execute_all, deny_on_first_deny or \
                  permit_on_first_permit";
    let rows = [
        (
            with("evaluations", Some(json!({}))),
            "evaluations: it must be an array",
        ),
        (
            with("evaluations", Some(json!(["a"]))),
            "evaluations[0]: it must be an object",
        ),
        (
            no_subject(json!([{"subject": {"type": "a", "id": "b"}}, {}])),
            "evaluations[1].subject: it is missing",
        ),
        (no_subject(json!([])), "subject: it is missing"),
        (semantic(json!([])), "options: it must be an object"),
        (semantic(json!({"evaluations_semantic": "some"})), choice),
        (semantic(json!({"evaluations_semantic": 1})), choice),
        (
            with("evaluations", Some(vec![json!({}); 1001].into())),
            "evaluations: there are more than 1000",
        ),
    ];
    for (body, expected) in rows {
        assert_eq!(refused(body), expected);
    }
    let most = with("evaluations", Some(vec![json!({}); 1000].into()));
    assert!(matches!(
        Asked::parse(&data(most)),
        Ok(Asked::Many(list, Semantic::All)) if list.len() == 1000
    ));
    let empty = with("evaluations", Some(json!([])));
    let one = Evaluation::parse(&data(whole())).unwrap();
    assert_eq!(Asked::parse(&data(empty)).unwrap(), Asked::One(one));
    for (name, expected) in [
        ("execute_all", Semantic::All),
        ("deny_on_first_deny", Semantic::ToFirstDeny),
        ("permit_on_first_permit", Semantic::ToFirstPermit),
    ] {
        let options = json!({"evaluations_semantic": name, "other": true});
        let asked = Asked::parse(&data(semantic(options))).unwrap();
        assert!(matches!(asked, Asked::Many(_, semantic) if semantic == expected));
    }
}

#[test]
fn what_a_result_means() {
    let rows = [
        (json!(true), Ok(r#"{"decision":true}"#)),
        (json!(false), Ok(r#"{"decision":false}"#)),
        (
            json!({"decision": true, "other": 1}),
            Ok(r#"{"decision":true}"#),
        ),
        (json!({"allow": true}), Ok(r#"{"decision":true}"#)),
        (
            json!({"allowed": false, "context": {"why": "<b>"}}),
            Ok(r#"{"decision":false,"context":{"why":"\u003cb\u003e"}}"#),
        ),
        // What cannot be told is never taken for a permit.
        (
            json!({"allow": true, "allowed": false}),
            Err("it has not one of"),
        ),
        (
            json!({"allow": true, "decision": true}),
            Err("it has not one of"),
        ),
        (json!({}), Err("it has not one of")),
        (json!(null), Err("it has not one of")),
        (json!("true"), Err("it has not one of")),
        (json!(1), Err("it has not one of")),
        (json!([true]), Err("it has not one of")),
        (json!({"allow": "true"}), Err("neither true nor false")),
        (json!({"allow": 1}), Err("neither true nor false")),
        (json!({"allow": true, "context": "why"}), Err("no object")),
    ];
    let running = Running::until(Instant::now());
    for (value, expected) in rows {
        let shown = value.to_string();
        match (Outcome::of(Some(data(value))), expected) {
            (Ok(outcome), Ok(text)) => assert_eq!(outcome.text(&running).unwrap(), text),
            (Err(error), Err(part)) => {
                assert!(error.message().contains(part), "{}", error.message());
                assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
            }
            (other, _) => panic!("{shown}: {other:?}"),
        }
    }
    assert!(!Outcome::of(None).unwrap().decision());
}

#[test]
fn what_cannot_be_meant_is_told() {
    let problems = |entrypoint: Option<&str>, url: Option<&str>| {
        let config = Config {
            entrypoint: entrypoint.map(str::to_owned),
            url: url.map(str::to_owned),
        };
        let problems = config.problems().into_iter();
        problems.map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(
        problems(Some("authzen/allow"), Some("https://pdp/base/")),
        [""; 0]
    );
    for path in ["", "/a", "a/", "a//b"] {
        assert_eq!(problems(Some(path), None), ["authzen.entrypoint"], "{path}");
    }
    for url in [
        "ftp://a",
        "https://a/?b",
        "https://a/#b",
        "https://u@a/",
        "https://u:p@a/",
        "mailto:a",
        "a",
    ] {
        assert_eq!(problems(None, Some(url)), ["authzen.url"], "{url}");
    }
}

#[test]
fn where_the_calls_are() {
    let rows = [
        (None, false, "pdp.test:8181", Some("http://pdp.test:8181")),
        (None, true, "pdp.test", Some("https://pdp.test")),
        (Some("https://a/b/"), false, "pdp.test", Some("https://a/b")),
        (None, true, "user@pdp.test", None),
        (None, true, "a b", None),
        (None, true, "", None),
    ];
    for (url, is_encrypted, host, expected) in rows {
        let config = Config {
            entrypoint: None,
            url: url.map(str::to_owned),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        let base = Settings::new(&config, is_encrypted).base(&headers);
        assert_eq!(base.ok().as_deref(), expected, "{host}");
    }
}

#[tokio::test]
async fn what_is_not_asked_in_time_is_denied_and_says_so() {
    let rego = RegoPolicies::of_data(Data::default());
    let evaluations = || {
        let one = || Evaluation::parse(&data(whole())).unwrap();
        vec![one(), one()]
    };
    let ask = async |running: &Running, semantic| {
        let rule = Rule {
            path: vec!["authzen".to_owned()],
            lacks_bundle: false,
        };
        let answer = many(running, &rego, &rule, evaluations(), semantic).unwrap();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["evaluations"].clone()
    };
    let denied = json!({"decision": false});
    let in_time = Running::until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(ask(&in_time, Semantic::All).await, json!([denied, denied]));
    let late = Running::until(Instant::now());
    let message = "the call took longer than 10s: this was not asked";
    let unasked = json!({
        "decision": false,
        "context": {"error": {"status": 503, "message": message}},
    });
    assert_eq!(ask(&late, Semantic::All).await, json!([unasked, unasked]));
    assert_eq!(ask(&late, Semantic::ToFirstDeny).await, json!([unasked]));
}
