//! What an entrypoint reads by way of rules and functions.

use super::*;
use crate::policy::rego::engine::LENGTHS;
use crate::policy::rego::module::Analysis;

#[test]
fn reads_are_those_of_what_is_reached() {
    const UNUSED: &str = "package other\nr := input.unused";
    let rows: &[(&[&str], &[&str])] = &[
        (
            &["allow if r\nr if HTTP.method\nunused if HTTP.path", UNUSED],
            &["….method"],
        ),
        (
            &["allow if f(1)\nf(_) if HTTP.method\ng(_) if HTTP.path"],
            &["….method"],
        ),
        (
            &["allow if r[1]\nr contains x if { x := HTTP.method }"],
            &["….method"],
        ),
        (
            &["allow if r.b.c\nr.b.c := HTTP.method\nr.d := HTTP.path"],
            &["….method"],
        ),
        // The interpreter evaluates all of `r` when a part is asked that does not exist.
        (
            &["allow if r.e\nr.b.c := HTTP.method\nr.d := HTTP.path"],
            &["….method", "….path"],
        ),
        (
            &["allow if r[\"d\"]\nr[k] := HTTP.method if { k := \"d\" }"],
            &["….method"],
        ),
        (
            &["allow if { every _ in [1] { r } }\nr if HTTP.method"],
            &["….method"],
        ),
        (
            &["allow := {\"a\": {x: [r]}} if { x := 1 }\nr := HTTP.method"],
            &["….method"],
        ),
        // Other packages.
        (
            &[
                "allow if data.lib.a.r",
                "package lib.a\nr if HTTP.method\ns if HTTP.path",
            ],
            &["….method"],
        ),
        (
            &[
                "allow if data.lib.a",
                "package lib.a\nr if HTTP.method\ns if HTTP.path",
            ],
            &["….method", "….path"],
        ),
        (
            &[
                "allow if data.lib",
                "package lib.a\nr if HTTP.method",
                "package lib.b\nr if HTTP.path",
                UNUSED,
            ],
            &["….method", "….path"],
        ),
        (
            &[
                "allow if data.lib[x].r",
                "package lib.a\nr if HTTP.method",
                "package lib.b\nr if HTTP.path",
                UNUSED,
            ],
            &["….method", "….path"],
        ),
        (
            &[
                "import data.lib.a\nallow if a.r",
                "package lib.a\nr if HTTP.method\ns if HTTP.path",
            ],
            &["….method"],
        ),
        (
            &[
                "import data.lib.a as b\nallow if b.f(1)",
                "package lib.a\nf(_) if s\ns if HTTP.path",
            ],
            &["….path"],
        ),
        (
            &[
                "import data.lib.a.r as q\nallow if q",
                "package lib.a\nr if HTTP.method\ns if HTTP.path",
            ],
            &["….method"],
        ),
        (
            &[
                "import data.lib.a.f as q\nallow if q(1)",
                "package lib.a\nf(_) if HTTP.method\ns if HTTP.path",
            ],
            &["….method"],
        ),
        // A variable that hides an import further in is another.
        (
            &[
                "import data.lib.a\nallow if { a.h.method; count([1 | a := 1]) > 0 }",
                "package lib.a\nh := HTTP\ns := HTTP.path",
            ],
            &["….method"],
        ),
        (&["import data.users\nallow if users.a", UNUSED], &[]),
        // `with`.
        (
            &["a if HTTP.method\nallow if a with input as {\"b\": HTTP.host}"],
            &["….host", "….method"],
        ),
        (
            &["a if HTTP.method\nallow if a with HTTP.method as HTTP.host"],
            &["….host", "….method"],
        ),
        (
            &[
                "allow if data.x.y with data.x as data.lib",
                "package lib\ny if HTTP.path",
            ],
            &["….path"],
        ),
        (
            &["f(_) if HTTP.path\ng(_) if HTTP.host\nallow if f(1) with f as g"],
            &["….host", "….path"],
        ),
        (
            &["g(_) if HTTP.host\nallow if count([]) == 1 with count as g"],
            &["….host"],
        ),
        (
            &[
                "allow if count([]) == 1 with count as data.lib.g",
                "package lib\ng(_) if HTTP.host",
            ],
            &["….host"],
        ),
        (
            &[
                "import data.lib as l\nallow if count([]) == 1 with count as l.g",
                "package lib\ng(_) if HTTP.host",
            ],
            &["….host"],
        ),
        (
            &[
                "r := count([])\nallow if data.lib.s with count as data.lib.g",
                "package lib\ns if data.envoy.authz.r\ng(_) if HTTP.host",
            ],
            &["….host"],
        ),
        // A variable that hides a rule is another; a parameter of its name counts for both.
        (&["allow if { r := 1; r == 1 }\nr if HTTP.method"], &[]),
        (
            &["allow if f(1)\nf(r) if r == 1\nr if HTTP.method"],
            &["….method"],
        ),
    ];
    for (modules, expected) in rows {
        let first = format!("package envoy.authz\n{}\n", modules[0]);
        let rest = modules.iter().skip(1).copied();
        let modules: Vec<_> = std::iter::once(&*first).chain(rest).collect();
        check(&modules, expected);
    }
}

