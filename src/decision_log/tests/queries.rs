//! Which records a question finds.

use super::*;
use crate::decision::Effect;
use crate::decision_log::block::{Block, Builder};
use crate::decision_log::details::{Details, put_as_shown, put_details};
use crate::decision_log::entry::{Entry, Verdict};

/// A record to be found, and what it refers to.
#[derive(Clone)]
struct Row {
    number: i64,
    revision: u64,
    effect: Effect,
    principal: Option<String>,
    request_principal: Option<String>,
    host: Option<String>,
    path: Option<String>,
    policy: Option<String>,
    trace_id: Option<String>,
}

fn row(number: i64) -> Row {
    Row {
        number,
        revision: 1,
        effect: Effect::Deny,
        principal: None,
        request_principal: None,
        host: None,
        path: None,
        policy: None,
        trace_id: None,
    }
}

impl Row {
    fn add(&self, seq: i64, builder: &mut Builder) {
        let mut details = Vec::new();
        put_details(&mut details, &Details::default(), |_| None);
        let verdict = Verdict {
            effect: self.effect,
            policy: self.policy.clone(),
            principal: self.principal.clone(),
            request_principal: self.request_principal.clone(),
            shown: "{}".to_owned(),
        };
        builder.push(&Entry {
            seq,
            id: Uuid::from_u128(self.number.unsigned_abs().into()),
            time_ns: NOW_NS + self.number * 1_000_000_000,
            revision: self.revision,
            cached: false,
            shadow: None,
            verdict: &verdict,
            host: self.host.as_deref(),
            path: self.path.as_deref(),
            trace_id: self.trace_id.as_deref(),
            details: &details,
        });
    }
}

/// Stores rows: a block for each effect.
fn append(store: &LogStore, rows: &[Row]) {
    let first = store.next_seq().unwrap();
    let mut builders = [Builder::new(Effect::Allow), Builder::new(Effect::Deny)];
    for (seq, row) in (first..).zip(rows) {
        let [allows, denials] = &mut builders;
        let is_allow = row.effect == Effect::Allow;
        row.add(seq, if is_allow { allows } else { denials });
    }
    let blocks: Vec<Block> = builders.iter_mut().filter_map(Builder::finish).collect();
    let next = first + i64::try_from(rows.len()).unwrap();
    store.append(&blocks, next).unwrap();
}

fn store(rows: &[Row]) -> LogStore {
    let store = in_memory();
    append(&store, rows);
    store
}

/// Numbers of the records on a page, newest first.
fn numbers(page: &Page) -> Vec<i64> {
    let number = |shown: &Value| {
        let id: Uuid = shown["decision_id"].as_str().unwrap().parse().unwrap();
        i64::try_from(id.as_u128()).unwrap()
    };
    page.decisions.iter().map(number).collect()
}

/// Numbers of the records found, newest first.
fn found(store: &LogStore, filter: &Filter) -> Vec<i64> {
    numbers(&store.query(filter).unwrap())
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
        row(0),
        Row {
            effect: Effect::Allow,
            ..row(1)
        },
        Row {
            principal: some("spiffe://td/a"),
            ..row(2)
        },
        Row {
            request_principal: some("i/s"),
            ..row(3)
        },
        Row {
            host: some("shop.example"),
            ..row(4)
        },
        Row {
            path: some("/a"),
            ..row(5)
        },
        Row {
            path: some("/ab"),
            ..row(6)
        },
        Row {
            path: some("/A%_*"),
            ..row(7)
        },
        Row {
            policy: some("shop/p"),
            ..row(8)
        },
        Row {
            revision: 2,
            ..row(9)
        },
        Row {
            trace_id: some("0af7"),
            ..row(10)
        },
        Row {
            principal: some(hostile),
            path: some(hostile),
            ..row(11)
        },
        Row {
            host: some(with_nul),
            ..row(12)
        },
        Row {
            policy: some(&"p".repeat(100_000)),
            ..row(13)
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
    let store = store(&[row(0), row(1), row(2)]);
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
        let wanted = filter.wanted(now).unwrap();
        assert_eq!(wanted.since, seconds * 1_000_000_000, "{text}");
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
    let store = store(&(0..25).map(row).collect::<Vec<_>>());
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
            let allow = Row {
                effect: Effect::Allow,
                ..row(100 + pages)
            };
            append(&store, &[allow, row(200 + pages)]);
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
            next_cursor: None,
            passed_over: 0,
        }
    );
}

