//! What questions find of records as the log's thread stores them: by workload, reason, status,
//! method, and whether they came from the cache.

use super::*;
use crate::policy::native::{ServiceKind, ServiceName};

fn of_workload(path: &str, workload: Workload) -> Sample {
    let mut record = record(http(path, &[]));
    record.workload = Arc::new(workload);
    record
}

fn workload(namespace: &str, labels: &[(&str, &str)]) -> Workload {
    Workload {
        namespace: Some(namespace.to_owned()),
        labels: Some(pairs(labels)),
        ..Workload::default()
    }
}

fn denied(path: &str, status: u16, kind: ReasonKind, message: &str) -> Sample {
    let mut reason = Reason::new(kind, message);
    reason.detail = Some("Ask \"PLATFORM\"".to_owned());
    let mut record = record(http(path, &[]));
    record.decision = Arc::new(Decision::deny(status, reason));
    record
}

fn by(method: &str, path: &str) -> Sample {
    let mut request = http(path, &[]);
    request.method = method.to_owned();
    record(request)
}

fn records() -> Vec<Sample> {
    let canonical = workload(
        "shop",
        &[
            ("app", "cart-v2"),
            ("service.istio.io/canonical-name", "cart"),
        ],
    );
    let account = Workload {
        namespace: Some("shop".to_owned()),
        service_account: Some("till".to_owned()),
        ..Workload::default()
    };
    let service = Workload {
        namespace: Some("edge".to_owned()),
        gateway: Some("waypoint".to_owned()),
        service: Some(ServiceName {
            kind: ServiceKind::Service,
            namespace: "shop".to_owned(),
            name: "cart".to_owned(),
        }),
        ..Workload::default()
    };
    let mut allowed = allowed(record(http("/allowed", &[])));
    allowed.cached = true;
    let mut connection = record(HttpRequest::default());
    connection.attributes.request = None;
    vec![
        of_workload("/canonical", canonical),
        of_workload("/account", account),
        of_workload("/service", service),
        of_workload("/other", workload("other", &[("app", "cart")])),
        denied(
            "/401",
            401,
            ReasonKind::RequestAuthentication,
            "Jwt is expired",
        ),
        denied(
            "/503",
            503,
            ReasonKind::InternalError,
            "no \u{1F511} at all",
        ),
        by("DELETE", "/delete"),
        by("get", "/small"),
        allowed,
        connection,
    ]
}

/// Paths of what is found, in the order of their records.
fn found(store: &LogStore, question: &Value) -> Vec<String> {
    let filter: Filter = serde_json::from_value(question.clone()).unwrap();
    let page = store.query(&filter).unwrap();
    let path = |shown: &Value| shown["request"]["path"].as_str().unwrap_or("-").to_owned();
    page.decisions.iter().rev().map(path).collect()
}

fn rows() -> Vec<(Value, Vec<&'static str>)> {
    vec![
        (
            json!({"workload": "shop/cart"}),
            vec!["/canonical", "/service"],
        ),
        (json!({"workload": "shop/cart-v2"}), vec!["/canonical"]),
        (json!({"workload": "shop/till"}), vec!["/account"]),
        (
            json!({"workload": "shop/*"}),
            vec!["/canonical", "/account"],
        ),
        (json!({"workload": "edge/waypoint"}), vec!["/service"]),
        (json!({"workload": "edge/cart"}), vec![]),
        (
            json!({"workload": "cart"}),
            vec!["/canonical", "/service", "/other"],
        ),
        (json!({"workload": "shop"}), vec![]),
        (json!({"workload": "SHOP/cart"}), vec![]),
        (json!({"status": 401}), vec!["/401"]),
        (json!({"status": 200}), vec!["/allowed"]),
        (json!({"status": 599}), vec![]),
        (
            json!({"reason_kind": "request_authentication"}),
            vec!["/401"],
        ),
        (json!({"reason_kind": "overloaded"}), vec![]),
        (json!({"reason": "EXPIRED"}), vec!["/401"]),
        (json!({"reason": "jwt is"}), vec!["/401"]),
        (json!({"reason": "internal_err"}), vec!["/503"]),
        (json!({"reason": "ask \"platform"}), vec!["/401", "/503"]),
        (json!({"reason": "\u{1F511}"}), vec!["/503"]),
        (json!({"reason": "nowhere"}), vec![]),
        (json!({"method": "DELETE"}), vec!["/delete"]),
        (json!({"method": "get"}), vec!["/small"]),
        (json!({"method": ""}), vec![]),
        (json!({"cached": true}), vec!["/allowed"]),
        (
            json!({"cached": false, "method": "DELETE"}),
            vec!["/delete"],
        ),
        (
            json!({"status": 403, "workload": "shop/*", "method": "GET", "limit": 1}),
            vec!["/account"],
        ),
        (
            json!({"status": 403, "workload": "shop/*", "method": "PUT"}),
            vec![],
        ),
    ]
}

