//! Deltas: what they change, what they may not, and that what comes of signed ones is still signed.

use super::signatures::{SECRET, secret_rules};
use super::*;
use crate::identity::JwsAlgorithm;

const BASE: &str = "{\"a\": {\"b\": {\"x\": 1, \"list\": [1, 2, 3]}, \"n\": [12345678901234567890123, 0.1, 1e-7, -1.5e300]}}";

fn base() -> Bundle {
    read(&[
        (
            ".manifest",
            "{\"revision\": \"1\", \"roots\": [\"a\", \"p\"], \"metadata\": {\"m\": 1}}",
        ),
        ("data.json", BASE),
        ("p/p.rego", "package p\n"),
    ])
    .unwrap()
}

fn delta(manifest: &str, operations: &str) -> Result<Delta, BundleError> {
    let patch = format!("{{\"data\": {operations}}}");
    let files = [(".manifest", manifest), ("patch.json", patch.as_str())];
    match Bundle::read_archive("b", &archive(&files), &BundleSettings::default())? {
        Content::Delta(delta) => Ok(*delta),
        Content::Whole(_) => panic!("is no delta"),
    }
}

const MANIFEST: &str = "{\"revision\": \"2\", \"roots\": [\"p\", \"a\"]}";

/// What one change makes of the part of the data that deltas change.
fn changed(operation: &str) -> Result<String, String> {
    let delta = delta(MANIFEST, &format!("[{operation}]")).map_err(|error| error.to_string())?;
    let bundle = base()
        .with_delta(&delta)
        .map_err(|error| error.to_string())?;
    assert_eq!(bundle.manifest.revision, "2");
    assert_eq!(bundle.modules, base().modules);
    let inner = bundle.data.member("a").unwrap_or_else(Data::null);
    Ok(inner.member("b").unwrap_or_else(Data::null).to_text())
}

#[test]
fn changes_are_made_where_they_point() {
    let rows = [
        (
            "\"upsert\", \"path\": \"/a/b/x\", \"value\": 2",
            "{\"list\":[1,2,3],\"x\":2}",
        ),
        (
            "\"upsert\", \"path\": \"a/b/x/\", \"value\": 2",
            "{\"list\":[1,2,3],\"x\":2}",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/x\"",
            "{\"list\":[1,2,3],\"x\":null}",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/new/deep\", \"value\": {\"y\": []}",
            "{\"list\":[1,2,3],\"new\":{\"deep\":{\"y\":[]}},\"x\":1}",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/list/1\", \"value\": 9",
            "{\"list\":[1,9,2,3],\"x\":1}",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/list/-\", \"value\": 9",
            "{\"list\":[1,2,3,9],\"x\":1}",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/list/3\", \"value\": 9",
            "{\"list\":[1,2,3,9],\"x\":1}",
        ),
        (
            "\"replace\", \"path\": \"/a/b/list/0\", \"value\": 9",
            "{\"list\":[9,2,3],\"x\":1}",
        ),
        (
            "\"remove\", \"path\": \"/a/b/list/0\"",
            "{\"list\":[2,3],\"x\":1}",
        ),
        ("\"remove\", \"path\": \"/a/b/list\"", "{\"x\":1}"),
        (
            "\"replace\", \"path\": \"/a/b\", \"value\": [true]",
            "[true]",
        ),
        ("\"remove\", \"path\": \"/a/b\"", "null"),
        (
            "\"upsert\", \"path\": \"/a/b/c~1d~0e%20f\", \"value\": 1",
            "{\"c/d~e f\":1,\"list\":[1,2,3],\"x\":1}",
        ),
    ];
    for (operation, expected) in rows {
        let operation = format!("{{\"op\": {operation}}}");
        assert_eq!(changed(&operation).as_deref(), Ok(expected), "{operation}");
    }
}

