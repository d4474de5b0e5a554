//! Faults of the other side, and of this one.

use super::*;

const MEMORY: usize = 1 << 20;
const TAKES: Play = Play::Take(usize::MAX);

fn on_disk(folder: &tempfile::TempDir, limit: u64) -> Room {
    Room {
        queue: MEMORY,
        spill: Some((folder.path().join("spill"), limit)),
    }
}

fn in_memory(queue: usize) -> Room {
    Room { queue, spill: None }
}

fn numbers(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}

#[test]
fn records_are_delivered_in_their_order() {
    for most in [1, 7, usize::MAX] {
        let peer = Peer::playing(Play::Take(most));
        let machine = Machine::start(&peer, in_memory(16 << 20));
        for start in [0, 500, 501] {
            let end = if start == 501 { 1_500 } else { start + 500 };
            machine.take(start.max(if start == 501 { 1_000 } else { 0 })..end);
        }
        eventually("all", || machine.counters.delivered.get() == 1_500);
        assert_eq!(peer.got(), numbers(0..1_500));
        machine.reconcile();
        assert_eq!(machine.held(), 0);
    }
}

#[test]
fn a_dead_sink_that_comes_back_gets_all() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::playing(Play::Fail);
    let machine = Machine::start(&peer, on_disk(&folder, 64 << 20));
    for start in 0..20 {
        machine.take(start * 500..(start + 1) * 500);
        eventually("room", || machine.queue.waiting_bytes() < MEMORY / 4);
    }
    eventually("on disk", || machine.counters.spilled.get() == 10_000);
    eventually("tried again", || machine.counters.retried.get() > 1);
    machine.reconcile();
    peer.play(Play::Take(300));
    eventually("all", || machine.counters.delivered.get() == 10_000);
    assert_eq!(peer.got(), numbers(0..10_000));
    machine.reconcile();
    assert_eq!(machine.held(), 0);
    // What waited in files is gone from there.
    let left = std::fs::read_dir(folder.path().join("spill")).unwrap();
    assert_eq!(left.count(), 1);
}

#[test]
fn what_comes_while_it_catches_up_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::playing(Play::Fail);
    let machine = Machine::start(&peer, on_disk(&folder, 64 << 20));
    machine.take(0..1_000);
    eventually("on disk", || machine.counters.spilled.get() == 1_000);
    peer.play(Play::Take(10));
    for start in 10..20 {
        machine.take(start * 100..(start + 1) * 100);
    }
    eventually("all", || machine.counters.delivered.get() == 2_000);
    assert_eq!(peer.got(), numbers(0..2_000));
    machine.reconcile();
}

#[test]
fn beyond_the_limits_the_newest_are_lost_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    for room in [in_memory(MEMORY), on_disk(&folder, 100_000)] {
        let peer = Peer::playing(Play::Fail);
        let machine = Machine::start(&peer, room);
        for start in 0..40 {
            machine.take(start * 500..(start + 1) * 500);
            std::thread::sleep(Duration::from_millis(5));
        }
        let lost = machine.counters.dropped_by("queue_full");
        assert!(lost > 0);
        assert_eq!(u64::try_from(machine.held()).unwrap(), 20_000 - lost);
        machine.reconcile();
        peer.play(TAKES);
        eventually("all that is held", || {
            machine.counters.delivered.get() == 20_000 - lost
        });
        machine.reconcile();
        // Each once, in order, and the oldest are among them.
        let got = peer.got();
        assert!(got.is_sorted_by(|left, right| left < right));
        assert_eq!(got[..500], numbers(0..500));
    }
}

#[test]
fn what_is_refused_is_lost_and_not_tried_again() {
    let peer = Peer::playing(Play::Refuse);
    let machine = Machine::start(&peer, in_memory(MEMORY));
    machine.take(0..100);
    eventually("refused", || machine.counters.dropped_by("rejected") == 100);
    assert_eq!(machine.counters.retried.get(), 0);
    peer.play(TAKES);
    machine.take(100..101);
    eventually("the next", || peer.got() == [100]);
    machine.reconcile();
}

#[test]
fn what_is_too_large_is_halved_until_it_is_one() {
    let peer = Peer::playing(Play::TooLarge(3));
    let machine = Machine::start(&peer, in_memory(MEMORY));
    machine.take(0..100);
    eventually("all", || machine.counters.delivered.get() == 100);
    assert_eq!(peer.got(), numbers(0..100));
    peer.play(Play::TooLarge(0));
    machine.take(100..110);
    eventually("none", || machine.counters.dropped_by("too_large") == 10);
    machine.reconcile();
}

