//! What is kept, for how long, and in which form.

use super::*;
use crate::decision_log::block::MAX_RECORDS;

pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

/// A record of some age with so much in it that hardly compresses.
pub(super) fn aged(index: usize, age: Duration, fill: usize) -> Sample {
    let mut number = index as u64 + 1;
    let noise = std::iter::repeat_with(|| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from_digit(u32::try_from(number >> 59).unwrap(), 36).unwrap()
    });
    let noise: String = noise.take(fill).collect();
    let mut record = record(http(&format!("/{index}"), &[("x-fill", &noise)]));
    record.time_ns = now_ns() - i64::try_from(age.as_nanos()).unwrap();
    record
}

pub(super) fn records(count: usize, age: Duration) -> Vec<Sample> {
    (0..count).map(|index| aged(index, age, 500)).collect()
}

pub(super) fn paths_of(store: &LogStore, filter: &Filter) -> Vec<String> {
    let path = |shown: &Value| shown["request"]["path"].as_str().unwrap().to_owned();
    let mut filter = Filter {
        limit: Some(1_000),
        ..filter.clone()
    };
    let mut paths = Vec::new();
    loop {
        let page = store.query(&filter).unwrap();
        paths.extend(page.decisions.iter().map(path));
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            return paths;
        }
    }
}

pub(super) fn paths(store: &LogStore) -> Vec<String> {
    paths_of(store, &Filter::default())
}

pub(super) fn count_of_blocks(store: &LogStore) -> i64 {
    let count = "SELECT count(*) FROM blocks";
    let connection = store.connection();
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_is_too_old_goes() {
    let store = in_memory();
    store_records(&store, &records(3, 8 * DAY));
    store_records(&store, &records(2, 6 * DAY));
    store.prune(7 * DAY, u64::MAX).unwrap();
    assert_eq!(paths(&store), ["/1", "/0"]);
    store.prune(Duration::MAX, u64::MAX).unwrap();
    assert_eq!(paths(&store).len(), 2);
}

#[test]
fn the_oldest_go_while_it_is_too_large() {
    let store = in_memory();
    for _ in 0..10 {
        store_records(&store, &records(100, Duration::ZERO));
    }
    store.prune(DAY, 100_000_000).unwrap();
    assert_eq!(paths(&store).len(), 1_000);
    store.prune(DAY, 200_000).unwrap();
    let left = paths(&store);
    assert!((1..1_000).contains(&left.len()), "{}", left.len());
    assert_eq!(left[0], "/99");
    store.prune(DAY, 200_000).unwrap();
    assert_eq!(paths(&store), left);
    // Even the last may be too large; an empty log is none.
    for _ in 0..5 {
        store.prune(DAY, 0).unwrap();
    }
    assert!(paths(&store).is_empty());
    // Numbers are given once.
    store_records(&store, &records(1, Duration::ZERO));
    assert_eq!(store.next_seq().unwrap(), 1_002);
}

#[test]
fn the_file_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    store_records(&store, &records(2_000, 8 * DAY));
    store.prune(30 * DAY, u64::MAX).unwrap();
    let full = size();
    store.prune(7 * DAY, u64::MAX).unwrap();
    assert!(size() * 10 < full, "{} of {full}", size());
}

#[test]
fn a_file_of_another_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = LogStore::open(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        "its schema version 99 is not 5, which this version knows"
    );
    std::fs::write(
        &path,
        "not a database, but long enough to look like a file".repeat(100),
    )
    .unwrap();
    assert!(LogStore::open(&path).is_err());
}

/// The tables of version 1.
const EARLIER: &str = "
    CREATE TABLE decisions (seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL,
        time_ns INTEGER NOT NULL, revision INTEGER NOT NULL, effect INTEGER NOT NULL, principal TEXT,
        request_principal TEXT, host TEXT, path TEXT, policy TEXT, trace_id TEXT,
        shown TEXT NOT NULL) STRICT;
    CREATE INDEX decisions_by_id ON decisions (id);
    CREATE INDEX decisions_by_time ON decisions (time_ns);
    CREATE INDEX decisions_by_effect ON decisions (effect, seq);
    PRAGMA user_version = 1;