#[test]
fn changes_that_cannot_be_made_are_refused() {
    let rows = [
        (
            "\"replace\", \"path\": \"/a/b/y\", \"value\": 2",
            "storage_not_found_error: /a/b/y: document does not exist",
        ),
        (
            "\"remove\", \"path\": \"/a/b/y\"",
            "storage_not_found_error: /a/b/y: document does not exist",
        ),
        (
            "\"remove\", \"path\": \"/a/c/y\"",
            "document does not exist",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/x/y\", \"value\": 2",
            "storage_write_conflict_error: /a/b/x",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/list/4\", \"value\": 2",
            "array index out of range",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/list/x\", \"value\": 2",
            "array index must be integer",
        ),
        (
            "\"upsert\", \"path\": \"/a/b/list/-1\", \"value\": 2",
            "array index must be integer",
        ),
        (
            "\"remove\", \"path\": \"/a/b/list/-\"",
            "array index must be integer",
        ),
        (
            "\"replace\", \"path\": \"/a/b/list/3\", \"value\": 2",
            "array index out of range",
        ),
        (
            "\"add\", \"path\": \"/a/b\", \"value\": 2",
            "bad patch operation: add",
        ),
        ("\"upsert\", \"value\": 2", "`path` must be a string"),
        (
            "\"upsert\", \"path\": \"/\", \"value\": 2",
            "error parsing patch path",
        ),
        (
            "\"upsert\", \"path\": \"/a/%zz\", \"value\": 2",
            "error parsing patch path",
        ),
        (
            "\"upsert\", \"path\": \"/a/%ff\", \"value\": 2",
            "error parsing patch path",
        ),
        // Roots, whole part by whole part.
        (
            "\"upsert\", \"path\": \"/c\", \"value\": 2",
            "manifest roots [p a] do not permit data patch at path 'c'",
        ),
        (
            "\"upsert\", \"path\": \"/ab\", \"value\": 2",
            "do not permit data patch at path 'ab'",
        ),
        (
            "\"upsert\", \"path\": \"/a~1b\", \"value\": 2",
            "do not permit data patch",
        ),
        (
            "\"upsert\", \"path\": \"/a%2fb\", \"value\": 2",
            "do not permit data patch",
        ),
    ];
    for (operation, message) in rows {
        let operation = format!("{{\"op\": {operation}}}");
        let error = changed(&operation).unwrap_err();
        assert!(error.contains(message), "{operation}: {error}");
    }
    for (manifest, operations, message) in [
        (MANIFEST, "{}", "`data` is an array"),
        (MANIFEST, "[1]", "bad patch operation"),
        ("{\"revision\": \"2\"}", "[]", "roots that are different"),
        ("{\"roots\": [\"a\"]}", "[]", "roots that are different"),
        (
            "{\"roots\": [\"a\", \"p\"], \"wasm\": []}",
            "[]",
            "wasm resolvers or manifest roots",
        ),
    ] {
        let result = delta(manifest, operations).and_then(|delta| base().with_delta(&delta));
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    for path in ["data.json", "x/data.yaml", "p.rego", "policy.wasm"] {
        let files = [("patch.json", "{\"data\": []}"), (path, "{}")];
        let error = Bundle::read_archive("b", &archive(&files), &BundleSettings::default());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("expected to contain only patch file"),
            "{error}"
        );
    }
    let error = read(&[("patch.json", "{\"data\": []}")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("is a delta bundle"), "{error}");
}

/// Each change in front of a long array moves all of it.
#[test]
fn changes_of_large_arrays_are_bounded() {
    let data = format!("{{\"a\": [{}0]}}", "0,".repeat(100_000));
    let base = read(&[("data.json", data.as_str())]).unwrap();
    let many = |operation: &str| {
        let operations = vec![operation; 3_000].join(",");
        let delta = delta("{}", &format!("[{operations}]")).unwrap();
        base.with_delta(&delta).map_err(|error| error.to_string())
    };
    let error = many("{\"op\": \"upsert\", \"path\": \"/a/0\"}").unwrap_err();
    assert!(error.contains("moves more than"), "{error}");
    assert!(many("{\"op\": \"replace\", \"path\": \"/a/0\"}").is_ok());
}

#[test]
fn what_a_delta_makes_is_kept_as_a_whole_bundle() {
    let operation = "{\"op\": \"upsert\", \"path\": \"/a/b/x\", \"value\": 1e3}";
    let delta = delta(MANIFEST, &format!("[{operation}]")).unwrap();
    let changed = base().with_delta(&delta).unwrap();
    let archive = changed.to_archive().unwrap();
    assert_eq!(archive, changed.clone().to_archive().unwrap());
    let again = Bundle::from_archive("b", &archive, &BundleSettings::default()).unwrap();
    assert_eq!(again.data, changed.data);
    assert_eq!(again.modules, changed.modules);
    assert_eq!(again.manifest, changed.manifest);
    assert_eq!(again.manifest.metadata, Some(json!({"m": 1})));
}

/// An archive with its own signature.
fn signed(files: &[(&str, &str)]) -> Vec<u8> {
    let file = |(path, text): &(&str, &str)| BundleFile {
        path: (*path).to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let mut files: Vec<_> = files.iter().map(file).collect();
    let key = SigningKey::new(JwsAlgorithm::Hs256, SECRET).unwrap();
    let bytes = sign(&files, &key, &Claims::default()).unwrap();
    let path = SIGNATURES.to_owned();
    files.push(BundleFile { path, bytes });
    write_archive(&files).unwrap()
}

/// The manifest of a delta that names the revision it changes.
fn based(revision: &str, base: &str) -> String {
    format!("{{\"revision\": \"{revision}\", \"metadata\": {{\"base_revision\": \"{base}\"}}}}")
}

/// Where signatures are required, nothing becomes active that nobody has signed.
#[test]
fn a_signed_delta_changes_the_revision_that_it_names() {
    let with = |mode| BundleSettings {
        verification: VerificationSettings::for_all(secret_rules(mode)),
        ..BundleSettings::default()
    };
    let whole = |revision: &str| {
        let manifest = format!("{{\"revision\": \"{revision}\"}}");
        signed(&[("data.json", "{\"x\": 1}"), (".manifest", &manifest)])
    };
    let check = |at: &str, manifest: &str, mode: Mode, expected: &str| {
        let base = Bundle::from_archive("b", &whole(at), &with(mode)).unwrap();
        let delta = signed(&[("patch.json", "{\"data\": []}"), (".manifest", manifest)]);
        let Content::Delta(delta) = Bundle::read_archive("b", &delta, &with(mode)).unwrap() else {
            panic!("is no delta");
        };
        let error = base.changed_by(&delta, &with(mode)).err();
        let error = error.map_or_else(String::new, |error| error.to_string());
        assert!(
            error.contains(expected) && error.is_empty() == expected.is_empty(),
            "{manifest} to {at}: {error}"
        );
    };
    let required = Mode::Required;
    check("1", &based("2", "1"), required, "");
    check(
        "4",
        &based("2", "1"),
        required,
        "changes revision '1', and the bundle is at '4'",
    );
    check(
        "2",
        &based("2", "1"),
        required,
        "changes revision '1', and the bundle is at '2'",
    );
    check(
        "2",
        &based("2", "2"),
        required,
        "makes revision '2' of itself",
    );
    check(
        "",
        &based("2", ""),
        required,
        "must name the revision it changes",
    );
    check(
        "1",
        "{\"revision\": \"2\"}",
        required,
        "must name the revision it changes",
    );
    let number = "{\"revision\": \"2\", \"metadata\": {\"base_revision\": 1}}";
    check("1", number, required, "must name the revision it changes");
    check("4", &based("2", "1"), Mode::VerifyIfPresent, "");
}

#[test]
fn signed_deltas_of_a_signed_bundle_make_a_signed_one() {
    let settings = |mode| BundleSettings {
        verification: VerificationSettings::for_all(secret_rules(mode)),
        ..BundleSettings::default()
    };
    let required = settings(Mode::Required);
    let whole = signed(&[
        (".manifest", "{\"revision\": \"1\"}"),
        ("data.json", "{\"x\": 1}"),
        ("p.rego", "package p\n"),
    ]);
    let step = |value: u32| {
        let patch =
            format!("{{\"data\": [{{\"op\": \"upsert\", \"path\": \"/x\", \"value\": {value}}}]}}");
        let manifest = based(&value.to_string(), &(value - 1).to_string());
        signed(&[("patch.json", &patch), (".manifest", &manifest)])
    };
    let apply = |base: &Bundle, archive: &[u8], settings: &BundleSettings| {
        let content = Bundle::read_archive("b", archive, settings)?;
        let Content::Delta(delta) = content else {
            panic!("is no delta");
        };
        let archive = base.with_delta(&delta)?.to_archive()?;
        Ok::<_, BundleError>((Bundle::from_archive("b", &archive, settings)?, archive))
    };
    let first = Bundle::from_archive("b", &whole, &required).unwrap();
    let (second, _) = apply(&first, &step(2), &required).unwrap();
    let (third, stored) = apply(&second, &step(3), &required).unwrap();
    assert_eq!(third.data.to_text(), "{\"x\":3}");
    assert_eq!(third.signed.len(), 3);
    // A delta without a signature.
    let unsigned = archive(&[("patch.json", "{\"data\": []}")]);
    let error = apply(&first, &unsigned, &required).unwrap_err().to_string();
    assert_eq!(error, "bundle missing .signatures.json file");
    let lax = settings(Mode::VerifyIfPresent);
    let (mixed, archive) = apply(&first, &unsigned, &lax).unwrap();
    assert!(mixed.signed.is_empty());
    assert!(Bundle::from_archive("b", &archive, &required).is_err());
    // What stands beside the signed parts cannot say something else than they do.
    let files = archive::read(&stored, Limits::default()).unwrap();
    let change = |change: &dyn Fn(&mut Vec<BundleFile>)| {
        let mut files = files.clone();
        change(&mut files);
        let archive = write_archive(&files).unwrap();
        Bundle::from_archive("b", &archive, &required)
    };
    assert!(change(&|_| {}).is_ok());
    let edit = |path: &'static str, text: &'static str| {
        change(&move |files| {
            files.retain(|file| file.path != path);
            files.push(BundleFile {
                path: path.to_owned(),
                bytes: text.as_bytes().to_vec(),
            });
        })
    };
    for (path, text) in [
        ("data.json", "{\"x\": 4}"),
        ("p.rego", "package p\n\nallow := true\n"),
        ("q.rego", "package q\n"),
        (".manifest", "{\"revision\": \"9\"}"),
        (".doorward/signed/0001.tar.gz", "x"),
        (".doorward/signed/0003.tar.gz", "x"),
    ] {
        assert!(edit(path, text).is_err(), "{path}");
    }
    let gone = |number: usize| {
        change(&move |files| {
            let path = format!(".doorward/signed/{number:04}.tar.gz");
            files.retain(|file| file.path != path);
        })
    };
    assert!(gone(0).is_err() && gone(2).is_err());
    // What the second made of it the third has replaced, and yet is named by it.
    assert!(gone(1).is_err());
}
