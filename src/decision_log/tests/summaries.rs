//! Counts of decisions, and those who follow the log.

use super::storing::aged;
use super::*;
use crate::decision_log::summary::SummaryOf;

/// Nanoseconds between two records.
const STEP: i64 = 60_000_000_000;

/// So many records, a minute apart, one in three allowed, of which some were remembered.
fn rows(count: usize) -> Vec<Sample> {
    let row = |index: usize| {
        let path = ["/a/b/c", "/a/b/d", "/a", "/x/y"][index % 4];
        let mut record = record(http(path, &[]));
        record.time_ns = NOW_NS + STEP * i64::try_from(index).unwrap();
        let mut record = match index % 3 {
            0 => allowed(record),
            _ => record,
        };
        record.cached = index.is_multiple_of(5);
        let workload = Workload {
            namespace: Some("shop".to_owned()),
            labels: Some(pairs(&[("app", ["cart", "till"][index % 2])])),
            ..Workload::default()
        };
        record.workload = Arc::new(workload);
        record
    };
    (0..count).map(row).collect()
}

fn stored(rows: &[Sample]) -> LogStore {
    let store = in_memory();
    for rows in rows.chunks(7) {
        store_records(&store, rows);
    }
    store
}

fn question(parameters: &Value) -> SummaryOf {
    let mut others = parameters.as_object().unwrap().clone();
    let mut own = |name: &str| Some(others.remove(name)?.as_str().unwrap().to_owned());
    let (group_by, bucket, limit) = (own("group_by"), own("bucket"), own("limit"));
    SummaryOf {
        group_by,
        bucket,
        limit: limit.map(|limit| limit.parse().unwrap()),
        filter: serde_json::from_value(Value::Object(others)).unwrap(),
    }
}

fn summary(store: &LogStore, parameters: &Value) -> Value {
    serde_json::to_value(store.summarize(&question(parameters)).unwrap()).unwrap()
}

/// Keys with their counts, as text.
fn groups(summary: &Value) -> Vec<String> {
    let groups = summary["groups"].as_array().unwrap().iter();
    let group = |group: &Value| {
        let key = group["key"].as_object().unwrap();
        let values: Vec<_> = key.values().map(Value::to_string).collect();
        format!("{} {}", values.join(" "), group["count"])
    };
    groups.map(group).collect()
}

#[test]
fn decisions_are_counted_by_what_they_have_in_common() {
    let store = stored(&rows(60));
    let table: Vec<(Value, Vec<&str>)> = vec![
        (json!({}), vec!["\"deny\" 40", "\"allow\" 20"]),
        (json!({"effect": "allow"}), vec!["\"allow\" 20"]),
        (json!({"group_by": "status"}), vec!["403 40", "200 20"]),
        (
            json!({"group_by": "cached,effect"}),
            vec![
                "false \"deny\" 32",
                "false \"allow\" 16",
                "true \"deny\" 8",
                "true \"allow\" 4",
            ],
        ),
        (
            json!({"group_by": "path_prefix"}),
            vec!["\"/a/b/*\" 30", "\"/a\" 15", "\"/x/*\" 15"],
        ),
        (
            json!({"group_by": "path", "path": "/a/b/*"}),
            vec!["\"/a/b/c\" 15", "\"/a/b/d\" 15"],
        ),
        (
            json!({"group_by": "workload", "path": "/x/y"}),
            vec!["\"shop/till\" 15"],
        ),
        (
            json!({"group_by": "reason_kind", "effect": "deny"}),
            vec!["\"no_policy\" 40"],
        ),
        (json!({"group_by": "principal"}), vec!["null 60"]),
        (
            json!({"group_by": "host,revision"}),
            vec!["\"shop.example\" 7 60"],
        ),
        (
            json!({"method": "GET"}),
            vec!["\"deny\" 40", "\"allow\" 20"],
        ),
        (json!({"method": "PUT"}), vec![]),
        (
            json!({"until": "2023-11-14T22:23:20.123456789Z"}),
            vec!["\"deny\" 6", "\"allow\" 4"],
        ),
    ];
    for (parameters, expected) in table {
        let summary = summary(&store, &parameters);
        assert_eq!(groups(&summary), expected, "{parameters}");
        assert_eq!(summary["complete"], true);
        assert_eq!(summary["other"], json!({"count": 0, "groups": 0}));
    }
}

