//! Writes and patches of documents: what is there afterwards, and which documents are other ones.

use serde_json::json;

use super::*;

fn path(text: &str) -> Path {
    text.split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn operation(name: &str) -> Operation {
    match name {
        "add" => Operation::Add,
        "remove" => Operation::Remove,
        _ => Operation::Replace,
    }
}

/// Puts, and then makes a change; the whole afterwards, or the error, and which documents there are.
fn check(
    puts: &[(&str, serde_json::Value)],
    change: (&str, &str, serde_json::Value),
    expected: Result<serde_json::Value, &str>,
    paths: &[&str],
) {
    let mut documents = Documents::default();
    for (at, value) in puts {
        documents
            .put(&path(at), Data::from_json(value.clone()))
            .unwrap();
    }
    let (name, at, value) = change;
    let value = Data::from_json(value);
    let result = match name {
        "put" => documents.put(&path(at), value),
        "delete" => documents.remove(&path(at)),
        name => documents.patch(
            &[],
            Patch {
                operation: operation(name),
                path: path(at),
                value,
            },
        ),
    };
    let shown = format!("{puts:?}, {name} {at}");
    let actual = result.map(|_| {
        serde_json::from_str(&documents.merged().unwrap().opa_text(usize::MAX).unwrap()).unwrap()
    });
    assert_eq!(
        actual.map_err(|error| error.to_string()),
        expected.map_err(str::to_owned),
        "{shown}"
    );
    let left: Vec<_> = documents.paths().map(|path| path.join("/")).collect();
    assert_eq!(left, paths, "{shown}");
    let apart = |(at, one): (usize, &Path)| {
        documents
            .0
            .keys()
            .skip(at + 1)
            .all(|other| !other.starts_with(one))
    };
    assert!(documents.0.keys().enumerate().all(apart), "{shown}");
}

#[test]
fn a_write_touches_the_document_it_is_in() {
    let none = json!(null);
    check(
        &[],
        ("put", "a/b", json!(1)),
        Ok(json!({"a": {"b": 1}})),
        &["a/b"],
    );
    check(
        &[("a/b", json!(1))],
        ("put", "a/c", json!(2)),
        Ok(json!({"a": {"b": 1, "c": 2}})),
        &["a/b", "a/c"],
    );
    check(
        &[("a/b", json!(1)), ("a/c", json!(2))],
        ("put", "a", json!({"x": 1})),
        Ok(json!({"a": {"x": 1}})),
        &["a"],
    );
    check(
        &[("a", json!({"b": {}}))],
        ("put", "a/b/c/d", json!(1)),
        Ok(json!({"a": {"b": {"c": {"d": 1}}}})),
        &["a"],
    );
    check(
        &[("a", json!({"b": 1}))],
        ("put", "a/b/c", json!(1)),
        Err("storage_write_conflict_error: /a/b"),
        &["a"],
    );
    check(
        &[("a", json!([1]))],
        ("put", "a/0/x", json!(1)),
        Err("storage_write_conflict_error: /a/0"),
        &["a"],
    );
    check(
        &[("a", json!([1, 2]))],
        ("put", "a/1", json!(3)),
        Ok(json!({"a": [1, 3, 2]})),
        &["a"],
    );
    check(
        &[("a", json!(1))],
        ("put", "", json!({"b": 1, "c": {}})),
        Ok(json!({"b": 1, "c": {}})),
        &["b", "c"],
    );
    check(
        &[("a", json!(1))],
        ("put", "", json!([1])),
        Err("object must be placed at the root of all data"),
        &["a"],
    );
    check(
        &[("a/b", json!(1))],
        ("delete", "a/b", none.clone()),
        Ok(json!({})),
        &[],
    );
    check(
        &[("a/b", json!(1)), ("a/c", json!(2))],
        ("delete", "a", none.clone()),
        Ok(json!({})),
        &[],
    );
    check(
        &[("a", json!({"b": 1, "c": 2}))],
        ("delete", "a/b", none.clone()),
        Ok(json!({"a": {"c": 2}})),
        &["a"],
    );
    check(
        &[("a", json!({"b": 1}))],
        ("delete", "a/x", none.clone()),
        Err("storage_not_found_error: /a/x: document does not exist"),
        &["a"],
    );
    check(
        &[],
        ("delete", "a", none),
        Err("storage_not_found_error: /a: document does not exist"),
        &[],
    );
}

#[test]
fn patches() {
    let start = [("a", json!({"l": [1, 2], "o": {}}))];
    let rows = [
        (
            ("add", "a/l/-", json!(3)),
            Ok(json!({"a": {"l": [1, 2, 3], "o": {}}})),
        ),
        (
            ("add", "a/l/0", json!(3)),
            Ok(json!({"a": {"l": [3, 1, 2], "o": {}}})),
        ),
        (
            ("add", "a/l/3", json!(3)),
            Err("storage_not_found_error: /a/l/3: array index out of range"),
        ),
        (
            ("add", "a/l/x", json!(3)),
            Err("storage_not_found_error: /a/l/x: array index must be integer"),
        ),
        (
            ("add", "a/x/y", json!(3)),
            Err("storage_not_found_error: /a/x: document does not exist"),
        ),
        (
            ("add", "b", json!(3)),
            Ok(json!({"a": {"l": [1, 2], "o": {}}, "b": 3})),
        ),
        (
            ("replace", "a/l/0", json!(3)),
            Ok(json!({"a": {"l": [3, 2], "o": {}}})),
        ),
        (
            ("replace", "a/x", json!(3)),
            Err("storage_not_found_error: /a/x: document does not exist"),
        ),
        (("replace", "a", json!(3)), Ok(json!({"a": 3}))),
        (
            ("remove", "a/l/0", json!(null)),
            Ok(json!({"a": {"l": [2], "o": {}}})),
        ),
        (
            ("remove", "a/l/2", json!(null)),
            Err("storage_not_found_error: /a/l/2: array index out of range"),
        ),
        (
            ("remove", "a/zz", json!(null)),
            Err("storage_not_found_error: /a/zz: document does not exist"),
        ),
    ];
    for (change, expected) in rows {
        let left: &[&str] = if change.1 == "b" { &["a", "b"] } else { &["a"] };
        check(&start, change, expected, left);
    }
}
