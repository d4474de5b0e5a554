//! Records between the threads: none is lost unseen, none waits for others.

use super::*;
use crate::decision_log::chunk::{CHUNK_RECORDS, Chunk};
use crate::decision_log::queue::Taken;
use crate::decision_log::writer::guarded;

fn queue() -> Arc<Queue> {
    queue_that(Overflow::Count)
}

/// Numbers of the records taken, and how long each request is that belongs to one.
fn taken(taken: &Taken) -> Vec<(i64, usize)> {
    let records = taken.chunks.iter().flat_map(Chunk::records);
    records
        .map(|(head, request)| (head.seq, request.len()))
        .collect()
}

#[test]
fn records_keep_their_order_and_their_requests() {
    let queue = queue();
    // Small ones, one that is larger than a chunk, and again small ones.
    let paths = [10, 20, 600_000, 30, 200_000, 200_000, 40];
    let requests = paths.map(|length| record(http(&"p".repeat(length), &[])));
    requests.iter().for_each(|record| put(&queue, record));
    let first = queue.take(Duration::ZERO);
    let seen = taken(&first);
    assert_eq!(
        seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7]
    );
    for ((_, length), path) in seen.iter().zip(paths) {
        assert!((path..path + 100).contains(length), "{length} {path}");
    }
    assert!(!first.is_last);
    first
        .chunks
        .into_iter()
        .for_each(|chunk| queue.give_back(chunk));
    // What is given back is empty.
    put(&queue, &requests[0]);
    let seen = taken(&queue.take(Duration::ZERO));
    assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [8]);
}

/// Chunks are small, also where requests are next to nothing.
#[test]
fn chunks_are_bounded() {
    let queue = queue();
    let mut one = record(HttpRequest::default());
    one.attributes.request = None;
    (0..=2 * CHUNK_RECORDS).for_each(|_| put(&queue, &one));
    let all = queue.take(Duration::ZERO);
    let counts = all.chunks.iter().map(|chunk| chunk.records().count());
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [CHUNK_RECORDS, CHUNK_RECORDS, 1]
    );
    let last = i64::try_from(taken(&all).len()).unwrap();
    assert_eq!(taken(&all).last().unwrap().0, last);
}

/// What there is no room for is counted, has a number, and hinders nothing that comes later.
#[test]
fn what_is_too_much_is_counted() {
    let queue = queue();
    let large = record(http(&"p".repeat(1 << 20), &[]));
    for _ in 0..100 {
        put(&queue, &large);
    }
    let first = queue.take(Duration::ZERO);
    let count = first.chunks.len() as u64;
    assert!((60..64).contains(&count), "{count}");
    assert_eq!(lost(&queue), 100 - count);
    // Taken is not stored yet.
    put(&queue, &large);
    assert_eq!(lost(&queue), 101 - count);
    first
        .chunks
        .into_iter()
        .for_each(|chunk| queue.give_back(chunk));
    put(&queue, &large);
    assert_eq!(lost(&queue), 101 - count);
    assert_eq!(taken(&queue.take(Duration::ZERO))[0].0, 102);
}

#[test]
fn the_end_is_told() {
    let queue = queue();
    let one = record(http("/", &[]));
    put(&queue, &one);
    queue.end();
    let last = queue.take(Duration::from_secs(3600));
    assert!(last.is_last);
    assert_eq!(taken(&last).len(), 1);
    put(&queue, &one);
    assert_eq!(lost(&queue), 1);
    assert!(taken(&queue.take(Duration::from_secs(3600))).is_empty());
}

/// From many threads at once: each record arrives once, under a number of its own.
#[test]
fn threads_hand_over_together() {
    let queue = queue();
    let hand_over = || {
        let one = record(http("/", &[]));
        (0..5_000).for_each(|_| put(&queue, &one));
    };
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(hand_over)).collect();
        while seen.len() < 20_000 {
            let some = queue.take(Duration::from_millis(10));
            seen.extend(taken(&some).into_iter().map(|(seq, _)| seq));
            some.chunks
                .into_iter()
                .for_each(|chunk| queue.give_back(chunk));
            assert!(lost(&queue) == 0);
        }
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(seen, (1..=20_000).collect::<Vec<_>>());
}

