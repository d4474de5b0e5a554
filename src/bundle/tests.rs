mod archives;
mod deltas;
mod flips;
mod signatures;

use std::io::Write as _;

use serde_json::json;

use super::*;

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(text.len() as u64);
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn read(files: &[(&str, &str)]) -> Result<Bundle, BundleError> {
    Bundle::from_archive("b", &archive(files), &BundleSettings::default())
}

#[test]
fn data_files_lie_where_their_folder_is() {
    let bundle = read(&[
        ("data.json", "{\"a\": {\"x\": 1}}"),
        ("a/data.yaml", "y: [1, two]\n"),
        ("a/b/data.json", "{\"z\": 12345678901234567890}"),
        ("a/other.json", "not read"),
        ("policy.wasm", "not read"),
    ])
    .unwrap();
    let mut expected = Data::from_json(json!({"a": {"x": 1, "y": [1, "two"]}}));
    let large = Data::parse("{\"a\": {\"b\": {\"z\": 12345678901234567890}}}").unwrap();
    expected.merge(large).unwrap();
    assert_eq!(bundle.data, expected);
}

#[test]
fn data_that_says_two_things_is_refused() {
    let same = read(&[
        ("data.json", "{\"a\": {\"x\": 1}}"),
        ("a/data.json", "{\"x\": 1}"),
    ]);
    assert!(same.is_ok());
    let other = read(&[
        ("data.json", "{\"a\": {\"x\": 1}}"),
        ("a/data.json", "{\"x\": 2}"),
    ]);
    assert!(
        other
            .unwrap_err()
            .to_string()
            .contains("conflicting values at `data.a.x`")
    );
}

#[test]
fn manifests_are_read_and_checked() {
    let bundle = read(&[(
        ".manifest",
        "{\"revision\": \"7\", \"roots\": [\"/a/\", \"b/c\"], \"more\": 1}",
    )])
    .unwrap();
    assert_eq!(
        (bundle.manifest.revision.as_str(), bundle.manifest.roots),
        ("7", vec!["a".to_owned(), "b/c".to_owned()])
    );
    let rows = [
        (
            "{\"roots\": [\"a\", \"a/b\"]}",
            "overlapped roots: 'a' and 'a/b'",
        ),
        ("{\"roots\": [\"\", \"a\"]}", "overlapped roots"),
        ("{\"rego_version\": 2}", "neither 0 nor 1"),
        ("{\"roots\": \"a\"}", "invalid type"),
        ("{", "EOF"),
    ];
    for (manifest, message) in rows {
        let error = read(&[(".manifest", manifest)]).unwrap_err().to_string();
        assert!(error.contains(message), "{manifest}: {error}");
    }
}

#[test]
fn roots_own_whole_segments() {
    let manifest = |roots: &[&str]| Manifest {
        roots: roots.iter().map(ToString::to_string).collect(),
        ..Manifest::default()
    };
    let rows: &[(&[&str], &str, bool)] = &[
        (&[""], "a/b", true),
        (&["a"], "a", true),
        (&["a"], "a/b", true),
        (&["a"], "ab", false),
        (&["a/b"], "a", false),
        (&[], "a", false),
    ];
    for (roots, path, owned) in rows {
        assert_eq!(manifest(roots).owns(path), *owned, "{roots:?} {path}");
    }
    let overlaps =
        |left: &[&str], right: &[&str]| manifest(left).overlaps(&manifest(right)).next().is_some();
    assert!(overlaps(&["a"], &["a/b"]) && overlaps(&["a/b"], &["a"]) && overlaps(&[""], &["x"]));
    assert!(!overlaps(&["a"], &["ab"]) && !overlaps(&["a/b"], &["a/c"]) && !overlaps(&[], &[""]));
}

#[test]
fn the_language_version_is_the_nearest_given() {
    let manifest =
        "{\"rego_version\": 1, \"file_rego_versions\": {\"/old/*.rego\": 0, \"/old/new.rego\": 1}}";
    let files = ["old/a.rego", "old/new.rego", "old/deep/a.rego", "a.rego"];
    let mut all = vec![(".manifest", manifest)];
    all.extend(files.map(|path| (path, "package a\n")));
    let bundle = read(&all).unwrap();
    let v0: Vec<_> = bundle.modules.iter().map(|module| module.v0).collect();
    assert_eq!(v0, [true, false, false, false]);
}

