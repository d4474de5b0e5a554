//! AuthZEN over the real server: one evaluation, many with defaults, failures, and where the calls are.

use serde_json::{Value, json};

use crate::support::{Options, Server, http};

const POLICY: &str = r#"package authzen

default allow := {"allow": false}

allow := {"allow": true, "context": {"by": input.subject.id}} if {
	input.subject.id == "alice"
	input.action.name == "read"
}

allow := {"allow": input.resource.properties.odd[_]} if input.resource.id == "odd"

seen := {"decision": true, "context": input}
"#;

fn server(entrypoint: &str) -> (Server, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("authzen.rego");
    std::fs::write(&path, POLICY).unwrap();
    let server = Server::with(Options {
        config: format!("authzen: {{ entrypoint: {entrypoint} }}"),
        arguments: vec![path.to_str().unwrap().to_owned()],
        ..Options::default()
    });
    (server, files)
}

fn question(subject: &str) -> Value {
    json!({
        "subject": {"type": "user", "id": subject},
        "action": {"name": "read"},
        "resource": {"type": "file", "id": "1"},
    })
}

#[track_caller]
fn ask(server: &Server, call: &str, body: &Value) -> (u16, Value) {
    let url = server.url(&format!("/access/v1/{call}"));
    let answer = http::send("POST", &url, &[], body.to_string().as_bytes());
    let json = answer.json();
    (answer.status, json)
}

fn odd() -> Value {
    let mut body = question("eve");
    body["resource"] = json!({"type": "file", "id": "odd", "properties": {"odd": [true, false]}});
    body
}

#[tokio::test]
async fn evaluations_of_one() {
    let (server, _files) = server("authzen/allow");
    let permitted = json!({"decision": true, "context": {"by": "alice"}});
    for call in ["evaluation", "evaluations"] {
        let ask = |body: &Value| ask(&server, call, body);
        assert_eq!(ask(&question("alice")), (200, permitted.clone()));
        assert_eq!(ask(&question("bob")), (200, json!({"decision": false})));
        let (status, error) = ask(&odd());
        assert_eq!((status, &error["code"]), (500, &json!("internal_error")));
        assert_eq!(error["errors"][0]["code"], "eval_conflict_error");
        for bad in [json!({}), json!([]), json!("text"), json!(null)] {
            let (status, error) = ask(&bad);
            assert_eq!((status, &error["code"]), (400, &json!("invalid_parameter")));
        }
        let url = server.url(&format!("/access/v1/{call}"));
        for bad in ["", "{", "{}{}", "\u{feff}{}"] {
            http::send("POST", &url, &[], bad.as_bytes()).expect(400);
        }
        http::send("GET", &url, &[], b"").expect(405);
    }
}

#[tokio::test]
async fn evaluations_of_many() {
    let (server, _files) = server("authzen/allow");
    let permit = json!({"decision": true, "context": {"by": "alice"}});
    let deny = json!({"decision": false});
    let failed = json!({"decision": false, "context": {"error": {
        "status": 500,
        "message": "error(s) occurred while evaluating query",
    }}});
    let odd = json!({"subject": odd()["subject"], "resource": odd()["resource"]});
    let user = |name: &str| json!({"subject": {"type": "user", "id": name}});
    let rows = [
        (
            "execute_all",
            vec![user("bob"), json!({}), odd.clone()],
            vec![&deny, &permit, &failed],
        ),
        (
            "deny_on_first_deny",
            vec![json!({}), user("bob"), json!({})],
            vec![&permit, &deny],
        ),
        (
            "deny_on_first_deny",
            vec![json!({}), odd.clone(), json!({})],
            vec![&permit, &failed],
        ),
        (
            "permit_on_first_permit",
            vec![user("bob"), odd, json!({}), user("bob")],
            vec![&deny, &failed, &permit],
        ),
    ];
    for (semantic, evaluations, expected) in rows {
        let mut body = question("alice");
        body["evaluations"] = evaluations.into();
        body["options"] = json!({"evaluations_semantic": semantic});
        let answer = ask(&server, "evaluations", &body);
        assert_eq!(
            answer,
            (200, json!({"evaluations": expected})),
            "{semantic}"
        );
    }
}

#[tokio::test]
async fn policies_see_what_was_asked_and_nothing_else() {
    let (server, _files) = server("authzen/seen");
    let mut body = question("alice");
    body["context"] = json!({"a": [1]});
    let expected = json!({"decision": true, "context": body});
    body["secret"] = json!(true);
    assert_eq!(ask(&server, "evaluation", &body), (200, expected));
}

#[tokio::test]
async fn a_rule_that_is_not_there_denies() {
    let (server, _files) = server("authzen/nothing");
    let answer = ask(&server, "evaluation", &question("alice"));
    assert_eq!(answer, (200, json!({"decision": false})));
}

#[tokio::test]
async fn the_metadata_names_the_calls() {
    let (server, _files) = server("authzen/allow");
    let url = server.url("/.well-known/authzen-configuration");
    let base = server.url("");
    assert_eq!(
        http::get(&url).expect(200).json(),
        json!({
            "policy_decision_point": base,
            "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
            "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
        })
    );
}

#[tokio::test]
async fn without_an_entrypoint_nothing_is_answered() {
    let server = Server::start();
    for call in ["evaluation", "evaluations"] {
        let (status, error) = ask(&server, call, &question("alice"));
        assert_eq!(
            (status, &error["code"]),
            (404, &json!("resource_not_found"))
        );
    }
    let url = server.url("/.well-known/authzen-configuration");
    http::get(&url).expect(404);
}
