//! Which records a question finds.

use super::*;
use crate::decision::Effect;
use crate::decision_log::record::Entry;

fn entry(seq: i64) -> Entry {
    Entry {
        id: Uuid::from_u128(seq.unsigned_abs().into()),
        time_ns: NOW_NS + seq * 1_000_000_000,
        revision: 1,
        effect: Effect::Deny,
        principal: None,
        request_principal: None,
        host: None,
        path: None,
        policy: None,
        trace_id: None,
        shown: json!({ "n": seq }).to_string(),
    }
}

fn store(entries: &[Entry]) -> LogStore {
    let mut store = LogStore::open(Path::new(":memory:")).unwrap();
    store.append(entries).unwrap();
    store
}

/// Numbers of the records found, newest first.
fn found(store: &LogStore, filter: &Filter) -> Vec<i64> {
    let page = store.query(filter).unwrap();
    page.decisions
        .iter()
        .map(|shown| shown["n"].as_i64().unwrap())
        .collect()
}

fn filter(parameters: Value) -> Filter {
    serde_json::from_value(parameters).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn each_parameter_finds_its_records() {
    let hostile = "x' OR 1=1; DROP TABLE decisions; -- \" % _ ? \u{1F511}";
    let with_nul = "a\0b";
    let store = store(&[
        entry(0),
        Entry {
            effect: Effect::Allow,
            ..entry(1)
        },
        Entry {
            principal: some("spiffe://td/a"),
            ..entry(2)
        },
        Entry {
            request_principal: some("i/s"),
            ..entry(3)
        },
        Entry {
            host: some("shop.example"),
            ..entry(4)
        },
        Entry {
            path: some("/a"),
            ..entry(5)
        },
        Entry {
            path: some("/ab"),
            ..entry(6)
        },
        Entry {
            path: some("/A%_*"),
            ..entry(7)
        },
        Entry {
            policy: some("shop/p"),
            ..entry(8)
        },
        Entry {
            revision: 2,
            ..entry(9)
        },
        Entry {
            trace_id: some("0af7"),
            ..entry(10)
        },
        Entry {
            principal: some(hostile),
            path: some(hostile),
            ..entry(11)
        },
        Entry {
            host: some(with_nul),
            ..entry(12)
        },
        Entry {
            policy: some(&"p".repeat(100_000)),
            ..entry(13)
        },
    ]);
    let all: Vec<i64> = (0..14).rev().collect();
    let rows: Vec<(Value, Vec<i64>)> = vec![
        (json!({}), all.clone()),
        (json!({"effect": "allow"}), vec![1]),
        (json!({"effect": "deny", "limit": 3}), vec![13, 12, 11]),
        (json!({"principal": "spiffe://td/a"}), vec![2]),
        (json!({"principal": "spiffe://td/*"}), vec![]),
        (json!({"principal": ""}), vec![]),
        (json!({"request_principal": "i/s"}), vec![3]),
        (json!({"host": "shop.example"}), vec![4]),
        (json!({"host": "SHOP.example"}), vec![]),
        (json!({"path": "/a"}), vec![5]),
        (json!({"path": "/a*"}), vec![6, 5]),
        (json!({"path": "*"}), vec![11, 7, 6, 5]),
        (json!({"path": "/A*"}), vec![7]),
        // No other pattern is one.
        (json!({"path": "/%"}), vec![]),
        (json!({"path": "/_b"}), vec![]),
        (json!({"path": "/A%_*"}), vec![7]),
        (json!({"path": "/%*"}), vec![]),
        (json!({"policy": "shop/p"}), vec![8]),
        (json!({"revision": 2}), vec![9]),
        (json!({"revision": u64::MAX}), vec![]),
        (json!({"trace_id": "0af7"}), vec![10]),
        (json!({"decision_id": Uuid::from_u128(6)}), vec![6]),
        (json!({"decision_id": Uuid::from_u128(99)}), vec![]),
        (json!({"principal": hostile}), vec![11]),
        (json!({"path": hostile}), vec![11]),
        (json!({"path": format!("{}*", &hostile[..5])}), vec![11]),
        (json!({"host": "' OR ''='"}), vec![]),
        (json!({"host": with_nul}), vec![12]),
        (json!({"host": "a"}), vec![]),
        (json!({"policy": "p".repeat(100_000)}), vec![13]),
        // Several are together.
        (
            json!({"path": "/a*", "effect": "deny", "decision_id": Uuid::from_u128(5)}),
            vec![5],
        ),
        (json!({"path": "/a*", "effect": "allow"}), vec![]),
    ];
    for (parameters, expected) in rows {
        assert_eq!(
            found(&store, &filter(parameters.clone())),
            expected,
            "{parameters}"
        );
    }
    assert_eq!(found(&store, &Filter::default()), all);
}

#[test]
fn times() {
    let store = store(&[entry(0), entry(1), entry(2)]);
    let rows: &[(Value, &[i64])] = &[
        (json!({"since": "2023-11-14T22:13:21.123456789Z"}), &[2, 1]),
        (json!({"since": "2023-11-14T22:13:21.12345679Z"}), &[2]),
        // The end is not within.
        (json!({"until": "2023-11-14T22:13:21.123456789Z"}), &[0]),
        (
            json!({"since": "2023-11-14T23:13:21+01:00", "until": "2023-11-14T23:13:22+01:00"}),
            &[1],
        ),
        (
            json!({"since": "2023-11-14T22:13:22Z", "until": "2023-11-14T22:13:21Z"}),
            &[],
        ),
        (json!({"since": "1d"}), &[]),
        (json!({"until": "1d"}), &[2, 1, 0]),
        (json!({"since": "18000d"}), &[2, 1, 0]),
    ];
    for (parameters, expected) in rows {
        assert_eq!(
            found(&store, &filter(parameters.clone())),
            *expected,
            "{parameters}"
        );
    }
}

#[test]
fn durations_count_back_from_now() {
    let now: jiff::Timestamp = "2023-11-14T22:13:20Z".parse().unwrap();
    let rows = [
        ("0s", 1_700_000_000),
        ("30s", 1_699_999_970),
        ("15m", 1_699_999_100),
        ("2h", 1_699_992_800),
        ("7d", 1_699_395_200),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14t22:13:20z", 1_700_000_000),
        ("1969-12-31T23:59:59Z", -1),
    ];
    for (text, seconds) in rows {
        let filter = filter(json!({ "since": text }));
        let conditions = filter.conditions(now).unwrap();
        let [(condition, query::SqlValue::Integer(value))] = conditions.as_slice() else {
            panic!("{text}")
        };
        assert_eq!(
            (*condition, *value),
            ("time_ns >= ?", seconds * 1_000_000_000),
            "{text}"
        );
    }
}

#[test]
fn parameters_that_cannot_be_read_are_named() {
    let neither = "is neither an RFC 3339 time nor a duration such as `15m`";
    let cursor = "is not a cursor that was given out";
    let rows = [
        (json!({"since": ""}), format!("`since`: {neither}")),
        (json!({"since": "yesterday"}), format!("`since`: {neither}")),
        (json!({"since": "15"}), format!("`since`: {neither}")),
        (json!({"since": "-15m"}), format!("`since`: {neither}")),
        (json!({"since": "1.5h"}), format!("`since`: {neither}")),
        (json!({"since": "m"}), format!("`since`: {neither}")),
        (json!({"since": "15min"}), format!("`since`: {neither}")),
        (
            json!({"since": "9223372036854775807d"}),
            format!("`since`: {neither}"),
        ),
        (
            json!({"until": "2023-11-14"}),
            format!("`until`: {neither}"),
        ),
        (
            json!({"until": "2023-11-14T22:13:20"}),
            format!("`until`: {neither}"),
        ),
        (
            json!({"until": "9999-01-01T00:00:00Z"}),
            "`until`: is out of range".to_owned(),
        ),
        (
            json!({"limit": 0}),
            "`limit`: must be from 1 to 1000".to_owned(),
        ),
        (
            json!({"limit": 1001}),
            "`limit`: must be from 1 to 1000".to_owned(),
        ),
        (json!({"cursor": "x"}), format!("`cursor`: {cursor}")),
        (json!({"cursor": ""}), format!("`cursor`: {cursor}")),
        (
            json!({"cursor": "AAAAAAAAAAAAAAAA"}),
            format!("`cursor`: {cursor}"),
        ),
    ];
    let store = store(&[]);
    for (parameters, expected) in rows {
        let error = store.query(&filter(parameters.clone())).unwrap_err();
        assert_eq!(error.to_string(), expected, "{parameters}");
    }
    for unknown in [
        json!({"sinze": "1h"}),
        json!({"effect": "maybe"}),
        json!({"decision_id": "x"}),
    ] {
        assert!(
            serde_json::from_value::<Filter>(unknown.clone()).is_err(),
            "{unknown}"
        );
    }
}

#[test]
fn pages_have_neither_gaps_nor_repeats() {
    let mut store = store(&(0..25).map(entry).collect::<Vec<_>>());
    for limit in [1, 4, 5, 24, 25, 26] {
        let mut seen = Vec::new();
        let mut cursor = None;
        let mut pages: i64 = 0;
        loop {
            let mut next =
                filter(json!({"limit": limit, "effect": "deny", "until": "2050-01-01T00:00:00Z"}));
            next.cursor = cursor;
            seen.extend(found(&store, &next));
            cursor = store.query(&next).unwrap().next_cursor;
            pages += 1;
            assert!(pages < 200, "no end with {limit}");
            // What comes in meanwhile is on no later page.
            store
                .append(&[
                    Entry {
                        effect: Effect::Allow,
                        ..entry(100 + pages)
                    },
                    entry(200 + pages),
                ])
                .unwrap();
            if cursor.is_none() {
                break;
            }
        }
        let before: Vec<i64> = seen
            .iter()
            .copied()
            .filter(|number| *number < 100)
            .collect();
        assert_eq!(before, (0..25).rev().collect::<Vec<_>>(), "{limit}");
        let mut unique = seen.clone();
        unique.dedup();
        assert_eq!(unique, seen, "{limit}");
    }
    let page = store.query(&filter(json!({"path": "/none"}))).unwrap();
    assert_eq!(
        page,
        Page {
            decisions: vec![],
            next_cursor: None
        }
    );
}
