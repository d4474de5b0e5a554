//! What becomes of records, and of checks, when the log cannot keep up, or cannot store anything.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::decision_log::queue::Taken;
use crate::decision_log::writer::guarded;

/// One of which a queue takes few.
fn large() -> Sample {
    record(http(&"p".repeat(1 << 20), &[]))
}

/// Hands records over until one is not settled, and tells what becomes of that.
fn fill(queue: &Arc<Queue>) -> Option<Recorded> {
    let large = allowed(large());
    let mut each = (0..100).map(|_| queue.push(&large.record()));
    each.find(|recorded| !matches!(recorded, Recorded::Settled))
}

/// Lets go of what was handed over, as if it were stored.
fn empty(queue: &Queue) -> usize {
    let taken = queue.take(Duration::ZERO);
    let counts = taken.chunks.iter().map(|chunk| chunk.records().count());
    let count = counts.sum();
    taken
        .chunks
        .into_iter()
        .for_each(|chunk| queue.give_back(chunk));
    count
}

/// Ends a queue, also where a test fails: its thread would go on for ever.
struct Ending<'a>(&'a Queue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A recorder without any room, and what makes some.
pub(crate) fn full_recorder(overflow: Overflow) -> (Recorder, impl FnOnce() -> usize) {
    let queue = queue_that(overflow);
    drop(fill(&queue));
    let mut small = allowed(record(http("/", &[])));
    small.attributes.request = None;
    small.cached = true;
    (0..20_000).for_each(|_| drop(queue.push(&small.record())));
    let recorder = Recorder {
        queue: Some(Arc::clone(&queue)),
    };
    (recorder, move || empty(&queue))
}

/// A recorder whose log has ended.
pub(crate) fn ended_recorder(overflow: Overflow) -> Recorder {
    let queue = queue_that(overflow);
    queue.end();
    Recorder { queue: Some(queue) }
}

#[test]
fn what_waits_for_room_gets_it_in_turn() {
    let queue = queue_that(Overflow::Block);
    let Some(Recorded::Waits(pending)) = fill(&queue) else {
        panic!("it does not wait");
    };
    let mut waiting = pin!(pending.settle());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    // Small ones find room beside it.
    put(&queue, &record(http("/", &[])));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let before = empty(&queue);
    assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(()));
    let taken = queue.take(Duration::ZERO);
    let (head, request) = taken.chunks[0].records().next().unwrap();
    // No number was left out for it.
    assert_eq!(head.seq, i64::try_from(before).unwrap() + 1);
    assert!(request.len() > 1 << 20);
    assert_eq!(lost(&queue), 0);
}

#[test]
fn who_gives_up_waiting_has_lost_the_record() {
    let queue = queue_that(Overflow::Block);
    match fill(&queue) {
        Some(Recorded::Waits(pending)) => drop(pending),
        other => panic!("{other:?}"),
    }
    assert_eq!(lost(&queue), 1);
    // One that waits when the log ends is lost as well, and counted once.
    let Some(Recorded::Waits(pending)) = fill(&queue) else {
        panic!("it does not wait");
    };
    let mut waiting = pin!(pending.settle());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    queue.end();
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    assert_eq!(lost(&queue), 2);
    // Afterwards nothing waits any more.
    put(&queue, &large());
    assert_eq!(lost(&queue), 3);
}

/// What is larger than the whole queue would wait for ever.
#[test]
fn what_never_finds_room_does_not_wait() {
    let queue = queue_that(Overflow::Block);
    put(&queue, &record(http(&"p".repeat(65 << 20), &[])));
    assert_eq!(lost(&queue), 1);
}

/// Rule: no record, no allow. What is refused has no number and is not counted; its denial is.
#[test]
fn no_record_is_no_allow() {
    let queue = queue_that(Overflow::Deny);
    assert!(matches!(fill(&queue), Some(Recorded::Refused)));
    assert_eq!(lost(&queue), 0);
    put(&queue, &large());
    assert_eq!(lost(&queue), 1);
    let count = empty(&queue);
    let small = allowed(record(http("/", &[])));
    put(&queue, &small);
    let taken = queue.take(Duration::ZERO);
    let (head, _) = taken.chunks[0].records().next().unwrap();
    assert_eq!(head.seq, i64::try_from(count).unwrap() + 2);
    queue.end();
    assert!(matches!(queue.push(&small.record()), Recorded::Refused));
    put(&queue, &record(http("/", &[])));
    assert_eq!(lost(&queue), 2);
}