#[test]
fn each_entrypoint_has_its_own_reads() {
    let text = "package envoy.authz\nallow if input.attributes.request.http.method\n\
                other if input.attributes.request.http.host\n\
                third if time.now_ns() > data.limits.a\n";
    let providers = [
        ("b", "envoy/authz/other"),
        ("c", "/envoy/authz/third/"),
        ("d", "envoy/authz"),
    ];
    let settings = RegoSettings {
        providers: providers
            .map(|(name, path)| (name.to_owned(), path.to_owned()))
            .into(),
        ..settings()
    };
    let policies =
        RegoPolicies::compile(&[module("p.rego", text)], Data::default(), &settings).unwrap();
    let told = |entrypoint: &Entrypoint| {
        (
            entrypoint
                .input()
                .references("input")
                .join(" ")
                .replace(HTTP, "…"),
            entrypoint.data().references("data").join(" "),
            entrypoint.reads().volatile.clone().unwrap_or_default(),
        )
    };
    let asked = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        policies.asked(&names).map(told).collect::<Vec<_>>()
    };
    let row = |input: &str, data: &str, volatile: &str| {
        (input.to_owned(), data.to_owned(), volatile.to_owned())
    };
    let allow = row("….method", "", "");
    let alone = vec![allow.clone()];
    assert_eq!(asked(&[]), alone);
    assert_eq!(asked(&["nobody"]), alone);
    assert_eq!(asked(&["b"]), [allow.clone(), row("….host", "", "")]);
    assert_eq!(
        asked(&["c", "d"]),
        [
            allow,
            row("", "data.limits.a", "time.now_ns"),
            row(
                "….host ….method",
                "data.envoy.authz data.limits.a",
                "time.now_ns"
            ),
        ]
    );
}

/// Every rule refers to many, and many rules to all: each is looked at once.
#[test]
fn references_between_many_rules_are_followed_once() {
    use std::fmt::Write as _;

    let mut text = "package envoy.authz\nallow if r0\n".to_owned();
    for at in 0..10_000 {
        let next = at + 1;
        writeln!(
            text,
            "r{at} if {{ r{next}; data.lib.s{at}; deny[_]; data.lib[input.k] }}"
        )
        .unwrap();
        writeln!(text, "deny contains {at} if data.lib").unwrap();
    }
    text.push_str("r10000 if HTTP.method\n");
    let mut library = "package lib\n".to_owned();
    for at in 0..10_000 {
        writeln!(library, "s{at} if input.a").unwrap();
    }
    let engine = |text: &str, library: &str| {
        let mut engine = regorus::Engine::new();
        engine.set_policy_length_config(LENGTHS);
        for text in [text, library] {
            engine
                .add_policy("p.rego".to_owned(), text.to_owned())
                .unwrap();
        }
        engine
    };
    let mut engine = engine(&text.replace("HTTP", HTTP), &library);
    let analysis = Analysis::of(engine.get_modules()).unwrap();
    let path = ["envoy", "authz", "allow"].map(str::to_owned);
    let reached = analysis.graph.reached(&path);
    assert_eq!(
        reached.input.references("input"),
        ["input.a", "input.attributes.request.http.method", "input.k"]
    );
}
