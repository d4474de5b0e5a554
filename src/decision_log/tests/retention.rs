//! Whose records go when there is too much, and that those are counted.

use super::storing::{DAY, aged, paths_of, records};
use super::*;
use crate::decision::Effect;
use crate::decision_log::store::{Gives, gives};

#[test]
fn half_of_the_room_is_each_effects_own() {
    // Bytes of allows, of denials, of the file, and how many it may have; what the two give.
    let rows = [
        ((0, 0, 0, 100), (0, 0)),
        ((50, 50, 100, 100), (0, 0)),
        ((60, 60, 120, 100), (10, 10)),
        ((80, 40, 120, 100), (20, 0)),
        ((40, 80, 120, 100), (0, 20)),
        ((70, 60, 130, 100), (20, 10)),
        ((60, 70, 130, 100), (10, 20)),
        // What one leaves free is the other's.
        ((0, 90, 90, 100), (0, 0)),
        ((0, 120, 120, 100), (0, 20)),
        ((120, 10, 130, 100), (30, 0)),
        // What the file needs besides is taken from both.
        ((50, 50, 120, 100), (10, 10)),
        ((70, 30, 120, 100), (20, 0)),
        ((10, 10, 20, 0), (10, 10)),
        ((10, 10, 500, 100), (10, 10)),
        ((3, 2, 5, 3), (2, 0)),
    ];
    for ((allows, denials, used, max), expected) in rows {
        let Gives {
            allows: first,
            denials: second,
        } = gives(allows, denials, used, max);
        assert_eq!((first, second), expected, "{allows} {denials} {used} {max}");
    }
}

fn left(store: &LogStore, effect: Effect) -> usize {
    let filter = Filter {
        effect: Some(effect),
        ..Filter::default()
    };
    paths_of(store, &filter).len()
}

/// A flood of either effect, with the file kept small all the time, leaves all of the other that is
/// within its half; what it leaves free the flood may use.
#[test]
fn a_flood_of_one_effect_leaves_the_other() {
    const MAX_BYTES: u64 = 4_000_000;
    const FILL: usize = 2_000;
    let of = |effect: Effect, record: Sample| match effect {
        Effect::Allow => allowed(record),
        Effect::Deny => record,
    };
    for (quiet, flooding) in [(Effect::Allow, Effect::Deny), (Effect::Deny, Effect::Allow)] {
        let metrics = Arc::new(Metrics::default());
        let store = in_memory().noting(Damage::counted_by(Arc::clone(&metrics)));
        let few = (0..100).map(|index| of(quiet, aged(index, Duration::ZERO, FILL)));
        let few: Vec<_> = few.collect();
        store_records(&store, &few);
        for _ in 0..20 {
            let flood = (0..200).map(|index| of(flooding, aged(index, Duration::ZERO, FILL)));
            store_records(&store, &flood.collect::<Vec<_>>());
            store.prune(DAY, MAX_BYTES).unwrap();
            assert_eq!(left(&store, quiet), 100, "{quiet:?}");
        }
        let flooded = left(&store, flooding);
        assert!((201..4_000).contains(&flooded), "{flooded}");
        // All are accounted for.
        let (quiet, flooding) = (quiet.as_str(), flooding.as_str());
        let text = metrics.encode();
        for row in [
            format!("decision_log_records{{effect=\"{quiet}\"}} 100"),
            format!("decision_log_records{{effect=\"{flooding}\"}} {flooded}"),
            format!(
                "decision_log_removed_total{{effect=\"{flooding}\",cause=\"size\"}} {}",
                4_000 - flooded
            ),
        ] {
            assert!(text.contains(&row), "{row}\n{text}");
        }
        // One that grows beyond its half is no longer safe, but keeps its half.
        for _ in 0..20 {
            store_records(&store, &few);
        }
        store.prune(DAY, MAX_BYTES).unwrap();
        let bytes = "SELECT sum(bytes) FROM blocks GROUP BY effect ORDER BY effect";
        let connection = store.connection();
        let mut bytes = connection.prepare(bytes).unwrap();
        let bytes = bytes.query_map([], |row| row.get(0)).unwrap();
        let bytes: Vec<i64> = bytes.collect::<Result<_, _>>().unwrap();
        // Blocks go whole, and have up to a megabyte.
        assert!(bytes.iter().all(|bytes| *bytes > 600_000), "{bytes:?}");
        assert!(bytes.iter().sum::<i64>() < 4_000_000, "{bytes:?}");
    }
}