";

#[test]
fn records_of_the_version_before_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(EARLIER).unwrap();
    let id = Uuid::from_u128(1);
    for index in 0..5_000_i64 {
        let shown = json!({"decision_id": id, "request": {"path": format!("/{index}")}});
        let row = "INSERT INTO decisions (id, time_ns, revision, effect, principal, path, policy, \
                   trace_id, shown) VALUES (?, ?, 3, ?, 'p', ?, 'q', 'abc', ?)";
        let values = rusqlite::params![
            id.as_bytes().as_slice(),
            now_ns(),
            index % 2,
            format!("/{index}"),
            shown.to_string()
        ];
        connection.execute(row, values).unwrap();
    }
    connection
        .execute("DELETE FROM decisions WHERE seq > 4990", [])
        .unwrap();
    drop(connection);

    let store = LogStore::open(&path).unwrap();
    assert_eq!(store.next_seq().unwrap(), 5_001);
    assert!(store.take_over().unwrap());
    // As after an end in between.
    drop(store);
    let store = LogStore::open(&path).unwrap();
    store_records(&store, &records(1, Duration::ZERO));
    while store.take_over().unwrap() {}
    assert!(!store.take_over().unwrap());
    let mut expected = vec!["/0".to_owned()];
    expected.extend((0..4_990).rev().map(|index| format!("/{index}")));
    assert_eq!(paths(&store), expected);
    let denied = json!({"effect": "deny", "principal": "p", "policy": "q", "trace_id": "abc",
        "revision": 3, "decision_id": id, "path": "/77*"});
    let denied: Filter = serde_json::from_value(denied).unwrap();
    let found = paths_of(&store, &denied);
    assert_eq!(found, ["/778", "/776", "/774", "/772", "/770"]);
}

/// Blocks of version 2, which did not note how large they were.
#[test]
fn blocks_of_the_version_before_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    store_records(&store, &records(1, Duration::ZERO));
    let before = "ALTER TABLE blocks DROP COLUMN raw_bytes;
        ALTER TABLE numbers DROP COLUMN newer_from;
        ALTER TABLE numbers DROP COLUMN removed_until_ns; PRAGMA user_version = 2";
    store.connection().execute_batch(before).unwrap();
    drop(store);
    for _ in 0..2 {
        let store = LogStore::open(&path).unwrap();
        store_records(&store, &records(1, Duration::ZERO));
        store.merge().unwrap();
    }
    let reader = LogStore::open_reader(&path).unwrap();
    assert_eq!(paths(&reader), ["/0", "/0", "/0"]);
    assert_eq!(count_of_blocks(&reader), 2);
}

#[test]
fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let writer = LogStore::open(&path).unwrap();
    let reader = LogStore::open_reader(&path).unwrap();
    store_records(&writer, &records(1, Duration::ZERO));
    assert_eq!(paths(&reader), ["/0"]);
    assert!(reader.append(&[], 2).is_err());
    assert_eq!(paths(&reader), ["/0"]);
}

/// However few records came at a time, there are few blocks in the end, with the same records.
#[test]
fn small_blocks_become_few() {
    let store = in_memory();
    let mut expected = Vec::new();
    for index in 0..300 {
        let record = aged(index, Duration::from_secs(300 - index as u64), 10);
        let record = if index % 3 == 0 {
            allowed(record)
        } else {
            record
        };
        expected.insert(0, format!("/{index}"));
        store_records(&store, &[record]);
        if index % 10 == 0 {
            store.merge().unwrap();
        }
    }
    store.merge().unwrap();
    let count = count_of_blocks(&store);
    assert!(count <= 16, "{count}");
    assert_eq!(paths(&store), expected);
    assert_eq!(store.next_seq().unwrap(), 301);
}

