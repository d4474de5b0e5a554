//! What is kept, and for how long.

use super::*;
use crate::decision_log::record::Entry;

fn entries(count: usize, age: Duration) -> Vec<Entry> {
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    let age = i64::try_from(age.as_nanos()).unwrap();
    let entry = |index| {
        let mut record = record(http(&format!("/{index}"), &[("x-fill", &"f".repeat(500))]));
        record.time_ns = now - age;
        record.into_entry(&Mask::default())
    };
    (0..count).map(entry).collect()
}

fn paths(store: &LogStore) -> Vec<String> {
    let page = store
        .query(&Filter {
            limit: Some(1_000),
            ..Filter::default()
        })
        .unwrap();
    let path = |shown: &Value| shown["request"]["path"].as_str().unwrap().to_owned();
    page.decisions.iter().map(path).collect()
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn what_is_too_old_goes() {
    let mut store = LogStore::open(Path::new(":memory:")).unwrap();
    store.append(&entries(3, 8 * DAY)).unwrap();
    store.append(&entries(2, 6 * DAY)).unwrap();
    store.prune(7 * DAY, u64::MAX).unwrap();
    assert_eq!(paths(&store), ["/1", "/0"]);
    store.prune(Duration::MAX, u64::MAX).unwrap();
    assert_eq!(paths(&store).len(), 2);
}

#[test]
fn the_oldest_go_while_it_is_too_large() {
    let mut store = LogStore::open(Path::new(":memory:")).unwrap();
    store.append(&entries(1_000, Duration::ZERO)).unwrap();
    store.prune(DAY, 100_000_000).unwrap();
    assert_eq!(paths(&store).len(), 1_000);
    store.prune(DAY, 100_000).unwrap();
    let left = paths(&store);
    assert!((1..1_000).contains(&left.len()), "{}", left.len());
    assert_eq!(left[0], "/999");
    store.prune(DAY, 100_000).unwrap();
    assert_eq!(paths(&store), left);
    // Even the last may be too large; an empty log is none.
    for _ in 0..200 {
        store.prune(DAY, 0).unwrap();
    }
    assert!(paths(&store).is_empty());
}

#[test]
fn the_file_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let mut store = LogStore::open(&path).unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    store.append(&entries(1_000, 8 * DAY)).unwrap();
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
        "its schema version 99 is not 1, which this version knows"
    );
    std::fs::write(
        &path,
        "not a database, but long enough to look like a file".repeat(100),
    )
    .unwrap();
    assert!(LogStore::open(&path).is_err());
}

#[test]
fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let mut writer = LogStore::open(&path).unwrap();
    let mut reader = LogStore::open_reader(&path).unwrap();
    writer.append(&entries(1, Duration::ZERO)).unwrap();
    assert_eq!(paths(&reader), ["/0"]);
    assert!(reader.append(&entries(1, Duration::ZERO)).is_err());
    assert_eq!(paths(&reader), ["/0"]);
}
