//! How records lie in memory, and what is left of them when that is damaged.

use proptest::prelude::*;

use super::*;
use crate::decision::Effect;
use crate::decision_log::block::{Builder, Records, Section, opened, unpacked};
use crate::decision_log::entry::{Entry, Verdict};
use crate::decision_log::fields::{Fields, put_bytes, put_number, put_optional, put_signed};
use crate::decision_log::membership::{Kind, digest, filter, may_hold, of_prefix, segments};

#[test]
fn numbers_and_texts_come_out_as_they_went_in() {
    let numbers = [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX];
    let signed = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN];
    let mut bytes = Vec::new();
    numbers
        .iter()
        .for_each(|number| put_number(&mut bytes, *number));
    signed
        .iter()
        .for_each(|number| put_signed(&mut bytes, *number));
    put_bytes(&mut bytes, "ü".as_bytes());
    put_optional(&mut bytes, None);
    put_optional(&mut bytes, Some(b""));
    put_optional(&mut bytes, Some(b"a"));
    let mut fields = Fields::of(&bytes);
    assert_eq!(numbers.map(|_| fields.number().unwrap()), numbers);
    assert_eq!(signed.map(|_| fields.signed().unwrap()), signed);
    assert_eq!(fields.text(), Some("ü"));
    assert_eq!(fields.optional_text(), Some(None));
    assert_eq!(fields.optional_text(), Some(Some("")));
    assert_eq!(fields.optional_text(), Some(Some("a")));
    assert!(fields.is_empty());
    assert_eq!(fields.byte(), None);
}

#[test]
fn what_nobody_wrote_is_damage() {
    let rows: [&[u8]; 5] = [
        &[],
        &[0x80],
        &[0xff; 10],
        // Eleven bytes, and a bit beyond the last.
        &[
            0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
        ],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3],
    ];
    for row in rows {
        assert_eq!(Fields::of(row).number(), None, "{row:?}");
        assert_eq!(Fields::of(row).bytes(), None, "{row:?}");
    }
    assert_eq!(Fields::of(&[2, b'a']).bytes(), None);
    assert_eq!(Fields::of(&[1, 0xff]).text(), None);
    assert_eq!(Fields::of(&[u8::MAX, 0x7f, b'a']).optional(), None);
}

#[test]
fn segments_are_whole() {
    let rows: [(&str, &[&str]); 7] = [
        ("", &[]),
        ("/", &[]),
        ("/a", &[]),
        ("/a/", &["/a"]),
        ("/a/b", &["/a"]),
        ("/a/b/c", &["/a", "/a/b"]),
        ("//b//c/d", &["/", "//b"]),
    ];
    for (path, expected) in rows {
        assert_eq!(segments(path).collect::<Vec<_>>(), expected, "{path}");
    }
}

proptest! {
    /// A filter holds all that was put into it, and of a path every prefix that is asked for.
    #[test]
    fn filters_miss_nothing(values in prop::collection::vec("[/ab]{0,8}", 0..200)) {
        let mut digests: Vec<u64> = Vec::new();
        for value in &values {
            digests.push(digest(Kind::Path, value.as_bytes()));
            digests.extend(segments(value).map(|whole| digest(Kind::Segments, whole.as_bytes())));
        }
        let all = digests.clone();
        let filter = filter(&mut digests);
        prop_assert!(all.iter().all(|digest| may_hold(&filter, *digest)));
        for value in &values {
            for end in 0..=value.len() {
                let prefix = of_prefix(&value[..end]);
                prop_assert!(prefix.is_none_or(|prefix| may_hold(&filter, prefix)));
            }
        }
    }
}

#[test]
fn filters_are_worth_it() {
    let value = |number: u64| digest(Kind::Id, &number.to_le_bytes());
    let mut digests: Vec<u64> = (0..4_000).map(value).collect();
    let filter = filter(&mut digests);
    let wrong = (10_000..110_000).filter(|number| may_hold(&filter, value(*number)));
    let wrong = wrong.count();
    assert!(wrong < 1_000, "{wrong} of 100,000");
    assert!(filter.len() <= 6_000);
    // A filter is stored: what it is made of never changes.
    assert_eq!(
        digest(Kind::Host, b"shop.example"),
        3_771_155_873_510_340_121
    );
    assert!(!may_hold(&[], 1));
}

fn verdict() -> Verdict {
    Verdict {
        effect: Effect::Deny,
        policy: Some("p".to_owned()),
        principal: None,
        request_principal: Some(String::new()),
        shown: "{}".to_owned(),
    }
}

