//! The queue on disk by itself: what a crash, damage and its limit do to it.

use std::io::Write as _;
use std::path::Path;

use super::*;

const LIMIT: u64 = 64 << 20;

fn open(folder: &Path) -> (Spill, u64) {
    Spill::open(folder, LIMIT).unwrap()
}

/// Numbers of all that is there.
fn drain(spill: &mut Spill) -> (Vec<i64>, u64) {
    let (mut numbers, mut lost) = (Vec::new(), 0);
    while spill.records() > 0 {
        let (oldest, damaged) = spill.peek(100).unwrap();
        lost += damaged;
        numbers.extend(oldest.iter().map(|record| record.seq));
        spill.advance(oldest.len()).unwrap();
    }
    (numbers, lost)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "spill"))
        .collect();
    files.sort();
    files
}

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(folder.path());
    let large = "x".repeat(300_000);
    for (start, large) in [(0, "é\n\u{2028}"), (3_000, &large), (3_010, "")] {
        let end = if start == 3_000 { 3_010 } else { start + 3_000 };
        let more = |seq| record_of(seq, &json!({"more": large}));
        let records: Vec<_> = (start..end).map(more).collect();
        assert_eq!(spill.append(&records).records, records.len());
        assert_eq!(
            *spill.peek(1).unwrap().0[0],
            *record_of(0, &json!({"more": "é\n\u{2028}"}))
        );
    }
    assert_eq!(drain(&mut spill), ((0..6_010).collect(), 0));
    assert_eq!(spill.bytes(), 0);
    assert!(segments(folder.path()).is_empty());
}

#[test]
fn a_start_goes_on_where_the_last_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(folder.path());
    let large = "x".repeat(20_000);
    // Hard to compress, so that there are several files.
    let random = |seq: i64| {
        let noise: String = (0..500).map(|_| Uuid::new_v4().to_string()).collect();
        record_of(seq, &json!({"more": noise, "large": large}))
    };
    for start in 0..10 {
        let records: Vec<_> = (start * 100..(start + 1) * 100).map(random).collect();
        assert_eq!(spill.append(&records).records, 100);
    }
    assert!(segments(folder.path()).len() > 2);
    let mut next = 0;
    for step in [1, 99, 250, 0, 649] {
        let mut left = step;
        while left > 0 {
            let oldest = spill.peek(left).unwrap().0;
            assert_eq!(oldest[0].seq, next);
            spill.advance(oldest.len()).unwrap();
            next += oldest.len() as i64;
            left -= oldest.len();
        }
        spill.note().unwrap();
        drop(spill);
        let opened = open(folder.path());
        assert_eq!(opened.1, 0);
        spill = opened.0;
        assert_eq!(spill.records(), 1_000 - next as u64, "{step}");
    }
    assert_eq!(drain(&mut spill).0, [999]);
    spill.note().unwrap();
    drop(spill);
    // A new file is not taken for one that was read.
    for _ in 0..3 {
        let (mut spill, _) = open(folder.path());
        assert_eq!(spill.records(), 0);
        spill.append(&records(0..10));
        drop(spill);
        let (mut spill, _) = open(folder.path());
        assert_eq!(drain(&mut spill).0.len(), 10);
        spill.note().unwrap();
    }
}

/// Whatever a crash leaves of the last frame, all before it is there, and what comes later, too.
#[test]
fn a_torn_end_costs_what_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(folder.path());
    spill.append(&records(0..10));
    let whole = spill.bytes();
    spill.append(&records(10..20));
    let length = spill.bytes();
    drop(spill);
    let file = segments(folder.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    for cut in whole..length {
        std::fs::write(&file, &bytes[..usize::try_from(cut).unwrap()]).unwrap();
        let (mut spill, damaged) = open(folder.path());
        assert_eq!((spill.records(), damaged), (10, 0), "{cut}");
        spill.append(&records(20..25));
        let (numbers, lost) = drain(&mut spill);
        assert_eq!(lost, 0);
        assert_eq!(numbers, (0..10).chain(20..25).collect::<Vec<_>>());
        drop(spill);
        std::fs::remove_file(folder.path().join("place")).unwrap();
    }
}

#[test]
fn what_is_damaged_is_counted_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(folder.path());
    for start in 0..3 {
        spill.append(&records(start * 10..(start + 1) * 10));
    }
    drop(spill);
    let file = segments(folder.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    let third = bytes.len() / 3;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&file, damaged).unwrap();
        let (mut spill, at_start) = open(folder.path());
        let (numbers, later) = drain(&mut spill);
        // Nothing that comes out is anything else than what went in.
        assert!(numbers.is_sorted_by(|left, right| left < right), "{at}");
        assert!(at_start + later > 0, "{at}");
        if at >= third + third / 2 {
            assert_eq!(numbers[..10], (0..10).collect::<Vec<_>>(), "{at}");
        }
        drop(spill);
        std::fs::remove_file(folder.path().join("place")).unwrap();
    }
    // A place that is no place is none.
    std::fs::write(&file, &bytes).unwrap();
    for junk in [&b"junk"[..], &[7; 24], &[]] {
        let mut place = std::fs::File::create(folder.path().join("place")).unwrap();
        place.write_all(junk).unwrap();
        let (spill, damaged) = open(folder.path());
        assert_eq!((spill.records(), damaged), (30, 0));
    }
}

#[test]
fn the_limit_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spill, _) = Spill::open(folder.path(), 50_000).unwrap();
    let mut kept = 0;
    for start in 0..200 {
        kept += spill
            .append(&records(start * 100..(start + 1) * 100))
            .records;
    }
    assert!(kept > 0 && kept < 20_000, "{kept}");
    assert_eq!(spill.records(), kept as u64);
    let on_disk = segments(folder.path());
    let on_disk = on_disk.iter().map(|file| file.metadata().unwrap().len());
    assert!(on_disk.sum::<u64>() <= 50_000);
}
