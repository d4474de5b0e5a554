//! Archives made to be misread: each is refused with its reason, or read as what it is.

use super::*;
use crate::units::Size;

const REGULAR: u8 = b'0';

/// A header block as it stands in the archive, its checksum right.
fn header(name: &str, kind: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[156] = kind;
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An entry: header and content, filled up to whole blocks.
fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut entry = header(name, kind, content.len() as u64);
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// An entry under a name of any length, as GNU's tar writes it.
fn long_name(name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut gnu = tar::Header::new_gnu();
    gnu.as_mut_bytes()[..13].copy_from_slice(b"././@LongLink");
    gnu.set_entry_type(tar::EntryType::GNULongName);
    gnu.set_size(name.len() as u64 + 1);
    gnu.set_cksum();
    let mut all = gnu.as_bytes().to_vec();
    all.extend_from_slice(name);
    all.push(0);
    all.resize(all.len().next_multiple_of(512), 0);
    all.extend(entry("short.rego", REGULAR, content));
    all
}

/// A record of an extended header, its length right.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let fits = |length: &usize| length.to_string().len() + rest.len() == *length;
    let length = (rest.len()..).find(fits).unwrap();
    format!("{length}{rest}")
}

/// A file behind an extended header.
fn extended(records: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let mut all = entry("pax", b'x', records.as_bytes());
    all.extend(entry(name, REGULAR, content));
    all
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = parts.concat();
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

fn read_bytes(archive: &[u8]) -> Result<Vec<BundleFile>, BundleError> {
    archive::read(archive, Limits::default())
}

#[test]
fn what_others_would_take_for_another_archive_is_refused() {
    let rego: &[u8] = b"package p\n";
    let file = |name: &str| entry(name, REGULAR, rego);
    let long = "a/".repeat(128) + "p.rego";
    let mut wrong_checksum = file("p.rego");
    wrong_checksum[0] = b'q';
    let mut old_name = file("p");
    old_name[..3].copy_from_slice(b"\xff\xfe\xfd");
    let mut not_utf8 = tar::Header::new_ustar();
    not_utf8.as_mut_bytes().copy_from_slice(&old_name[..512]);
    not_utf8.set_cksum();
    let rows: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![file("../p.rego")], "`.` or `..` segment"),
        (vec![file("a/../../p.rego")], "`.` or `..` segment"),
        (vec![file("/../p.rego")], "`.` or `..` segment"),
        (vec![file("a/..")], "`.` or `..` segment"),
        (vec![file("./../p.rego")], "`.` or `..` segment"),
        (vec![file("././p.rego")], "`.` or `..` segment"),
        (vec![file("//etc/p.rego")], "empty,"),
        (vec![file("a//p.rego")], "empty,"),
        (vec![file("a/p.rego/")], "empty,"),
        (vec![file("a\\p.rego")], "backslash or control"),
        (vec![file("..\\p.rego")], "backslash or control"),
        (vec![file("a\np.rego")], "backslash or control"),
        (vec![file("a\u{7f}p.rego")], "backslash or control"),
        (vec![not_utf8.as_bytes().to_vec()], "not UTF-8"),
        // Links, devices and all that is no file.
        (vec![entry("p.rego", b'1', b"")], "is no regular file"),
        (vec![entry("p.rego", b'2', b"")], "is no regular file"),
        (
            vec![entry("a", b'2', b""), file("a/p.rego")],
            "is no regular file",
        ),
        (vec![entry("p.rego", b'3', b"")], "is no regular file"),
        (vec![entry("p.rego", b'4', b"")], "is no regular file"),
        (vec![entry("p.rego", b'6', b"")], "is no regular file"),
        (vec![entry("p.rego", b'7', rego)], "is no regular file"),
        (vec![entry("p.rego", b'Z', rego)], "is no regular file"),
        (vec![entry("p.rego", b'S', rego)], "archive"),
        // A folder with content: skipped by some, read as entries by others.
        (
            vec![entry("a/", b'5', &file("p.rego"))],
            "is a folder that has content",
        ),
        // Sizes and holes told twice.
        (
            vec![extended(&record("size", "0"), "p.rego", rego)],
            "extended header `size`",
        ),
        (
            vec![extended(&record("size", "512"), "p.rego", rego)],
            "extended header `size`",
        ),
        (
            vec![extended(
                &record("size", "99999999999999999999"),
                "p.rego",
                rego,
            )],
            "extended header `size`",
        ),
        (
            vec![extended(
                &record("GNU.sparse.realsize", "1"),
                "p.rego",
                rego,
            )],
            "extended header `GNU.sparse.realsize`",
        ),
        (
            vec![extended(
                &record("GNU.sparse.name", "q.rego"),
                "p.rego",
                rego,
            )],
            "extended header `GNU.sparse.name`",
        ),
        (
            vec![extended(
                &(record("path", "a.rego") + &record("path", "b.rego")),
                "p.rego",
                rego,
            )],
            "extended header `path` twice",
        ),
        // What is a value to one reader is a record to another.
        (
            vec![extended(
                &record("comment", &format!("x\n{}", record("path", "b.rego"))),
                "p.rego",
                rego,
            )],
            "broken extended header",
        ),
        (
            vec![extended("99 path=a\n", "p.rego", rego)],
            "broken extended header",
        ),
        (
            vec![extended(&record("path", "../q.rego"), "p.rego", rego)],
            "`.` or `..` segment",
        ),
        (
            vec![extended(&record("path", "a\0b"), "p.rego", rego)],
            "backslash or control",
        ),
        (
            vec![extended(&record("path", &long), "p.rego", rego)],
            "more than 256 bytes",
        ),
        (
            vec![entry("pax", b'x', record("path", "a").as_bytes())],
            "no future member",
        ),
        (
            vec![
                entry("pax", b'g', record("path", "a.rego").as_bytes()),
                file("p.rego"),
            ],
            "changes all other entries",
        ),
        // Long names.
        (
            vec![long_name(long.as_bytes(), rego)],
            "more than 256 bytes",
        ),
        (
            vec![long_name(&b"x".repeat(1 << 20), rego)],
            "more than 256 bytes",
        ),
        (
            vec![long_name(b"a/../../p.rego", rego)],
            "`.` or `..` segment",
        ),
        (vec![long_name(b"p.rego\0q", rego)], "backslash or control"),
        // One place, two contents.
        (vec![file("p.rego"), file("p.rego")], "is there twice"),
        (vec![file("p.rego"), file("/p.rego")], "is there twice"),
        (vec![file("./p.rego"), file("/p.rego")], "is there twice"),
        (vec![file("p.rego"), file("P.Rego")], "is there twice"),
        (vec![file("é.rego"), file("É.rego")], "is there twice"),
        (
            vec![file("po\u{17f}t.rego"), file("post.rego")],
            "is there twice",
        ),
        (
            vec![file("a/DATA.json"), file("a/data.json")],
            "is there twice",
        ),
        // Not what it says it is.
        (vec![wrong_checksum], "checksum"),
        (vec![header("p.rego", REGULAR, u64::MAX >> 31)], "max size"),
    ];
    for (parts, message) in rows {
        let error = read_bytes(&whole(&parts)).unwrap_err().to_string();
        assert!(error.contains(message), "{message}: {error}");
        assert!(error.len() < 700, "{message}: an error of {}", error.len());
    }
}