/// All records that a question finds, over as many pages as it takes, and how many these are.
fn all_pages(store: &LogStore, filter: &Filter, limit: Duration) -> (Vec<i64>, usize) {
    let mut filter = filter.clone();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.query_within(&filter, limit).unwrap();
        seen.extend(numbers(&page));
        pages += 1;
        assert!(pages < 1_000, "no end");
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            return (seen, pages);
        }
    }
}

/// Blocks of the two effects overlap in every way, and no time is left for more than one a page.
#[test]
fn pages_that_took_too_long_go_on_where_they_ended() {
    let store = in_memory();
    let mut rows: Vec<Row> = (0..200).map(row).collect();
    for (index, row) in rows.iter_mut().enumerate() {
        if index % 7 < 3 {
            row.effect = Effect::Allow;
        }
        row.host = some(["a", "b"][index % 2]);
    }
    let mut rest = rows.as_slice();
    for length in [1, 50, 3, 1, 1, 90, 20, 34] {
        let (now, later) = rest.split_at(length);
        append(&store, now);
        rest = later;
    }
    assert!(rest.is_empty());
    store.merge().unwrap();
    let questions = [
        json!({}),
        json!({"limit": 1}),
        json!({"limit": 7, "effect": "allow"}),
        json!({"limit": 1000, "host": "b"}),
        json!({"host": "none"}),
    ];
    for question in questions {
        let filter = filter(question.clone());
        let expected = rows.iter().rev().filter(|row| {
            filter.effect.is_none_or(|effect| row.effect == effect)
                && (filter.host.is_none() || row.host == filter.host)
        });
        let expected: Vec<i64> = expected.map(|row| row.number).collect();
        let (hasty, _) = all_pages(&store, &filter, Duration::ZERO);
        assert_eq!(hasty, expected, "{question}");
        let (calm, _) = all_pages(&store, &filter, Duration::MAX);
        assert_eq!(calm, expected, "{question}");
    }
}

/// A page takes so much memory and no more.
#[test]
fn pages_are_bounded() {
    let store = in_memory();
    let verdict = Verdict {
        effect: Effect::Deny,
        policy: None,
        principal: None,
        request_principal: None,
        shown: "{}".to_owned(),
    };
    let mut builder = Builder::new(Effect::Deny);
    for number in 1..=6_u128 {
        let id = Uuid::from_u128(number);
        let fill = "f".repeat(6 << 20);
        let mut details = Vec::new();
        put_as_shown(
            &mut details,
            &json!({"decision_id": id, "fill": fill}).to_string(),
        );
        let entry = Entry {
            seq: i64::try_from(number).unwrap(),
            id,
            time_ns: NOW_NS,
            revision: 1,
            cached: false,
            shadow: None,
            verdict: &verdict,
            host: None,
            path: None,
            trace_id: None,
            details: &details,
        };
        assert!(builder.push(&entry));
        let next = entry.seq + 1;
        store.append(&[builder.finish().unwrap()], next).unwrap();
    }
    let page = store.query(&Filter::default()).unwrap();
    assert_eq!(numbers(&page), [6]);
    let (seen, pages) = all_pages(&store, &Filter::default(), Duration::MAX);
    assert_eq!((seen, pages), (vec![6, 5, 4, 3, 2, 1], 6));
}
