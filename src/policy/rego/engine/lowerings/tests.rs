use std::collections::HashMap;
use std::sync::Arc;

use super::Lowerings;
use crate::policy::rego::RegoModule;

const PLAIN: &str = "package a\nimport data.b.known\np if known[input.x]\n";
const OTHER: &str = "package b\nknown := {1}\n";
const CHAIN: &str = "package a.c\nr := rego.metadata.chain()\n";

fn modules(texts: &[&str]) -> Vec<RegoModule> {
    let texts = texts.iter().enumerate();
    let modules = texts.map(|(index, text)| RegoModule {
        path: format!("{index}.rego"),
        text: (*text).to_owned(),
        v0: false,
    });
    modules.collect()
}

/// Whether the first module is taken over from one revision to the next.
#[track_caller]
fn check(before: &[&str], after: &[&str], expected: bool) {
    let [before, after] = [before, after].map(modules);
    let nothing = Lowerings::default();
    let first = Lowerings::of(&before, HashMap::new(), &nothing);
    let second = Lowerings::of(&after, HashMap::new(), &first);
    let anew = Lowerings::of(&after, HashMap::new(), &nothing);
    let lowered = |all: &Lowerings| all.lowered(&after[0]).unwrap().unwrap();
    assert_eq!(lowered(&second).texts, lowered(&anew).texts, "{after:?}");
    let old = first.lowered(&after[0]).and_then(Result::ok);
    let is_same = old.is_some_and(|old| Arc::ptr_eq(&old, &lowered(&second)));
    assert_eq!(is_same, expected, "{after:?}");
}

#[test]
fn what_has_not_changed_is_not_lowered_again() {
    for (after, expected) in [
        (&[PLAIN, OTHER][..], true),
        (&[PLAIN], true),
        (&[PLAIN, "package b\nknown := {2}\nmore := 1\n"], true),
        // Another text.
        (&["package a\np if input.x == 2\n"], false),
        // Another rule or import of the package: a name can mean another thing.
        (&[PLAIN, "package a\nknown := {2}\n"], false),
        (&[PLAIN, OTHER, "package a\nimport data.c\n"], false),
        (&[PLAIN, OTHER, "package a.inside\nq := 1\n"], false),
        // The beginning of a name is none of its parts.
        (&[PLAIN, OTHER, "package ab\nknown := 1\n"], true),
    ] {
        check(&[PLAIN, OTHER], after, expected);
    }
    // Comments say what others are told of them.
    let with =
        |title: &str| format!("# METADATA\n# scope: subpackages\n# title: {title}\npackage a\n");
    let [one, two] = ["one", "two"].map(with);
    check(&[CHAIN, &one], &[CHAIN, &one], true);
    check(&[CHAIN, &one], &[CHAIN, &two], false);
    check(&[PLAIN, &one], &[PLAIN, &two], true);
}

#[test]
fn what_is_wrong_is_said_each_time() {
    let modules = modules(&["package a\np if $\"{\"\n", OTHER]);
    let first = Lowerings::of(&modules, HashMap::new(), &Lowerings::default());
    let second = Lowerings::of(&modules, HashMap::new(), &first);
    for lowerings in [first, second] {
        let [wrong, right] = modules.as_slice() else {
            panic!("two modules");
        };
        let error = lowerings.lowered(wrong).unwrap().unwrap_err();
        assert_eq!((error.code, error.row), ("rego_parse_error", 2));
        assert!(lowerings.lowered(right).unwrap().is_ok());
    }
}