#[test]
fn a_record_comes_out_as_it_went_in() {
    let mut builder = Builder::new(Effect::Deny);
    let verdicts = [
        verdict(),
        Verdict {
            policy: None,
            ..verdict()
        },
    ];
    let traces = [
        None,
        Some("0af7651916cd43dd8448eb211c80319c"),
        Some("0AF7651916cd43dd8448eb211c80319c"),
        Some("ünd so weiter"),
        Some(""),
    ];
    let entries: Vec<_> = (0..20)
        .map(|index: usize| Entry {
            seq: i64::try_from(index).unwrap() * 3 + 1,
            id: Uuid::from_u128(index as u128),
            time_ns: NOW_NS - i64::try_from(index).unwrap(),
            revision: [0, 7, u64::MAX][index % 3],
            cached: index.is_multiple_of(2),
            shadow: [None, Some(Shadowed::Same), Some(Shadowed::Changed)][index % 3],
            verdict: &verdicts[index / 3 % 2],
            host: [None, Some(""), Some("h")][index % 3],
            path: [Some("/a"), None][index % 2],
            trace_id: traces[index % traces.len()],
            details: &b"details"[..index % 8],
        })
        .collect();
    assert!(entries.iter().all(|entry| builder.push(entry)));
    let block = builder.finish().unwrap();
    assert!(builder.finish().is_none());
    assert_eq!((block.about.seq.first, block.about.seq.last), (1, 58));
    assert_eq!(block.about.count, 20);
    let index = unpacked(Section::Index, 58, &block.index).unwrap();
    let details = unpacked(Section::Details, 58, &block.details).unwrap();
    let records: Vec<_> = Records::of(&index).map(Result::unwrap).collect();
    assert_eq!(records.len(), entries.len());
    for (record, entry) in records.iter().zip(&entries) {
        let revision = i64::try_from(entry.revision).unwrap_or(i64::MAX);
        let read = (record.seq, record.id, record.time_ns, record.revision);
        assert_eq!(read, (entry.seq, entry.id, entry.time_ns, revision));
        assert_eq!((record.cached, record.shadow), (entry.cached, entry.shadow));
        assert_eq!((record.host, record.path), (entry.host, entry.path));
        assert_eq!(record.verdict.policy, entry.verdict.policy.as_deref());
        assert_eq!(record.verdict.principal, None);
        assert_eq!(record.verdict.request_principal, Some(""));
        let trace = record.trace.map(|trace| trace.to_string());
        assert_eq!(trace.as_deref(), entry.trace_id);
        assert!(
            record
                .trace
                .is_none_or(|trace| trace.is(entry.trace_id.unwrap()))
        );
        let (start, length) = record.details;
        assert_eq!(&details[start..start + length], entry.details);
    }

    // Any bit, anywhere, in any section, or the section of another block.
    for (section, stored) in [
        (Section::Members, &block.members),
        (Section::Index, &block.index),
        (Section::Details, &block.details),
    ] {
        assert!(opened(section, 58, stored).is_ok());
        assert!(opened(section, 57, stored).is_err());
        for at in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(opened(section, 58, &damaged).is_err(), "{section:?} {at}");
        }
        for length in 0..stored.len() {
            assert!(opened(section, 58, &stored[..length]).is_err());
        }
    }
    assert!(unpacked(Section::Details, 58, &block.index).is_err());
    // What is whole and yet no index ends, and tells so.
    for length in 0..index.len() {
        let records: Vec<_> = Records::of(&index[..length]).collect();
        assert!(records.len() <= entries.len());
        let is_cut = records.iter().filter(|record| record.is_ok()).count() < entries.len();
        assert!(is_cut);
    }
}

fn entry(verdict: &Verdict) -> Entry<'_> {
    Entry {
        seq: 1,
        id: Uuid::nil(),
        time_ns: 0,
        revision: 1,
        cached: false,
        shadow: None,
        verdict,
        host: None,
        path: None,
        trace_id: None,
        details: &[],
    }
}

/// Where a host or path first comes in a block, whatever comes before: it is in the filter.
#[test]
fn places_are_found_wherever_they_come_first() {
    let rows: [&[Option<&str>]; 5] = [
        &[Some("")],
        &[None, Some("")],
        &[None, Some("/a"), Some("")],
        &[None, Some(""), None, Some("/a")],
        &[Some("/a"), None, Some("/a"), Some("")],
    ];
    let verdict = verdict();
    for row in rows {
        let mut builder = Builder::new(Effect::Deny);
        for (seq, place) in (1..).zip(row) {
            assert!(builder.push(&Entry {
                seq,
                host: *place,
                path: *place,
                ..entry(&verdict)
            }));
        }
        let block = builder.finish().unwrap();
        let members = opened(Section::Members, block.about.seq.last, &block.members).unwrap();
        for place in row.iter().flatten() {
            for kind in [Kind::Host, Kind::Path] {
                let digest = digest(kind, place.as_bytes());
                assert!(may_hold(members, digest), "{row:?} {place:?} {kind:?}");
            }
        }
    }
}

#[test]
fn blocks_are_bounded() {
    let verdict = verdict();
    let large = vec![b'x'; 300 << 10];
    let entry = Entry {
        details: &large,
        ..entry(&verdict)
    };
    let mut builder = Builder::new(Effect::Deny);
    let fit = (0..100).take_while(|_| builder.has_room(0) && builder.push(&entry));
    assert_eq!(fit.count(), 4);
    builder.finish().unwrap();
    let huge = vec![b'x'; 9 << 20];
    let details = &huge[..];
    assert!(!builder.push(&Entry { details, ..entry }));
    assert!(builder.finish().is_none());
}