#[test]
fn what_is_not_shown_is_counted_together() {
    let records: Vec<_> = (0..200)
        .map(|index| aged(index, Duration::ZERO, 1))
        .collect();
    let store = stored(&records);
    let shown = summary(&store, &json!({"group_by": "path", "limit": "3"}));
    assert_eq!(groups(&shown).len(), 3);
    assert_eq!(shown["other"], json!({"count": 197, "groups": 197}));
    assert_eq!(shown["total"], 200);
    // More groups than are told apart: with so many spans of time, 200.
    let many: Vec<_> = (0..300)
        .map(|index| aged(index, Duration::from_secs(60), 1))
        .collect();
    let store = stored(&many);
    let parameters = json!({"group_by": "path", "limit": "1000", "since": "999s", "bucket": "1s"});
    let shown = summary(&store, &parameters);
    let count = shown["buckets"]["count"].as_i64().unwrap();
    assert!((999..=1_000).contains(&count), "{count}");
    assert_eq!(groups(&shown).len() as i64, 200_000 / count);
    assert_eq!(shown["other"]["groups"], Value::Null);
    assert_eq!(shown["total"], 300);
}

#[test]
fn spans_of_time_are_counted_apart() {
    let store = stored(&rows(60));
    // NOW_NS is 20 s after a full minute.
    let parameters = json!({"since": "2023-11-14T22:13:00Z", "until": "2023-11-14T23:13:00Z",
        "bucket": "15m", "group_by": "effect"});
    let summary = summary(&store, &parameters);
    assert_eq!(
        summary["buckets"],
        json!({"start": "2023-11-14T22:00:00Z", "seconds": 900, "count": 5})
    );
    let counts = |at: usize| summary["groups"][at]["counts"].clone();
    assert_eq!(counts(0), json!([1, 10, 10, 10, 9]));
    assert_eq!(counts(1), json!([1, 5, 5, 5, 4]));
    assert_eq!(summary["total"], 60);
}

#[test]
fn without_time_it_says_how_far_it_came() {
    let store = in_memory();
    // Too far apart for one block.
    for hours in 0..10 {
        let mut record = record(http("/", &[]));
        record.time_ns = NOW_NS + 60 * STEP * hours;
        store_records(&store, &[record]);
    }
    let question = SummaryOf {
        group_by: Some("path".to_owned()),
        ..SummaryOf::default()
    };
    let summary = store.summarize_within(&question, Duration::ZERO).unwrap();
    assert!(!summary.complete);
    // All blocks but those counted are older than this.
    let since = summary.complete_since.unwrap();
    let filter = Filter {
        since: Some(since.to_string()),
        ..Filter::default()
    };
    let newer = store.query(&filter).unwrap().decisions.len();
    assert_eq!(summary.total, newer as u64);
    let summary = store.summarize_within(&question, Duration::MAX).unwrap();
    assert_eq!((summary.total, summary.complete), (10, true));
}

