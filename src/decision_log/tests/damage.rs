//! A file whose pages do not hold what SQLite wrote: what can still be read is found, the rest is
//! passed over, and old records go all the same.

use std::path::Path;
use std::sync::Barrier;

use super::storing::{DAY, aged, count_of_blocks, paths};
use super::*;

const PAGE: usize = 4096;
const BLOCKS: usize = 150;

/// A file of so many blocks, written back whole.
fn file(path: &Path) -> Vec<u8> {
    let store = LogStore::open(path).unwrap();
    for index in 0..BLOCKS {
        // Too far apart to be merged.
        let age = Duration::from_secs(700) * u32::try_from(BLOCKS - index).unwrap();
        let record = aged(index, 8 * DAY + age, 2_000);
        let is_allowed = index % 3 == 0;
        store_records(&store, &[if is_allowed { allowed(record) } else { record }]);
    }
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let done = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    store.connection().query_row(checkpoint, [], done).unwrap();
    drop(store);
    std::fs::read(path).unwrap()
}

#[test]
fn a_damaged_page_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let bytes = file(&path);
    let all: Vec<String> = (0..BLOCKS).rev().map(|index| format!("/{index}")).collect();
    let (mut unread, mut kept, mut seen) = (Vec::new(), Vec::new(), 0);
    let pages = bytes.len() / PAGE;
    for page in 2..=pages {
        let mut damaged = bytes.clone();
        damaged[(page - 1) * PAGE..page * PAGE].fill(0xff);
        for other in ["decisions.db-wal", "decisions.db-shm"] {
            drop(std::fs::remove_file(folder.path().join(other)));
        }
        std::fs::write(&path, damaged).unwrap();
        let metrics = Arc::new(Metrics::default());
        let damage = Damage::counted_by(Arc::clone(&metrics));
        let readers = LogReaders::noting(&path, Arc::clone(&damage));
        let filter = Filter {
            limit: Some(1_000),
            ..Filter::default()
        };
        let Ok(found) = readers.query(&filter) else {
            unread.push(page);
            continue;
        };
        let path_of = |shown: &Value| shown["request"]["path"].as_str().unwrap().to_owned();
        let found: Vec<String> = found.decisions.iter().map(path_of).collect();
        // In order, without repeats, and none that was not there.
        let mut expected = all.iter();
        assert!(found.iter().all(|path| expected.any(|it| it == path)));
        assert_eq!(
            found.len() < BLOCKS,
            metrics.log.damaged.get() > 0,
            "{page}"
        );
        seen += found.len();
        // What is too old goes, but for what cannot be removed.
        let store = LogStore::open(&path).unwrap().noting(damage);
        match store.prune(DAY, u64::MAX) {
            Ok(()) if count_of_blocks(&store) < 20 => {}
            _ => kept.push(page),
        }
    }
    // The pages without which nothing is known at all are few.
    assert!(unread.len() <= 4, "{unread:?} of {pages}");
    assert!(kept.len() <= 6, "{kept:?} of {pages}");
    assert!(seen > BLOCKS * pages * 9 / 10, "{seen} in {pages}");
}

/// What is known to be damaged is not read again and again to be merged, and is in nobody's way.
#[test]
fn a_damaged_block_is_merged_once() {
    let store = in_memory();
    for index in 0..4 {
        store_records(&store, &[aged(index, Duration::ZERO, 5)]);
    }
    // The first three are one already.
    assert_eq!(count_of_blocks(&store), 2);
    let change = "UPDATE contents SET details = x'00' WHERE block = 3";
    assert_eq!(store.connection().execute(change, []).unwrap(), 1);
    store.merge().unwrap();
    assert_eq!(count_of_blocks(&store), 2);
    store_records(&store, &[aged(4, Duration::ZERO, 5)]);
    assert_eq!(count_of_blocks(&store), 3);
    store.merge().unwrap();
    assert_eq!(count_of_blocks(&store), 2);
    assert_eq!(paths(&store), ["/4", "/3"]);
}

/// Each question has a connection of its own: none waits for another, nor for who writes.
#[test]
fn questions_are_answered_side_by_side() {
    const AT_ONCE: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let store = LogStore::open(&path).unwrap();
    store_records(&store, &[aged(0, Duration::ZERO, 5)]);
    let readers = LogReaders::of(&path);
    let barrier = Barrier::new(AT_ONCE);
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    // All are in the middle of it at the same time.
                    let found = readers.ask(|reader| {
                        barrier.wait();
                        reader.query(&Filter::default())
                    });
                    assert!(!found.unwrap().decisions.is_empty());
                });
            }
        });
        store_records(&store, &[aged(1, Duration::ZERO, 5)]);
    }
    assert_eq!(paths(&store).len(), 3);
}
