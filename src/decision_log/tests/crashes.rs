//! What is known after an end without notice: how many records it cost, and which numbers were given.

use super::*;
use crate::decision_log::queue::Taken;
use crate::decision_log::store::{Crash, Note};

const BOOT: u128 = 7;

#[test]
fn numbers_go_on_where_they_were() {
    let crash = |first, lost, of_machine| {
        Some(Crash {
            first,
            lost,
            of_machine,
        })
    };
    // Noted: given, settled, reserved, boot. Stored. Next, and what was lost.
    for (noted, stored, expected) in [
        // Nothing was ever noted: the log is new, or of an earlier version.
        ((0, 0, 0, 0), 1, (1, None)),
        ((0, 0, 0, 0), 500, (500, None)),
        // Stopped in order; also with numbers of what was lost and counted at the end.
        ((500, 500, 500, BOOT), 500, (500, None)),
        ((500, 500, 500, BOOT), 400, (500, None)),
        ((500, 500, 500, 8), 500, (500, None)),
        // The note is of a log that was put back.
        ((500, 500, 500, BOOT), 600, (600, None)),
        // Killed.
        ((500, 480, 9_000, BOOT), 480, (500, crash(480, 20, false))),
        ((500, 480, 9_000, BOOT), 470, (500, crash(480, 20, false))),
        ((500, 480, 9_000, BOOT), 490, (500, crash(490, 10, false))),
        ((500, 500, 9_000, BOOT), 500, (500, crash(500, 0, false))),
        // The note could not be written.
        ((500, 480, 9_000, BOOT), 700, (700, crash(700, 0, false))),
        // The machine ended too: what was noted may be old.
        ((500, 480, 9_000, 8), 470, (9_000, crash(480, 20, true))),
        ((500, 480, 9_000, 0), 470, (9_000, crash(480, 20, true))),
        ((500, 480, 9_000, 8), 9_500, (9_500, crash(9_500, 0, true))),
    ] {
        let (given, settled, reserved, boot) = noted;
        let note = Note {
            given,
            settled,
            reserved,
            boot,
            ..Note::default()
        };
        let resumed = note.resume(stored, BOOT);
        let found = (resumed.next_seq, resumed.crash);
        assert_eq!(found, expected, "{noted:?} {stored}");
    }
}

/// A log that writes, with records under way.
struct Run {
    store: LogStore,
    next_seq: i64,
    crash: Option<Crash>,
}

impl Run {
    fn start(path: &Path) -> Self {
        let mut store = LogStore::open(path).unwrap();
        let resumed = store.resume(path).unwrap();
        Self {
            store,
            next_seq: resumed.next_seq,
            crash: resumed.crash,
        }
    }

    /// Stores some, takes some that are not stored yet, and leaves some in the queue.
    fn leave(self, [stored, taken, queued]: [i64; 3], settings: LogSettings) {
        let queue = Arc::new(Queue::new(self.next_seq, &settings, Arc::default()));
        let push = |count| (0..count).for_each(|_| put(&queue, &record(http("/", &[]))));
        let mut writer = Writer::new(&queue, settings, &self.store);
        push(stored);
        writer.store(queue.take(Duration::ZERO));
        push(taken);
        let more = queue.take(Duration::ZERO);
        writer.store(Taken {
            is_busy: true,
            ..more
        });
        push(queued);
    }
}

/// Rule: what was taken and is not stored is known to the unit; what was not taken has no number that
/// anybody has seen.
#[test]
fn what_a_crash_cost_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let none = Sampling {
        effect: None,
        policy: None,
        ratio: 0.0,
    };
    let mut next = 1;
    let mut lost_before = None;
    for (counts, samples_out) in [
        ([10, 0, 0], false),
        ([10, 5, 3], false),
        ([0, 7, 0], false),
        // What is not wanted is not lost.
        ([10, 0, 0], true),
        ([0, 0, 4], false),
        ([0, 0, 0], false),
        ([1, 1, 1], false),
    ] {
        let run = Run::start(&path);
        assert_eq!(run.next_seq, next, "{counts:?}");
        assert_eq!(run.crash.map(|crash| crash.lost), lost_before, "{counts:?}");
        let [stored, taken, queued] = counts;
        next += stored + taken;
        // Nothing that was given is no crash.
        lost_before = (stored + taken > 0).then_some(taken);
        let settings = LogSettings {
            sample: samples_out.then(|| none.clone()).into_iter().collect(),
            ..settings()
        };
        run.leave([stored, taken, queued], settings);
    }
    // What was told once is not told again.
    assert_eq!(Run::start(&path).crash.unwrap().lost, 1);
    assert_eq!(Run::start(&path).crash, None);
}

