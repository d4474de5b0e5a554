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
        assert_eq!(
            found.decisions.len() < BLOCKS,
            found.passed_over > 0,
            "{page}"
        );
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

/// Files that were set aside, without what SQLite has beside each.
fn set_aside(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_file = |name: &String| name.contains(".damaged-") && name.ends_with('Z');
    names.filter(is_file).collect()
}

/// What was in a file that was set aside is known to be gone.
fn lacks_the_last_hour(readers: &LogReaders) -> bool {
    let filter = Filter {
        since: Some("1h".to_owned()),
        ..Filter::default()
    };
    readers.kept().unwrap().lacks_some_of(&filter).unwrap()
}

/// A file that takes nothing is set aside while the log runs: what comes then is stored in a new one, under
/// the numbers that come next, and found.
#[test]
fn a_log_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let metrics = Arc::new(Metrics::default());
    let damage = Damage::counted_by(Arc::clone(&metrics));
    let store = LogStore::open(&path).unwrap().noting(Arc::clone(&damage));
    let readers = LogReaders::noting(&path, damage);
    let found = || readers.query(&Filter::default()).unwrap().decisions;
    let queue = Arc::new(Queue::new(1, &settings(), Arc::clone(&metrics)));
    let mut writer = Writer::new(&queue, settings(), &store);
    let mut one = |path: &str| {
        put(&queue, &record(http(path, &[])));
        writer.store(queue.take(Duration::ZERO));
    };
    one("/before");
    assert_eq!(found().len(), 1);
    let ask = |pragma: &str| {
        let done = store.connection().query_row(pragma, [], |_| Ok(()));
        assert!(matches!(
            done,
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows)
        ));
    };
    ask("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[PAGE..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    ask("PRAGMA shrink_memory");
    (0..5).for_each(|index| one(&format!("/{index}")));
    // Twice nothing was stored, the third time it was.
    assert_eq!((metrics.log.written.get(), lost(&queue)), (4, 2));
    assert!(metrics.log.damaged.get() > 0);
    let shown = found();
    let numbers = shown
        .iter()
        .map(|shown| shown["sequence"].as_i64().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [6, 5, 4]);
    assert!(lacks_the_last_hour(&readers));
    assert_eq!(set_aside(folder.path()).len(), 1);
}

/// A start finds a file that is none: it sets it aside, only the last one of those stays, and numbers go on.
#[test]
fn a_start_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let mut numbers = Vec::new();
    for round in 0..3 {
        let metrics = Arc::new(Metrics::default());
        let mut log = DecisionLog::start(&path, settings(), Arc::clone(&metrics)).unwrap();
        drop(log.recorder().record(&record(http("/", &[])).record()));
        log.stop();
        assert_eq!(metrics.log.written.get(), 1);
        assert_eq!(metrics.log.damaged.get(), u64::from(round > 0));
        let found = log.readers().query(&Filter::default()).unwrap().decisions;
        assert_eq!(found.len(), 1);
        numbers.push(found[0]["sequence"].as_i64().unwrap());
        assert_eq!(lacks_the_last_hour(&log.readers()), round > 0);
        drop(log);
        std::fs::write(&path, format!("no such file {round}").repeat(1_000)).unwrap();
    }
    assert_eq!(numbers, [1, 2, 3]);
    let aside = set_aside(folder.path());
    assert_eq!(aside.len(), 1, "{aside:?}");
}
