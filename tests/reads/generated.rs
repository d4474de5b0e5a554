//! Policies put together from statements of all kinds: names for parts of the input, rules, functions,
//! imports, `with`, comprehensions, dynamic references.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Rules. `R` is the name of the rule, `I` a part of the input, `O` another part, `S` some rule that
/// comes later, `F` a function that does.
const RULES: &[&str] = &[
    "R := I",
    "R := I\nR := O",
    "default R := {}\nR := I",
    "R := S.b",
    "R := [S.b, S.c]",
    "R if S.nope",
    "R.a := I\nR.e := v if { some v in O }",
    "R := I if S",
    "R := [S, I]",
    "R := {\"x\": S, \"y\": I}",
    "R contains x if { some x in I }",
    "R[k] := v if { some k, v in I }",
    "R.a.b := I",
    "R[k].z := v if { some k, v in S }",
    "R := {x | some x in [S, I]}",
    "R := [y | y := {k: v | some k, v in I}]",
    "R := y if { x := I; y := x.b }",
    "R if { x := I; y := x.b; object.get(y, \"c\", 1) == 1 }",
    "R := y if { x := S; y := x.b }",
    "R := [x.b, x] if { x := I }\nelse := O",
    "R := x if { x := I; not x.b }",
    "R := x.c if { x := I.b }\nelse := x.d if { x := O }",
    "R := object.get(I, \"b\", S)",
    "R := object.get(I, [\"b\", \"c\"], O)",
    "R := object.get(S, \"b\", O)",
    "R := x if { x := S with input as {\"a\": I} }",
    "R := x if { x := S with input.a as I }",
    "R := x if { x := S with input.a.b as O with input as I }",
    "R := x if { x := S with data.lib.r2 as I }",
    "R := x if { x := data.base.k with data.base as {\"k\": I} }",
    "R := x if { x := S with F as I }",
    "R := x if { x := S with count as data.lib.f9 }",
    "R := x if { x := [object.get(I, \"b\", 1), S] with object.get as data.lib.g9 }",
    "R := F(I)",
    "R := F(S)",
    "default R := 0\nR := I if S",
    "R := 1 if S\nelse := I",
    "R if every x in [I] { x == S }",
    "R if every k, v in I { F(v) == k }",
    "R := [v | walk(I, [_, v])]",
    "R := count(walk(I))",
    "R if not I",
    "R if not F(I)",
    "R := sprintf(\"%v %v\", [I, S])",
    "R := $\"{I} {S}\"",
    "R := I[S]",
    "R := I[_]",
    "R := I[O]",
    "R := S[O]",
    "R := data.base[I]",
    "R := data.base.k[S]",
    "R := json.marshal(I)",
    "R := x if { [x, _] = [I, S] }",
    "R := x if { {\"b\": x} = I }",
    "R := I.b if { I.b.c == O }",
    "R := I == O",
    "R := I if { O }",
    "R if \"a\" in I",
    "R := x if { some x; I[x] == S }",
    "R := union({{I}, {S}})",
];

/// Functions, by the same names.
const FUNCTIONS: &[&str] = &[
    "R(x) := x",
    "R(x) := x.b",
    "R(x) := [x, S]",
    "R(x) := I if x",
    "R(x) := y if { y := I; y.b == x }",
    "R(x) := F(x.b)",
    "R({\"b\": x}) := x",
    "default R(_) := 1\nR(x) := I.b if x == O",
];

const INPUTS: &[&str] = &[
    "input",
    "input.a",
    "input.a.b",
    "input.a.b.c",
    "input.a[\"b\"]",
    "input.d",
    "input.d.b",
    "input.nope.b",
    "input.s",
    "input.l",
    "input.l[0]",
    "al",
    "al.b",
    "al.b.c",
    "doc.d",
    "deep",
];

/// Rules of both packages that can be named from the first.
const SOME: &[&str] = &[
    "r#",
    "data.p.r#",
    "lib.r#",
    "data.lib.r#",
    "data.lib[\"r#\"]",
    "one",
    "one.b",
];
const DYNAMIC: &[&str] = &["data.lib", "data.lib[_]", "data[\"lib\"]", "lib[input.s]"];

/// A rule, its parts by number.
type Choice = (usize, usize, usize, usize, bool);

