//! Of records as the log shows them: which can be replayed, and what is said of the others.

use serde_json::{Value, json};

use super::recorded::Recorded;
use super::report::Named;
use super::*;

fn record(more: &Value) -> Value {
    let mut record = json!({
        "time": "2026-11-22T10:00:00.5Z",
        "effect": "deny",
        "status": 403,
        "reason": {"kind": "rego"},
        "input": {
            "attributes": {"request": {"http": {"method": "GET", "path": "/"}}},
            "version": {"ext_authz": "v3"},
            "parsed_path": [""],
        },
    });
    let (members, more) = (record.as_object_mut().unwrap(), more.as_object().unwrap());
    for (name, value) in more {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    record
}

#[test]
fn records_are_read_or_it_is_told_why_not() {
    let masked = json!(["/input/attributes/request/http/headers/a"]);
    let rows = [
        (json!({}), None),
        (json!({"masked": masked}), None),
        (json!({"input": null}), Some("no_input")),
        (json!({"input": {}}), Some("no_input")),
        (json!({"input_omitted": "too_large"}), Some("too_large")),
        (json!({"input_omitted": "busy"}), Some("busy")),
        (
            json!({"mask_error": "bundle_missing"}),
            Some("bundle_missing"),
        ),
        (json!({"mask_error": "panic"}), Some("mask_error")),
        (json!({"mask_error": "unreadable"}), Some("mask_error")),
        (json!({"time": "soon"}), Some("unreadable")),
        (json!({"time": null}), Some("unreadable")),
        (json!({"input": {"attributes": 1}}), Some("unreadable")),
        (
            json!({"input": {"attributes": {}, "version": {"ext_authz": "v2"}}}),
            Some("unreadable"),
        ),
        (json!({"reason": {"kind": "invalid_request"}}), None),
        (
            json!({"reason": {"kind": "invalid_request"}, "masked": masked}),
            Some("masked"),
        ),
        (
            json!({"reason": {"kind": "invalid_request"}, "erased": 1}),
            Some("masked"),
        ),
    ];
    for (more, expected) in rows {
        let record = record(&more);
        let read = Recorded::of(&record);
        let why = read.as_ref().err().map(Named::name);
        assert_eq!(why, expected, "{more}");
        if let Ok(read) = read {
            let request = read.request();
            assert_eq!(request.time_ns, 1_795_341_600_500_000_000);
            assert!(request.was_read);
            assert_eq!(request.attributes.http().unwrap().path, "/");
        }
    }
}

#[test]
fn settings_that_cannot_be_meant_are_told() {
    let config = |cpu_share, seconds| Config {
        cpu_share,
        max_time: Span::from_secs(seconds),
    };
    let rows = [
        (Config::default(), 0),
        (config(1.0, 90), 0),
        (config(0.01, 1), 0),
        (config(0.0, 60), 1),
        (config(1.1, 60), 1),
        (config(-1.0, 0), 2),
        (config(f64::NAN, 91), 2),
    ];
    for (config, expected) in rows {
        assert_eq!(config.problems().len(), expected, "{config:?}");
    }
}

/// Work is followed by as much rest as the share leaves, and ends with the time.
#[test]
fn a_replay_ends_when_nobody_waits_or_its_time_is_over() {
    let left = Arc::new(AtomicBool::new(false));
    let hour = Instant::now() + Duration::from_secs(3_600);
    let mut pace = Pace::new(1.0, hour, Arc::clone(&left));
    assert!(pace.goes_on());
    drop(Leaving(left));
    assert!(!pace.goes_on());
    let mut pace = Pace::new(1.0, Instant::now(), Arc::default());
    assert!(!pace.goes_on());
}