/// With a disk that is full nothing is allowed; what was before is stored once there is room.
#[test]
fn a_full_disk_ends_allowing_and_loses_nothing() {
    let store = in_memory();
    let limit = |pages: u32| {
        let connection = store.connection();
        connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    };
    limit(1);
    let queue = queue_that(Overflow::Deny);
    let allow = allowed(record(http("/", &[("x", "y")])));
    let settings = LogSettings {
        overflow: Overflow::Deny,
        ..settings()
    };
    let accepts = || matches!(queue.push(&allow.record()), Recorded::Settled);
    let mut handed_over = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            guarded(&queue, 1, || {
                Writer::new(&queue, settings.clone(), &store).run();
            });
        });
        let ending = Ending(&queue);
        // The first that comes is taken, and cannot be stored.
        wait_until(|| {
            let accepted = accepts();
            handed_over += u64::from(accepted);
            !accepted
        });
        assert!(handed_over > 0);
        (0..10).for_each(|_| put(&queue, &record(http("/denied", &[]))));
        assert!(queue.metrics().log.written.get() < handed_over);
        assert_eq!(lost(&queue), 0);
        limit(u32::MAX - 1);
        wait_until(|| {
            let accepted = accepts();
            handed_over += u64::from(accepted);
            accepted
        });
        drop(ending);
    });
    let written = queue.metrics().log.written.get();
    assert_eq!((written, lost(&queue)), (handed_over + 10, 0));
}

/// A log that ends while the disk is full counts what it could not store.
#[test]
fn an_end_with_a_full_disk_is_counted() {
    let store = in_memory();
    let full = store.connection().pragma_update(None, "max_page_count", 1);
    full.unwrap();
    let queue = queue_that(Overflow::Deny);
    (0..5).for_each(|_| put(&queue, &allowed(record(http("/", &[])))));
    let settings = LogSettings {
        overflow: Overflow::Deny,
        ..settings()
    };
    let mut handed_over = 5;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            guarded(&queue, 1, || {
                Writer::new(&queue, settings.clone(), &store).run();
            });
        });
        let _ending = Ending(&queue);
        let allow = allowed(record(http("/", &[])));
        wait_until(|| {
            let accepted = matches!(queue.push(&allow.record()), Recorded::Settled);
            handed_over += u64::from(accepted);
            !accepted
        });
    });
    let lost = lost(&queue);
    assert!(lost > 0);
    assert_eq!(queue.metrics().log.written.get() + lost, handed_over);
    assert_eq!(queue.abandon(), 0);
}

/// A thread that died stores nothing more: nothing is allowed.
#[test]
fn a_dead_log_ends_allowing() {
    let queue = queue_that(Overflow::Deny);
    let allow = allowed(record(http("/", &[])));
    put(&queue, &allow);
    let store = in_memory();
    guarded(&queue, 1, || {
        let mut writer = Writer::new(&queue, settings(), &store);
        let taken = queue.take(Duration::ZERO);
        writer.store(Taken {
            is_busy: true,
            ..taken
        });
        panic!("as the test wants it");
    });
    assert!(matches!(queue.push(&allow.record()), Recorded::Refused));
    assert_eq!((queue.metrics().log.written.get(), lost(&queue)), (0, 1));
}

/// Whatever goes wrong: replies = stored + sampled out + dropped.
#[test]
fn each_reply_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    drop(LogStore::open(&path).unwrap());
    let failing = LogStore::open_reader(&path).unwrap();
    let half = Sampling {
        effect: None,
        policy: None,
        ratio: 0.5,
    };
    for fault in ["none", "full", "store", "panic"] {
        for sample in [Vec::new(), vec![half.clone()]] {
            let settings = LogSettings {
                sample,
                scope: Scope::default(),
                ..settings()
            };
            let queue = queue_with(&settings);
            let mut replies = 0;
            let mut reply = |record: fn() -> Sample, count: u64| {
                (0..count).for_each(|_| put(&queue, &record()));
                replies += count;
            };
            let small = || record(http("/", &[]));
            if fault == "full" {
                reply(large, 100);
            }
            reply(small, 50);
            let writing = in_memory();
            let store = if fault == "store" { &failing } else { &writing };
            guarded(&queue, 1, || {
                let mut writer = Writer::new(&queue, settings.clone(), store);
                writer.store(queue.take(Duration::ZERO));
                reply(small, 50);
                let taken = queue.take(Duration::ZERO);
                writer.store(Taken {
                    is_busy: true,
                    ..taken
                });
                assert_ne!(fault, "panic", "as the test wants it");
                queue.end();
                writer.run();
            });
            // Stopped.
            reply(small, 5);
            let written = queue.metrics().log.written.get();
            let [dropped, sampled] = ["dropped", "sampled"].map(|what| counted(&queue, what));
            assert_eq!(replies, written + dropped + sampled, "{fault}");
            assert_eq!(sampled > 0, !settings.sample.is_empty(), "{fault}");
            assert!(
                dropped >= 5 && (written > 0) == (fault != "store"),
                "{fault}"
            );
        }
    }
}