#[test]
fn what_is_cut_off_is_refused() {
    let tar = entry("p.rego", REGULAR, &b"package p\n".repeat(300));
    let gz = gzip(&tar);
    let rows = [
        ("the content", gzip(&tar[..1024])),
        ("a header", gzip(&tar[..100])),
        ("the stream", gz[..gz.len() - 1].to_vec()),
        ("its half", gz[..gz.len() / 2].to_vec()),
        ("its header", gz[..5].to_vec()),
        ("what is behind it", [gz.clone(), b"more".to_vec()].concat()),
    ];
    for (what, archive) in rows {
        assert!(read_bytes(&archive).is_err(), "{what}");
    }
}

#[test]
fn what_is_only_unusual_is_read() {
    let rego: &[u8] = b"package p\n";
    let file = |name: &str| entry(name, REGULAR, rego);
    let deep = "a/".repeat(120) + "p.rego";
    let deep = deep.as_str();
    let rows: Vec<(Vec<Vec<u8>>, Option<&str>)> = vec![
        (vec![file("/p.rego")], Some("p.rego")),
        (vec![file("./p.rego")], Some("p.rego")),
        (
            vec![entry("a/", b'5', b""), file("a/p.rego")],
            Some("a/p.rego"),
        ),
        // The oldest form has no kind.
        (vec![entry("p.rego", 0, rego)], Some("p.rego")),
        (vec![file("a..b/...rego")], Some("a..b/...rego")),
        (vec![file("%2e%2e/p.rego")], Some("%2e%2e/p.rego")),
        (vec![long_name(deep.as_bytes(), rego)], Some(deep)),
        (
            vec![extended(&record("path", deep), "p.rego", rego)],
            Some(deep),
        ),
        (
            vec![extended(&record("mtime", "1.5"), "p.rego", rego)],
            Some("p.rego"),
        ),
        // As Git writes them.
        (
            vec![
                entry(
                    "pax_global_header",
                    b'g',
                    record("comment", "ab12").as_bytes(),
                ),
                file("p.rego"),
            ],
            Some("p.rego"),
        ),
        (vec![], None),
    ];
    for (parts, expected) in rows {
        let files = read_bytes(&whole(&parts)).unwrap();
        let paths = files.iter().map(|file| file.path.as_str());
        assert!(paths.eq(expected), "{expected:?}: {files:?}");
        assert!(files.iter().all(|file| file.bytes == rego));
    }
    // Two members of one gzip stream are one archive.
    let tar = [file("p.rego"), vec![0; 1024]].concat();
    let (one, two) = tar.split_at(700);
    let files = read_bytes(&[gzip(one), gzip(two)].concat()).unwrap();
    assert_eq!(files.len(), 1);
}