/// A panic of the log's thread: what is stored is counted as such, all else as lost, and what comes
/// later as well.
#[test]
fn a_panic_loses_nothing_uncounted() {
    let queue = queue();
    let store = in_memory();
    let one = record(http("/", &[]));
    let push = |count| (0..count).for_each(|_| put(&queue, &one));
    guarded(&queue, 1, || {
        let mut writer = Writer::new(&queue, settings(), &store);
        push(10);
        writer.store(queue.take(Duration::ZERO));
        // In a block that is not stored yet, taken, and not even taken.
        push(5);
        let more = queue.take(Duration::ZERO);
        writer.store(Taken {
            is_busy: true,
            ..more
        });
        push(3);
        let _taken = queue.take(Duration::ZERO);
        push(2);
        panic!("as the test wants it");
    });
    assert_eq!((queue.metrics().log.written.get(), lost(&queue)), (10, 10));
    push(4);
    assert_eq!((queue.metrics().log.written.get(), lost(&queue)), (10, 14));
    assert_eq!(queue.abandon(), 0);
}

/// After a panic the log begins again: what had been taken is lost and counted, what had not is stored.
#[test]
fn a_panic_costs_what_was_taken() {
    let queue = queue();
    let store = in_memory();
    let one = record(http("/", &[]));
    let mut runs = 0;
    guarded(&queue, 3, || {
        runs += 1;
        if runs < 3 {
            (0..5).for_each(|_| put(&queue, &one));
            let _taken = queue.take(Duration::ZERO);
            (0..2).for_each(|_| put(&queue, &one));
            panic!("as the test wants it");
        }
        queue.end();
        Writer::new(&queue, settings(), &store).run();
    });
    // Of the second run it took what the first had left as well.
    assert_eq!((queue.metrics().log.written.get(), lost(&queue)), (2, 12));
    let text = queue.metrics().encode();
    assert!(text.contains("reason=\"panic\"} 12"), "{text}");
    assert_eq!((runs, queue.abandon()), (3, 0));
}

/// So many panics end the log, and so does one at its end.
#[test]
fn panics_do_not_go_on_for_ever() {
    for (most, ends, expected) in [(2, false, 2), (5, true, 1)] {
        let queue = queue();
        let mut runs = 0;
        guarded(&queue, most, || {
            runs += 1;
            if ends {
                queue.end();
            }
            panic!("as the test wants it");
        });
        assert_eq!(runs, expected);
        put(&queue, &record(http("/", &[])));
        assert_eq!(lost(&queue), 1);
    }
}

/// What is stored or counted as lost once is not counted again.
#[test]
fn nothing_is_left_over_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let writing = LogStore::open(&path).unwrap();
    let failing = LogStore::open_reader(&path).unwrap();
    for (store, expected) in [(&writing, (3, 0)), (&failing, (0, 3))] {
        let queue = queue();
        let one = record(http("/", &[]));
        (0..3).for_each(|_| put(&queue, &one));
        queue.end();
        guarded(&queue, 1, || Writer::new(&queue, settings(), store).run());
        assert_eq!(queue.abandon(), 0);
        let counted = (queue.metrics().log.written.get(), lost(&queue));
        assert_eq!(counted, expected);
    }
}

/// A secret that is known by its header's name is not even in the memory that is handed over.
#[test]
fn known_secrets_stay_with_the_request() {
    let queue = queue();
    let secret = "c4n4ry";
    let headers = [("authorization", secret), ("cookie", secret), ("x", "y")];
    put(&queue, &record(http("/", &headers)));
    let some = queue.take(Duration::ZERO);
    let (_, request) = some.chunks[0].records().next().unwrap();
    let text = String::from_utf8_lossy(request);
    assert!(!text.contains(secret) && text.contains("cookie"), "{text}");
}