#[test]
fn each_record_is_found_by_what_it_says() {
    let store = in_memory();
    store_records(&store, &records());
    for (question, expected) in rows() {
        assert_eq!(found(&store, &question), expected, "{question}");
    }
    // Each in a block of its own, and then in one again.
    let store = in_memory();
    for record in records() {
        store_records(&store, &[record]);
    }
    for _ in 0..2 {
        for (question, expected) in rows() {
            assert_eq!(found(&store, &question), expected, "{question}");
        }
        store.merge().unwrap();
    }
}

/// Blocks of version 3 do not note what they could be passed over by.
#[test]
fn blocks_of_the_version_before_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    store_records(&store, &records());
    // As if nothing was noted: nothing is found.
    let before = "ALTER TABLE numbers DROP COLUMN newer_from;
        ALTER TABLE numbers DROP COLUMN removed_until_ns; PRAGMA user_version = 3";
    store.connection().execute_batch(before).unwrap();
    drop(store);
    for _ in 0..2 {
        let store = LogStore::open(&path).unwrap();
        assert_eq!(store.next_seq().unwrap(), 11);
        let newer_from = "SELECT newer_from FROM numbers";
        let connection = store.connection();
        let newer_from: i64 = connection
            .query_row(newer_from, [], |row| row.get(0))
            .unwrap();
        drop(connection);
        assert_eq!(newer_from, 11);
        for (question, expected) in rows() {
            assert_eq!(found(&store, &question), expected, "{question}");
        }
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let workload = "is none of `NAMESPACE/NAME`, `NAMESPACE/*` and `NAME`";
    let status = "must be from 100 to 599";
    let reason = "must have from 1 to 256 bytes";
    let rows = [
        (json!({"workload": ""}), format!("`workload`: {workload}")),
        (json!({"workload": "/"}), format!("`workload`: {workload}")),
        (json!({"workload": "/x"}), format!("`workload`: {workload}")),
        (json!({"workload": "x/"}), format!("`workload`: {workload}")),
        (json!({"workload": "/*"}), format!("`workload`: {workload}")),
        (json!({"status": 99}), format!("`status`: {status}")),
        (json!({"status": 600}), format!("`status`: {status}")),
        (json!({"reason": ""}), format!("`reason`: {reason}")),
        (
            json!({"reason": "x".repeat(257)}),
            format!("`reason`: {reason}"),
        ),
    ];
    let store = in_memory();
    for (parameters, expected) in rows {
        let filter: Filter = serde_json::from_value(parameters.clone()).unwrap();
        let error = store.query(&filter).unwrap_err();
        assert_eq!(error.to_string(), expected, "{parameters}");
    }
    for unknown in [
        json!({"reason_kind": "sorcery"}),
        json!({"status": -1}),
        json!({"status": 70_000}),
        json!({"cached": "maybe"}),
    ] {
        assert!(
            serde_json::from_value::<Filter>(unknown.clone()).is_err(),
            "{unknown}"
        );
    }
}