#[test]
fn what_grows_old_is_counted() {
    let metrics = Arc::new(Metrics::default());
    let store = in_memory().noting(Damage::counted_by(Arc::clone(&metrics)));
    store_records(&store, &records(30, 8 * DAY));
    store_records(&store, &[allowed(aged(0, 8 * DAY, 5))]);
    store_records(&store, &records(7, Duration::ZERO));
    store.prune(7 * DAY, u64::MAX).unwrap();
    let text = metrics.encode();
    for row in [
        "decision_log_records{effect=\"deny\"} 7\n",
        "decision_log_records{effect=\"allow\"} 0\n",
        "decision_log_bytes{effect=\"allow\"} 0\n",
        "decision_log_removed_total{effect=\"deny\",cause=\"age\"} 30\n",
        "decision_log_removed_total{effect=\"allow\",cause=\"age\"} 1\n",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}

/// Who asks since when is told whether that is still all there.
#[test]
fn what_was_removed_is_known_to_be_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    let lacks = |store: &LogStore| {
        let kept = store.kept().unwrap();
        let lacks = ["30d", "7d", "1h"].map(|since| {
            let since = Some(since.to_owned());
            let filter = Filter {
                since,
                ..Filter::default()
            };
            kept.lacks_some_of(&filter).unwrap()
        });
        assert!(!kept.lacks_some_of(&Filter::default()).unwrap());
        (kept.oldest.is_some(), lacks)
    };
    // A log that is young lacks nothing.
    assert_eq!(lacks(&store), (false, [false, false, false]));
    store_records(&store, &records(3, 20 * DAY));
    store_records(&store, &[allowed(aged(0, 8 * DAY, 5))]);
    store_records(&store, &records(3, Duration::ZERO));
    store.prune(30 * DAY, u64::MAX).unwrap();
    assert_eq!(lacks(&store), (true, [false, false, false]));
    store.prune(7 * DAY, u64::MAX).unwrap();
    assert_eq!(lacks(&store), (true, [true, false, false]));
    // Whatever grows too large, it goes at any age.
    store.prune(7 * DAY, 1).unwrap();
    assert_eq!(lacks(&store), (false, [true, true, true]));
    // What a version removed that did not note it is not known.
    let store = LogStore::open(&folder.path().join("other.db")).unwrap();
    let before = "ALTER TABLE numbers DROP COLUMN removed_until_ns; PRAGMA user_version = 4";
    store.connection().execute_batch(before).unwrap();
    drop(store);
    let store = LogStore::open(&folder.path().join("other.db")).unwrap();
    assert_eq!(lacks(&store), (false, [true, true, true]));
}

/// Whether or not anything more is recorded, what was is kept for as long as is said.
#[test]
fn what_an_earlier_run_recorded_grows_old() {
    for enabled in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.db");
        let at = |age: Duration| {
            let mut record = record(http("/", &[]));
            let age = i64::try_from(age.as_nanos()).unwrap();
            record.time_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap() - age;
            record
        };
        let old = at(Duration::from_secs(7200));
        let store = LogStore::open(&path).unwrap();
        store_records(&store, &[old, at(Duration::ZERO)]);
        drop(store);
        let settings = LogSettings {
            enabled,
            retention: Duration::from_secs(3600),
            ..settings()
        };
        let log = DecisionLog::start(&path, settings, Arc::default()).unwrap();
        let reader = log.readers();
        let left = || reader.query(&Filter::default()).unwrap().decisions.len();
        wait_until(|| left() == 1);
    }
}
