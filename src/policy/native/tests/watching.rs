//! What AUDIT and dry-run policies see, and that they decide nothing.

use super::*;
use crate::policy::reads::Field as ReadField;

/// A policy for a path, or for nothing without one.
fn policy(name: &str, action: &str, dry_run: bool, path: Option<&str>) -> Value {
    let rules: Vec<_> = path
        .map(|path| json!({"to": [{"operation": {"paths": [path]}}]}))
        .into_iter()
        .collect();
    let spec = json!({"action": action, "rules": rules});
    let mut policy = object("AuthorizationPolicy", "shop", name, &spec);
    policy["metadata"]["annotations"] = json!({"istio.io/dry-run": dry_run.to_string()});
    policy
}

const PASSED: Passed = Passed {
    deny: true,
    allow: true,
};

/// What is seen of a GET of the path, as the record and the metadata show it.
fn check(policies: &[Value], path: &str, passed: Passed, expected: &Value) {
    let native = compile_in(&mesh(), policies);
    let attached = native.attached(&Arc::new(workload("shop", &[]))).unwrap();
    let asked = Asked::get(path);
    let facts = asked.facts();
    let actual = serde_json::to_value(attached.observers.observe(&facts, passed)).unwrap();
    assert_eq!(actual, *expected, "{path} under {policies:?}");
    assert!(attached.denied_by(&facts).is_none() && attached.allowed_by(&facts).is_none());
    assert!(!attached.allow.has_policy(), "{policies:?}");
}

#[test]
fn what_is_seen() {
    let audit = policy("audit", "AUDIT", false, Some("/a"));
    let silent = policy("silent", "AUDIT", false, None);
    let deny = policy("deny", "DENY", true, Some("/d"));
    let deny_too = policy("deny-too", "DENY", true, Some("/d*"));
    let allow = policy("allow", "ALLOW", true, Some("/ok"));
    let nothing = policy("nothing", "ALLOW", true, None);
    let rows = [
        (vec![], "/a", json!({})),
        (vec![&audit], "/a", json!({"audited": true})),
        (vec![&audit], "/", json!({"audited": false})),
        (vec![&silent], "/a", json!({"audited": false})),
        (
            vec![&deny],
            "/d",
            json!({"dry_run": {"deny":
                {"result": "denied", "matched": "ns[shop]-policy[deny]-rule[0]"}}}),
        ),
        (
            vec![&deny],
            "/",
            json!({"dry_run": {"deny": {"result": "allowed"}}}),
        ),
        // The first in byte order of the ids, in which `-` is before `]`.
        (
            vec![&deny, &deny_too],
            "/d",
            json!({"dry_run": {"deny":
                {"result": "denied", "matched": "ns[shop]-policy[deny-too]-rule[0]"}}}),
        ),
        (
            vec![&allow],
            "/ok",
            json!({"dry_run": {"allow":
                {"result": "allowed", "matched": "ns[shop]-policy[allow]-rule[0]"}}}),
        ),
        (
            vec![&allow],
            "/",
            json!({"dry_run": {"allow": {"result": "denied"}}}),
        ),
        (
            vec![&nothing],
            "/ok",
            json!({"dry_run": {"allow": {"result": "denied"}}}),
        ),
        (
            vec![&audit, &deny, &nothing],
            "/",
            json!({"audited": false,
                "dry_run": {"deny": {"result": "allowed"}, "allow": {"result": "denied"}}}),
        ),
    ];
    for (policies, path, expected) in rows {
        let policies: Vec<_> = policies.into_iter().cloned().collect();
        check(&policies, path, PASSED, &expected);
    }
}

#[test]
fn a_dry_run_is_told_only_where_the_enforced_policies_let_pass() {
    let policies = [
        policy("audit", "AUDIT", false, Some("/")),
        policy("deny", "DENY", true, Some("/d")),
        policy("nothing", "ALLOW", true, None),
    ];
    let deny = json!({"deny": {"result": "allowed"}});
    let both = json!({"deny": {"result": "allowed"}, "allow": {"result": "denied"}});
    let rows = [
        (true, true, json!({"audited": true, "dry_run": both})),
        (true, false, json!({"audited": true, "dry_run": deny})),
        (false, false, json!({"audited": true})),
    ];
    for (deny, allow, expected) in rows {
        check(&policies, "/", Passed { deny, allow }, &expected);
    }
}

/// The cache must keep apart what watching policies tell apart.
#[test]
fn what_is_watched_is_read() {
    for (action, dry_run) in [("AUDIT", false), ("DENY", true), ("ALLOW", true)] {
        let native = compile_in(&mesh(), &[policy("p", action, dry_run, Some("/a"))]);
        let attached = native.attached(&Arc::new(workload("shop", &[]))).unwrap();
        let mut expected = Reads::default();
        expected.field(ReadField::Protocol);
        expected.field(ReadField::Path);
        assert_eq!(attached.reads, expected, "{action}");
    }
}