/// What a bundle does not say, whoever reads it does.
#[test]
fn a_language_version_is_that_of_the_reader_unless_it_is_told() {
    let rows = [
        ("{}", [true, true]),
        (r#"{"rego_version": 0}"#, [true, true]),
        (r#"{"rego_version": 1}"#, [false, false]),
        (r#"{"file_rego_versions": {"/a.rego": 1}}"#, [false, true]),
        (
            r#"{"rego_version": 1, "file_rego_versions": {"/b.rego": 0}}"#,
            [false, true],
        ),
    ];
    let settings = BundleSettings {
        v0: true,
        ..BundleSettings::default()
    };
    for (manifest, expected) in rows {
        let files = [
            (".manifest", manifest),
            ("a.rego", "package a\n"),
            ("b.rego", "package b\n"),
        ];
        let bundle = Bundle::from_archive("b", &archive(&files), &settings).unwrap();
        let v0: Vec<_> = bundle.modules.iter().map(|module| module.v0).collect();
        assert_eq!(v0, expected, "{manifest}");
    }
}

#[test]
fn stars_of_language_versions_stay_in_their_segment() {
    let many = format!("/{}b.rego", "*a".repeat(40));
    let long = format!("{}.rego", "a".repeat(90));
    let rows = [
        ("/*", "a.rego", true),
        ("/*", "a/b.rego", false),
        ("/*/*", "a/b.rego", true),
        ("/a*.rego", "ab.rego", true),
        ("/a*.rego", "a.rego", true),
        ("/a*a.rego", "a.rego", false),
        ("/*a*b*.rego", "xaxbx.rego", true),
        ("/*a*b*.rego", "xbxax.rego", false),
        ("/**.rego", "a.rego", true),
        ("/ab*ba.rego", "aba.rego", false),
        ("a.rego", "a.rego", false),
        // Trying all ways to share out the letters among the stars would take for ever.
        (many.as_str(), long.as_str(), false),
    ];
    for (glob, path, expected) in rows {
        let manifest = serde_json::json!({"file_rego_versions": {glob: 0}}).to_string();
        let bundle = read(&[(".manifest", &manifest), (path, "package a\n")]).unwrap();
        assert_eq!(bundle.modules[0].v0, expected, "{glob} {path}");
    }
}

#[test]
fn policy_that_is_no_rego_is_ignored_with_a_note() {
    let bundle = read(&[
        (
            ".manifest",
            "{\"wasm\": [{\"entrypoint\": \"p/allow\", \"module\": \"/policy.wasm\"}, \
             {\"entrypoint\": \"q/allow\", \"module\": \"/policy.wasm\"}], \
             \"metadata\": {\"team\": \"payments\"}, \"roots\": null, \"revision\": null}",
        ),
        ("policy.wasm", "\0asm"),
        ("plan.json", "{}"),
        ("a/plan.json", "{}"),
        ("p.rego", "package p\n"),
    ])
    .unwrap();
    let warnings: Vec<_> = bundle.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "b/policy.wasm: warning: policy.wasm is ignored: policy is evaluated as Rego, not as Wasm",
            "b/plan.json: warning: plan.json is ignored: policy is evaluated as Rego, not as a plan",
            "b/.manifest: warning: entrypoint 'q/allow' is there as Wasm only, which is ignored: \
             build the bundle with Rego in it",
        ]
    );
    assert_eq!(bundle.manifest.metadata, Some(json!({"team": "payments"})));
    assert_eq!(bundle.manifest.roots, [""]);
}

/// Whose a module is does not depend on how much else is in it.
#[test]
fn roots_hold_for_modules_of_any_form() {
    let module = "package envoy.authz\n\nallow := true\n";
    let forms = [
        module.to_owned(),
        format!("{module}x := \"{}\"\n", "x".repeat(3_000)),
        format!("{}{module}", "\n".repeat(30_000)),
        format!("{module}{}", "# a comment\n".repeat(100_000)),
        format!("# {}\n{module}", "x".repeat(50_000)),
        format!("\u{feff}{module}"),
        format!("{module}not a rule"),
        "package\n# here\nenvoy.authz\nallow := true\n".to_owned(),
        "package envoy[\"authz\"]\nallow := true\n".to_owned(),
        "package envoy[\"\\u0061uthz\"]\nallow := true\n".to_owned(),
    ];
    for form in forms {
        let bundle = read(&[(".manifest", "{\"roots\": [\"foo\"]}"), ("p.rego", &form)]);
        let shown: String = form.chars().take(40).collect();
        let error = bundle.expect_err(&shown).to_string();
        assert!(
            error.contains("do not permit 'package envoy.authz'"),
            "{shown}: {error}"
        );
    }
}

#[test]
fn names_can_stand_in_a_url() {
    for name in ["a", "A-b_c.9", &"x".repeat(253)] {
        assert!(Bundle::is_name(name), "{name}");
    }
    for name in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(254)] {
        assert!(!Bundle::is_name(name), "{name}");
    }
}

#[test]
fn a_folder_is_a_bundle_like_its_archive() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (".manifest", "{\"revision\": \"1\"}"),
        ("p.rego", "package p\n\nx := 1\n"),
        ("d/data.json", "{\"y\": 2}"),
    ];
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(folder.path().join(".hidden.rego"), "not read").unwrap();
    let from_folder = Bundle::from_path("b", folder.path(), &BundleSettings::default()).unwrap();
    let from_archive = read(&files).unwrap();
    assert_eq!(from_folder.data, from_archive.data);
    assert_eq!(from_folder.manifest, from_archive.manifest);
    assert_eq!(from_folder.modules, from_archive.modules);
}