#[test]
fn parameters_of_a_summary_are_checked() {
    let names = "must be some of `effect`, `policy`, `principal`, `request_principal`, \
                 `reason_kind`, `status`, `workload`, `host`, `path`, `path_prefix`, `revision`, \
                 `cached`, with commas between them";
    let up_to = "must be up to 4 names, each once";
    let rows = [
        (json!({"group_by": ""}), format!("`group_by`: {names}")),
        (
            json!({"group_by": "effect,"}),
            format!("`group_by`: {names}"),
        ),
        (json!({"group_by": "color"}), format!("`group_by`: {names}")),
        (
            json!({"group_by": "path,path"}),
            format!("`group_by`: {up_to}"),
        ),
        (
            json!({"group_by": "path,host,effect,status,policy"}),
            format!("`group_by`: {up_to}"),
        ),
        (
            json!({"limit": "0"}),
            "`limit`: must be from 1 to 1000".to_owned(),
        ),
        (
            json!({"limit": "1001"}),
            "`limit`: must be from 1 to 1000".to_owned(),
        ),
        (
            json!({"cursor": "x"}),
            "`cursor`: a summary has no pages".to_owned(),
        ),
        (
            json!({"bucket": "1m"}),
            "`bucket`: needs `since`, where the first one begins".to_owned(),
        ),
        (
            json!({"bucket": "0s", "since": "1h"}),
            "`bucket`: is no duration such as `5m`".to_owned(),
        ),
        (
            json!({"bucket": "-5m", "since": "1h"}),
            "`bucket`: is no duration such as `5m`".to_owned(),
        ),
        (
            json!({"bucket": "1s", "since": "2023-11-14T22:00:00Z", "until": "2023-11-14T23:00:00Z"}),
            "`bucket`: makes 3600 of them, and 1000 are the most".to_owned(),
        ),
        (
            json!({"since": "never"}),
            "`since`: is neither an RFC 3339 time nor a duration such as `15m`".to_owned(),
        ),
    ];
    let store = in_memory();
    for (parameters, expected) in rows {
        let error = store.summarize(&question(&parameters)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{parameters}");
    }
    // The longest span there is, from the earliest time on.
    let parameters = json!({"bucket": "9223372036854775807s", "since": "1700-01-01T00:00:00Z"});
    let answer = store.summarize(&question(&parameters));
    assert!(answer.is_err(), "{answer:?}");
}

/// Blocks of both effects, small and large, overlap: each record is handed on once, in order, whatever
/// is merged meanwhile.
#[test]
fn those_who_follow_get_every_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    let all: Vec<_> = rows(1_500);
    let mut seen = Vec::new();
    let mut after = 0;
    let filter = Filter::default();
    let wanted = filter.wanted(jiff::Timestamp::now()).unwrap();
    for rows in all.chunks(300) {
        store_records(&store, rows);
        let settled = store.next_seq().unwrap() - 1;
        while after < settled {
            let followed = store.follow(&wanted, after, settled).unwrap();
            assert!(followed.reached > after && followed.records.len() <= 256);
            seen.extend(followed.records.iter().map(|(number, _)| *number));
            after = followed.reached;
            store.merge().unwrap();
        }
    }
    assert_eq!(seen, (1..=1_500).collect::<Vec<i64>>());
    // By what they ask for, from anywhere on.
    let filter = Filter {
        effect: Some(crate::decision::Effect::Allow),
        path: Some("/x/y".to_owned()),
        ..Filter::default()
    };
    let wanted = filter.wanted(jiff::Timestamp::now()).unwrap();
    let followed = store.follow(&wanted, 1_000, 1_100).unwrap();
    let numbers: Vec<i64> = followed.records.iter().map(|(number, _)| *number).collect();
    // Numbers begin at 1, and rows at 0.
    let expected = (1_000..1_100)
        .filter(|index| index % 12 == 3)
        .map(|index| index + 1);
    assert_eq!(numbers, expected.collect::<Vec<i64>>());
    assert_eq!(followed.reached, 1_100);
}

/// Who comes back after long is told what was missed and goes on near the end.
#[tokio::test]
async fn those_who_are_far_behind_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    let skip = "UPDATE numbers SET next_seq = 200001";
    store.connection().execute(skip, []).unwrap();
    drop(store);
    let log = DecisionLog::start(&path, settings(), Arc::default()).unwrap();
    let followers = log.followers();
    let mut old = followers.follow(&Filter::default(), Some(7)).unwrap();
    let mut new = followers.follow(&Filter::default(), None).unwrap();
    // A number of another log is none to wait for.
    let mut other = followers
        .follow(&Filter::default(), Some(i64::MAX))
        .unwrap();
    assert_eq!(other.reached(), 200_000);
    let step = old.step().unwrap();
    assert_eq!((step.missed, step.reached), (Some(198_993), 200_000));
    log.recorder().record(&record(http("/new", &[])).record());
    for follower in [&mut old, &mut new, &mut other] {
        assert!(follower.wait().await);
        let step = follower.step().unwrap();
        assert_eq!((step.missed, step.records.len()), (None, 1));
        assert_eq!(step.records[0].1["request"]["path"], "/new");
    }
    for refused in ["since", "until", "cursor"] {
        let filter = serde_json::from_value(json!({ refused: "1h" })).unwrap();
        let error = followers.follow(&filter, None).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("`{refused}`: a stream is of what comes from now on")
        );
    }
}