/// The text of a rule that only refers to later ones, so that there is no circle.
fn rule(package: &str, at: usize, (kind, input, other, next, function): Choice) -> String {
    let later = |step: usize| at + 1 + step % 3;
    let reference = if package == "lib" {
        format!("r{}", later(next))
    } else if next % 11 == 10 {
        DYNAMIC[next % DYNAMIC.len()].to_owned()
    } else {
        SOME[next % SOME.len()].replace('#', &later(next / SOME.len()).to_string())
    };
    let text = match function {
        true => FUNCTIONS[kind % FUNCTIONS.len()],
        false => RULES[kind % RULES.len()],
    };
    let name = if function { "f" } else { "r" };
    let mut result = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\n']) {
        if letter.is_alphanumeric() {
            word.push(letter);
            continue;
        }
        match word.as_str() {
            "R" => result.push_str(&format!("{name}{at}")),
            "I" => result.push_str(INPUTS[input % INPUTS.len()]),
            "O" => result.push_str(INPUTS[other % INPUTS.len()]),
            "S" => result.push_str(&reference),
            "F" => result.push_str(&format!("f{}", later(other))),
            other => result.push_str(other),
        }
        word.clear();
        result.push(letter);
    }
    result
}

fn module(package: &str, rules: &[Choice]) -> String {
    let mut text = format!(
        "package {package}\nimport input as doc\nimport input.a as al\nimport input.a.b as deep\n"
    );
    if package == "p" {
        text.push_str("import data.lib\nimport data.lib.r1 as one\n");
    }
    for (at, choice) in rules.iter().enumerate() {
        text.push_str(&rule(package, at, *choice));
    }
    // What is referred to and not there yet.
    for at in 0..rules.len() + 3 {
        let function = rules.get(at).map(|choice| choice.4);
        if function != Some(true) {
            text.push_str(&format!("f{at}(x) := x if {{ x == \"no {package}\" }}\n"));
        }
        if function != Some(false) {
            text.push_str(&format!("r{at} := input.d.{package}\n"));
        }
    }
    text.push_str("f9(x) := [x]\ng9(o, _, _) := [o]\n");
    text
}

fn choice() -> impl Strategy<Value = Choice> {
    (
        0..1000usize,
        0..1000usize,
        0..1000usize,
        0..1000usize,
        prop::bool::weighted(0.2),
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = select(vec![
        json!("a"),
        json!("b"),
        json!("r1"),
        json!("k"),
        json!(0),
        json!(true),
        json!(false),
        json!(null),
    ]);
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = select(vec!["a", "b", "c", "d", "p", "lib", "r1"]).prop_map(str::to_owned);
        prop_oneof![
            3 => prop::collection::btree_map(name, inner.clone(), 0..4).prop_map(|members| json!(members)),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

fn input() -> impl Strategy<Value = Value> {
    let name = select(vec!["a", "d", "s", "l", "e"]).prop_map(str::to_owned);
    prop::collection::btree_map(name, value(), 1..9).prop_map(|members| json!(members))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, max_global_rejects: 40_000, ..ProptestConfig::default() })]

    #[test]
    fn unread_input_makes_no_difference(
        rules in prop::collection::vec(choice(), 1..7),
        library in prop::collection::vec(choice(), 1..5),
        inputs in prop::collection::vec(input(), 6),
    ) {
        let texts = [module("p", &rules), module("lib", &library)];
        let modules = modules([("p.rego", &*texts[0]), ("lib.rego", &*texts[1])], false);
        let data = Data::from_json(json!({"base": {"k": {"a": 1, "b": "a"}, "a": [1]}}));
        let asked = ["p/r0", "p/f0", "lib/r1", "p"];
        let settings = RegoSettings {
            asked: Asked::Rule("p/r0".to_owned()),
            providers: asked.map(|path| (path.to_owned(), path.to_owned())).into(),
            ..settings()
        };
        let policies = RegoPolicies::compile(&modules, data, &settings);
        prop_assume!(policies.is_ok());
        let policies = policies.unwrap();
        for path in asked {
            let query = format!("data.{} = x", path.replace('/', "."));
            let read = policies.provider(path).unwrap().input();
            for input in &inputs {
                let same = check(&policies, &query, input, read);
                prop_assert!(same.is_ok(), "{}\n{}", same.unwrap_err(), texts.join("\n"));
            }
        }
    }
}