#[test]
fn a_sink_that_hangs_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::playing(Play::Hang);
    let machine = Machine::start(&peer, on_disk(&folder, 64 << 20));
    machine.take(0..100);
    eventually("asked", || peer.asked() == 1);
    let began = StdInstant::now();
    for start in 1..100 {
        machine.take(start * 100..(start + 1) * 100);
        if start % 5 == 0 {
            eventually("room", || machine.queue.waiting_bytes() < MEMORY / 2);
        }
    }
    assert!(began.elapsed() < Duration::from_secs(50));
    assert_eq!(machine.counters.dropped_by("queue_full"), 0);
    machine.reconcile();
    // It ends nevertheless, and what is left is on disk.
    machine.end(Duration::from_millis(10));
    eventually("all on disk", || machine.counters.spilled.get() == 10_000);
    machine.reconcile();
    let queue = Arc::clone(&machine.queue);
    machine.kill();
    let peer = Peer::playing(TAKES);
    let machine = Machine::start(&peer, on_disk(&folder, 64 << 20));
    eventually("all", || machine.counters.delivered.get() == 10_000);
    assert_eq!(peer.got(), numbers(0..10_000));
    machine.reconcile();
    drop(queue);
}

#[test]
fn a_kill_costs_nothing_of_what_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::playing(Play::Fail);
    let machine = Machine::start(&peer, on_disk(&folder, 64 << 20));
    machine.take(0..1_000);
    eventually("on disk", || machine.counters.spilled.get() == 1_000);
    peer.play(Play::Take(70));
    eventually("some", || peer.got().len() >= 350);
    peer.play(Play::Hang);
    let asked = peer.asked();
    eventually("it hangs", || peer.asked() > asked || machine.held() == 0);
    let delivered = peer.got().len();
    machine.kill();
    let other = Peer::playing(TAKES);
    let machine = Machine::start(&other, on_disk(&folder, 64 << 20));
    eventually("the rest", || {
        machine.held() == 0 && { delivered + other.got().len() >= 1_000 }
    });
    machine.reconcile();
    // Where it was is noted after each delivery: at most the last comes again.
    let first = other.got().first().copied().unwrap_or(1_000);
    assert!(
        (delivered as i64 - 70..=delivered as i64).contains(&first),
        "{first} {delivered}"
    );
    assert_eq!(other.got(), numbers(first..1_000));
}

#[test]
fn at_the_end_what_can_be_is_delivered() {
    let peer = Peer::playing(Play::Take(10));
    let machine = Machine::start(&peer, in_memory(MEMORY));
    machine.take(0..1_000);
    machine.end(Duration::from_secs(60));
    eventually("all", || machine.counters.delivered.get() == 1_000);
    // What comes after the end is lost and counted, and so is what nobody took.
    machine.take(0..5);
    assert_eq!(machine.counters.dropped_by("stopped"), 5);
    machine.reconcile();

    let peer = Peer::playing(Play::Fail);
    let machine = Machine::start(&peer, in_memory(MEMORY));
    machine.take(0..100);
    machine.end(Duration::from_secs(60));
    eventually("lost", || machine.counters.dropped_by("stopped") == 100);
    machine.reconcile();
}

#[test]
fn a_panic_ends_one_sink_and_loses_nothing_uncounted() {
    let peer = Peer::playing(Play::Panic);
    let counters = counters();
    let queue = Arc::new(Queue::new(MEMORY, counters.clone()));
    let holding = Holding::new("test", Arc::clone(&queue), None);
    let pace = Pace {
        records: 10,
        bytes: MEMORY,
        min_delay: Duration::ZERO,
        max_delay: Duration::ZERO,
    };
    let worker = Worker::new("test", Box::new(Scripted(peer)), holding, pace);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    queue.take(&records(0..100));
    guarded("test", &queue, runtime, worker);
    queue.take(&records(100..101));
    assert_eq!(counters.dropped_by("stopped"), 101);
    assert_eq!(counters.held(), 0);
}

/// As on a full disk: the file that is to be written cannot be made.
#[test]
fn a_disk_that_fails_is_counted_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::playing(Play::Fail);
    let machine = Machine::start(&peer, on_disk(&folder, 64 << 20));
    let in_the_way = folder.path().join("spill/000000000001.spill");
    std::fs::create_dir(&in_the_way).unwrap();
    machine.take(0..1_000);
    eventually("a failure", || machine.counters.spill_failures.get() > 0);
    assert_eq!(machine.held(), 1_000);
    machine.reconcile();
    std::fs::remove_dir(&in_the_way).unwrap();
    eventually("on disk", || machine.counters.spilled.get() == 1_000);
    peer.play(TAKES);
    eventually("all", || machine.counters.delivered.get() == 1_000);
    assert_eq!(peer.got(), numbers(0..1_000));
    machine.reconcile();
}