#[test]
fn sizes_are_limited_while_reading() {
    let large = "x".repeat(10_000);
    let files = [("a.rego", large.as_str()), ("b.rego", "package b")];
    let limits = |max_bytes, max_file_bytes, max_entries| Limits {
        max_bytes: Size(max_bytes),
        max_file_bytes: Size(max_file_bytes),
        max_entries,
        ..Limits::default()
    };
    let rows = [
        (
            limits(5_000, 100_000, 10),
            "decompresses to more than 5000 bytes",
        ),
        (
            limits(100_000, 9_999, 10),
            "bundle file 'a.rego' exceeded max size (9999 bytes)",
        ),
        (limits(100_000, 10_000, 1), "holds more than 1 entries"),
    ];
    for (limits, message) in rows {
        let settings = BundleSettings {
            limits,
            ..BundleSettings::default()
        };
        let error = Bundle::from_archive("b", &archive(&files), &settings)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
    // What just fits is read.
    let settings = BundleSettings {
        limits: limits(100_000, 10_000, 2),
        ..BundleSettings::default()
    };
    let read = archive::read(&archive(&files), settings.limits).unwrap();
    assert_eq!(read.len(), 2);
}

#[test]
fn bombs_are_refused_before_they_are_large() {
    let zeros = gzip(&vec![0; 40 << 20]);
    // Many small members, each far from any limit.
    let members = gzip(&vec![0; 1 << 20]).repeat(40);
    let nested = gzip(&entry("a.rego", REGULAR, &vec![b' '; 40 << 20]));
    for bomb in [zeros, members, nested] {
        let error = read_bytes(&bomb).unwrap_err().to_string();
        assert_eq!(error, "decompresses to more than 200 times its size");
    }
    // A gzip stream inside is only a file.
    let inner = gzip(&gzip(&vec![0; 40 << 20]));
    assert!(read_bytes(&inner).is_err());
    // 100,000 entries, as files and as folders.
    for (name, kind) in [("f", REGULAR), ("d", b'5')] {
        let parts: Vec<_> = (0..100_000)
            .map(|number| header(&format!("{name}{number}"), kind, 0))
            .collect();
        let error = read_bytes(&whole(&parts)).unwrap_err().to_string();
        assert_eq!(error, "holds more than 20000 entries");
    }
}