/// Full blocks have few records where these are large; they are not written again and again.
#[test]
fn full_blocks_stay_as_they_are() {
    let store = in_memory();
    let large: Vec<_> = (0..1_500)
        .map(|index| aged(index, Duration::ZERO, 3_000))
        .collect();
    store_records(&store, &large);
    let blocks = count_of_blocks(&store);
    assert!((4..8).contains(&blocks), "{blocks}");
    let changes = || {
        let changes = "SELECT total_changes()";
        let connection = store.connection();
        connection.query_row(changes, [], |row| row.get::<_, i64>(0))
    };
    let before = changes().unwrap();
    store.merge().unwrap();
    store.merge().unwrap();
    assert_eq!(changes().unwrap(), before);
    // A wrong note of how large they are does not make it so.
    let note = "UPDATE blocks SET raw_bytes = 0";
    store.connection().execute(note, []).unwrap();
    let before = changes().unwrap();
    store.merge().unwrap();
    assert_eq!(changes().unwrap(), before);
    assert_eq!(count_of_blocks(&store), blocks);
}

/// Records that are far apart in time stay apart, since they go at different times.
#[test]
fn blocks_are_not_long() {
    let store = in_memory();
    for index in 0..3 {
        store_records(
            &store,
            &[aged(index, DAY * (3 - u32::try_from(index).unwrap()), 10)],
        );
    }
    store.merge().unwrap();
    assert_eq!(count_of_blocks(&store), 3);
    store_records(&store, &records(MAX_RECORDS + 1, Duration::ZERO));
    assert_eq!(count_of_blocks(&store), 5);
}

/// Each byte of the contents and each number about them, changed one at a time: the block is passed
/// over and counted, and the others are there.
#[test]
fn damage_is_noticed_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    store_records(&store, &records(2, Duration::ZERO));
    store_records(&store, &records(1, Duration::ZERO));
    let changes = [
        ("blocks", "effect", "1 - effect"),
        ("blocks", "effect", "7"),
        ("blocks", "count", "count + 1"),
        ("blocks", "first_seq", "first_seq - 1"),
        ("blocks", "first_time_ns", "0"),
        ("blocks", "last_time_ns", "0"),
        ("blocks", "first_revision", "0"),
        ("blocks", "last_revision", "0"),
        ("blocks", "bytes", "bytes - 1"),
        ("blocks", "sum", "sum + 1"),
        ("contents", "members", "x'00'"),
        ("contents", "members", "zeroblob(length(members))"),
        ("contents", "entries", "substr(entries, 2)"),
        ("contents", "entries", "details"),
        ("contents", "details", "x''"),
        ("contents", "details", "zeroblob(length(details))"),
        (
            "contents",
            "entries",
            "(SELECT entries FROM contents AS others WHERE block = 3)",
        ),
    ];
    for (table, column, value) in changes {
        let metrics = Arc::new(Metrics::default());
        let damage = Damage::counted_by(Arc::clone(&metrics));
        let store = LogStore::open(&path).unwrap().noting(damage);
        store.connection().execute_batch("BEGIN").unwrap();
        let change = format!("UPDATE {table} SET {column} = {value} WHERE block = 2");
        assert_eq!(store.connection().execute(&change, []).unwrap(), 1);
        // Asked twice, it is counted once.
        for _ in 0..2 {
            assert_eq!(paths(&store), ["/0"], "{table} {column} {value}");
            assert_eq!(metrics.log.damaged.get(), 1, "{table} {column} {value}");
        }
    }
    assert_eq!(paths(&store).len(), 3);
    // Merging leaves it where it is.
    let change = "UPDATE contents SET details = x'00' WHERE block = 2";
    store.connection().execute(change, []).unwrap();
    store.merge().unwrap();
    assert_eq!(count_of_blocks(&store), 2);
}
