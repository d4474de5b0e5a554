//! Taking objects away: what no case misses is not tested.

use super::*;

/// Names of what no case needs, of `POLICIES`.
fn unneeded(cases: &str) -> Vec<String> {
    let text = format!("workload: {{ namespace: shop, labels: {{}} }}\ncases:\n{cases}");
    let suite = load(&text, &[("p.yaml", POLICIES)]).unwrap();
    let unneeded = suite.unneeded(NOW_NS).unwrap();
    unneeded.into_iter().map(|id| id.name).collect()
}

#[test]
fn what_no_case_needs_is_told() {
    let put = "  - { name: put, request: { method: PUT }, expect: { effect: deny } }\n";
    let get = "  - { name: get, request: {}, expect: { effect: allow } }\n";
    let admin = "  - { name: admin, request: { path: /admin }, expect: { effect: deny } }\n";
    let watched = "  - { name: old, request: { path: /old }, expect: { effect: allow, audited: true, dry_run: { deny: { result: denied } } } }\n";
    let rows = [
        // Denied with the policy and, by default, without.
        (put.to_owned(), vec!["get", "no-admin", "seen", "try"]),
        (get.to_owned(), vec!["no-admin", "seen", "try"]),
        (format!("{get}{admin}"), vec!["seen", "try"]),
        (format!("{admin}{watched}"), vec![]),
    ];
    for (cases, expected) in rows {
        assert_eq!(unneeded(&cases), expected, "{cases}");
    }
}

/// A case that fails as it is says nothing of what it needs.
#[test]
fn cases_that_fail_need_nothing() {
    let wrong = "  - { name: get, request: {}, expect: { effect: deny } }\n";
    assert_eq!(unneeded(wrong), ["get", "no-admin", "seen", "try"]);
}