#[test]
fn an_end_in_order_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    for round in 0..3 {
        let metrics = Arc::new(Metrics::default());
        let mut log = DecisionLog::start(&path, settings(), Arc::clone(&metrics)).unwrap();
        (0..10).for_each(|_| drop(log.recorder().record(&record(http("/", &[])).record())));
        log.stop();
        assert_eq!(metrics.log.written.get(), 10);
        assert_eq!(metrics.log.lost_in_crash.get(), 0);
        let run = LogStore::open_reader(&path).unwrap();
        assert_eq!(run.next_seq().unwrap(), 11 + 10 * round);
    }
    assert_eq!(Run::start(&path).crash, None);
}

/// Of two notes the newer is torn, or both, or the file is gone: what is left is as old as it is.
#[test]
fn a_torn_note_leaves_the_one_before() {
    let gone = |file: &Path| std::fs::remove_file(file).unwrap();
    let torn = |places: &'static [usize]| {
        move |file: &Path| {
            let mut bytes = std::fs::read(file).unwrap();
            places.iter().for_each(|place| bytes[place + 9] ^= 1);
            std::fs::write(file, bytes).unwrap();
        }
    };
    let empty = |file: &Path| std::fs::write(file, "").unwrap();
    let rows: [(&str, &dyn Fn(&Path), _); 6] = [
        ("none", &torn(&[]), (16, Some(5))),
        // The two are written in turn, at the start both.
        ("the newest", &torn(&[4096]), (11, Some(0))),
        ("the one before", &torn(&[0]), (16, Some(5))),
        ("both", &torn(&[0, 4096]), (11, None)),
        ("all", &empty, (11, None)),
        ("the file", &gone, (11, None)),
    ];
    for (what, damage, expected) in rows {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.db");
        Run::start(&path).leave([10, 5, 0], settings());
        damage(&path.with_extension("numbers"));
        let run = Run::start(&path);
        let lost = run.crash.map(|crash| crash.lost);
        assert_eq!((run.next_seq, lost), expected, "{what}");
    }
}

/// Looks into the file whenever records leave.
#[derive(Debug)]
struct Looking {
    path: std::path::PathBuf,
    seen: std::sync::atomic::AtomicI64,
}

impl Outlet for Looking {
    fn take(&self, _: &[Arc<Finished>]) {
        let reader = LogStore::open_reader(&self.path).unwrap();
        let next = reader.next_seq().unwrap();
        let count = "SELECT coalesce(sum(count), 0) FROM blocks";
        let connection = reader.connection();
        let count: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(count, next - 1);
        self.seen
            .fetch_max(count, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Of what is stored in several goes, each has all that is older.
#[test]
fn nothing_older_is_left_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    let looking = Arc::new(Looking {
        path: path.clone(),
        seen: Default::default(),
    });
    let outlet: Arc<dyn Outlet> = Arc::clone(&looking) as _;
    let settings = LogSettings {
        outlets: vec![outlet],
        ..settings()
    };
    let store = LogStore::open(&path).unwrap();
    let queue = queue_with(&settings);
    put(&queue, &record(http("/", &[])));
    for index in 0..5_000 {
        put(
            &queue,
            &allowed(storing::aged(index, Duration::ZERO, 5_000)),
        );
    }
    Writer::new(&queue, settings, &store).store(queue.take(Duration::ZERO));
    assert_eq!(lost(&queue), 0);
    // It was stored in several goes.
    assert!(looking.seen.load(std::sync::atomic::Ordering::Relaxed) > 0);
}
