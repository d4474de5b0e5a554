use serde_json::json;

use super::*;

#[test]
fn a_report_is_shown_line_by_line() {
    let side = |effect: &str, status: u16| json!({"effect": effect, "status": status, "reason": "rego", "policy": "envoy/authz/allow"});
    let report = json!({
        "revision": 7, "examined": 4, "same": 1,
        "changed": {"total": 2, "changed_to_deny": 2},
        "undetermined": {"total": 1, "masked": 1},
        "drifted": 0, "ungrouped": 3,
        "groups": [{
            "result": "changed_to_deny", "count": 2, "workload": "shop/cart",
            "now": side("allow", 200),
            "candidate": {"effect": "deny", "status": 403, "reason": "authorization_policy",
                "policy": "shop/deny", "rule": 0},
            "examples": [{"decision_id": "i", "time": "t", "method": "GET", "host": "h",
                "path": "/\u{1b}[31m", "peer_principal": "p"}, {"decision_id": "j"}],
        }],
    });
    let expected = [
        "4 decisions, held against revision 7: 1 same, 2 changed (changed_to_deny 2), 1 undetermined (masked 1), 0 drifted",
        "2 changed_to_deny  shop/cart: allow 200 rego envoy/authz/allow  →  deny 403 authorization_policy shop/deny[0]",
        "    t GET h/\\u{1b}[31m  p  i",
        "    - - --  -  j",
        "3 more changes, in other groups",
    ];
    assert_eq!(table(&report), expected);
    // Nothing in it is no reason to fail.
    assert_eq!(table(&json!({})).len(), 1);
}

#[test]
fn what_was_found_out_is_the_exit_code() {
    let report = |more: Value| {
        let mut report = json!({"examined": 3, "same": 3, "changed": {"total": 0}});
        let members = more.as_object().unwrap().clone();
        report.as_object_mut().unwrap().extend(members);
        report
    };
    let rows = [
        (json!({}), Outcome::Done),
        (json!({"examined": 0, "same": 0}), Outcome::Done),
        (json!({"changed": {"total": 1}}), Outcome::No),
        (json!({"same": 0}), Outcome::CouldNotRun),
        (json!({"stopped": "limit"}), Outcome::Done),
        (json!({"stopped": "time"}), Outcome::CouldNotRun),
        (json!({"missing": ["removed"]}), Outcome::CouldNotRun),
        (
            json!({"stopped": "time", "changed": {"total": 1}}),
            Outcome::No,
        ),
    ];
    for (more, expected) in rows {
        assert_eq!(
            show(Output::Json, &report(more.clone())),
            expected,
            "{more}"
        );
    }
}
