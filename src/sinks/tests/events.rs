//! What a record looks like to others.

use super::*;

fn form(format: Format) -> Form {
    let labels = [("id", "i-1"), ("version", "0")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Form {
        format,
        labels: Arc::new(BTreeMap::from(labels)),
    }
}

#[test]
fn an_event_is_as_opa_has_it() {
    let text = form(Format::Opa).text(&record(5));
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        event,
        json!({
            "labels": {"id": "i-1", "version": "0"},
            "decision_id": "00000000-0000-0000-0000-000000000005",
            "timestamp": "2026-11-22T18:00:00.000000001Z",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "path": "envoy/authz/allow",
            "requested_by": "10.0.0.1:1234",
            "result": false,
            "input": {"attributes": {
                "request": {"http": {
                    "method": "GET", "host": "shop.example", "path": "/5", "scheme": "https",
                    "protocol": "HTTP/2", "headers": {"x-a": "1"},
                }},
                "source": {
                    "address": {"socketAddress": {"address": "10.0.0.1", "portValue": 1234}},
                    "principal": "spiffe://cluster.local/ns/foo/sa/a",
                },
                "destination": {
                    "address": {"socketAddress": {"address": "10.0.0.2", "portValue": 80}},
                },
            }},
            "custom": {"doorward": {
                "sequence": 5, "effect": "deny", "status": 403, "revision": 7, "cached": false,
                "reason": {"kind": "rego", "entrypoint": "envoy/authz/allow", "message": "denied"},
                "peer_principal": "spiffe://cluster.local/ns/foo/sa/a",
                "source": "10.0.0.1:1234", "destination": "10.0.0.2:80",
            }},
        })
    );
}

/// Rule: what a record has of its own is taken over as it is.
#[test]
fn input_result_and_what_was_masked_are_taken_over() {
    let more = json!({
        "input": {"a": 1}, "result": {"allowed": true}, "erased": ["/input/b"],
        "masked": ["/input/a"], "bundles": {"b": {"revision": "r"}}, "metrics": {"t": 1},
    });
    let record = record_of(1, &more);
    let event: Value = serde_json::from_str(&form(Format::Opa).text(&record)).unwrap();
    for (name, value) in more.as_object().unwrap() {
        assert_eq!(event[name], *value, "{name}");
        assert!(event["custom"]["doorward"].get(name).is_none(), "{name}");
    }
    let timed = record_of(1, &json!({"durations": {"total_ns": 5, "rego_ns": 3}}));
    let event: Value = serde_json::from_str(&form(Format::Opa).text(&timed)).unwrap();
    let timers = json!({"timer_server_handler_ns": 5, "timer_rego_query_eval_ns": 3});
    assert_eq!(event["metrics"], timers);
    let short: Value =
        serde_json::from_str(&form(Format::Opa).short_text(&record).unwrap()).unwrap();
    assert_eq!(short["erased"], json!(["/input", "/result", "/input/b"]));
    assert_eq!(short["decision_id"], event["decision_id"]);
    assert!(short["custom"]["doorward"].get("request").is_none());
}

/// One record is one line, and parses back equal.
#[test]
fn nothing_in_a_record_ends_its_line() {
    let hostile = "a\r\nb\u{0}\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}é\u{1f600}\"\\";
    let record = record_of(1, &json!({"more": hostile, hostile: 1}));
    for format in [Format::Opa, Format::Doorward] {
        let text = form(format).line(&record);
        let steers = |character: char| {
            character.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}".contains(character)
        };
        assert!(!text.contains(steers), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let members = match format {
            Format::Opa => &value["custom"]["doorward"],
            Format::Doorward => &value,
        };
        assert_eq!(members["more"], hostile);
        assert_eq!(members[hostile], 1);
    }
    let line = form(Format::Opa).line(&record);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["type"], "openpolicyagent.org/decision_logs");
    assert_eq!(value["msg"], "Decision Log");
    assert_eq!(value["time"], value["timestamp"]);
}
