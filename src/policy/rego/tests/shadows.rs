//! Variables that are named as a rule or an import is.

use super::*;

/// The document of package `p` where `user` is a rule's name, `list` one of this file's imports and
/// `other` one of another's.
fn document(rules: &str) -> Result<Json, String> {
    let text = format!(
        "package p\nimport input.l as list\nuser := 1\nhas(x) := x\n{rules}\nuses := [list, user]\n"
    );
    let other = "package p\nimport input.l as other\nused := other\n";
    let modules = [module("p.rego", &text), module("q.rego", other)];
    let policies = RegoPolicies::compile(&modules, Data::default(), &settings())
        .map_err(|errors| errors[0].to_string())?;
    let input = Data::from_json(json!({"l": ["y", "z"], "o": {"a": {"b": 1}}}));
    let solutions = policies
        .query("x = data.p", input, false, NOW_NS)
        .map_err(|error| error.to_string())?;
    let value = solutions[0].member("x").unwrap().to_json().unwrap();
    Ok(serde_json::from_str(&value).unwrap())
}

#[test]
fn a_variable_hides_the_document() {
    let rows = [
        ("r := [user | some user in [2, 3]]", json!([2, 3])),
        ("r := {user | some user in [2, 3]}", json!([2, 3])),
        (
            "r := {k: user | some k, user in {\"a\": 2}}",
            json!({"a": 2}),
        ),
        (
            "r := {list: user | some list, user in {\"a\": 2}}",
            json!({"a": 2}),
        ),
        ("r contains user if some user in [2, 3]", json!([2, 3])),
        (
            "r contains user if { user := 2 } { user := 3 }",
            json!([2, 3]),
        ),
        (
            "r[user] := list if some user, list in {\"a\": 2}",
            json!({"a": 2}),
        ),
        ("r := user if { some user; user = 3; user > 2 }", json!(3)),
        (
            "r := user if { some user in [3] } else := user + 4",
            json!(3),
        ),
        (
            "r := 0 if { some user in [3]; user > 4 } else := user + 4",
            json!(5),
        ),
        (
            "r := 0 if { user < 1 } else := user if { some user in [3] }",
            json!(3),
        ),
        ("r := user if { user := 3; user > 2 }", json!(3)),
        ("r := user if { [user, x] := [3, 4]; user < x }", json!(3)),
        (
            "r := user if { {\"k\": [user]} := {\"k\": [3]}; user > 2 }",
            json!(3),
        ),
        (
            "r := x if { some {\"k\": user} in [{\"k\": 7}]; x := user }",
            json!(7),
        ),
        ("r := x if { x := user }", json!(1)),
        ("r := x if { x := user with input.l as [] }", json!(1)),
        ("r if { every user in [2, 3] { user > 1 } }", json!(true)),
        (
            "r if { every list, user in [2, 3] { user > 1; list < user } }",
            json!(true),
        ),
        (
            "r := x if { every user in [2, 3] { user > 1 }; x := user }",
            json!(1),
        ),
        (
            "r := x if { y := [user | user := 2]; x := [y, user] }",
            json!([[2], 1]),
        ),
        (
            "r := x if { some user in [5]; x := [user, [user | some user in [6]], [user | true]] }",
            json!([5, [6], [5]]),
        ),
        ("r := x if { some list in [5]; x := list }", json!(5)),
        ("r := x if { some other in [5]; x := other }", json!(5)),
        (
            "r := x if { some list; input.l[list] == \"z\"; x := list }",
            json!(1),
        ),
        (
            "r := x if { some other; input.l[other] == \"z\"; x := other }",
            json!(1),
        ),
        ("r := input.l[list] if { some list in [0] }", json!("y")),
        (
            "r := x if { some user in [5]; x := input.a with input.a as user }",
            json!(5),
        ),
        (
            "r := x if { some user in [5]; not user in [6]; not has(user) == 6; x := user }",
            json!(5),
        ),
        (
            "r := x if { some user in [\"a\"]; x := input.o[user].b }",
            json!(1),
        ),
        (
            "r := x if { some user in [{\"user\": 6}]; x := user.user }",
            json!(6),
        ),
        (
            "r := x if { user := {\"user\": 6}; x := {\"user\": user[\"user\"]} }",
            json!({"user": 6}),
        ),
        ("r := x if { some user in [2]; x := data.p.user }", json!(1)),
        ("r := $\"{user} a\" if some user in [2]", json!("2 a")),
        (
            "f(user) := [user | some user in [2, 3]]\nr := f(1)",
            json!([2, 3]),
        ),
        ("f(user) := user + 1\nr := f(5)", json!(6)),
        (
            "f([user, list]) := list if { list == user }\nr := f([4, 4])",
            json!(4),
        ),
        (
            "f(x) := [x, user] if { some user in [2] }\nr := f(5)",
            json!([5, 2]),
        ),
        (
            "r := {y |\n\tsome user in [\"user\", `user`] # user\n\ty := concat(\" user \", [user])\n}",
            json!(["user"]),
        ),
        ("t.user.r if some user in [1]\nr := 2", json!(2)),
        // The same where it hides a variable.
        (
            "r := x if { some u in [5]; x := [u, [u | some u in [6]]] }",
            json!([5, [6]]),
        ),
        (
            "r := x if { u = 5; x := [[u | some u in [6]], [u | u := 7], u] }",
            json!([[6], [7], 5]),
        ),
        (
            "r := x if { every u in [5] { [6] == [u | some u in [6]]; u == 5 }; x := 1 }",
            json!(1),
        ),
        (
            "r := x if { u := 4; every u in [5] { u == 5 }; x := u }",
            json!(4),
        ),
        (
            "f(u) := [u, [[u, [u | some u in [7]]] | some u in [6]]]\nr := f(5)",
            json!([5, [[6, [7]]]]),
        ),
        (
            "r := x if { input.l[u] == \"z\"; x := [v | some u in [6]; v := u] }",
            json!([6]),
        ),
        (
            "r := x if { v := 1; x := [u | u := v; v == 1] }",
            json!([1]),
        ),
    ];
    for (rules, expected) in rows {
        let document = document(rules).unwrap_or_else(|why| panic!("{rules}: {why}"));
        assert_eq!(document["r"], expected, "{rules}");
        assert_eq!(document["uses"], json!([["y", "z"], 1]), "{rules}");
        assert_eq!(document["used"], json!(["y", "z"]), "{rules}");
    }
}

#[test]
fn what_hides_a_document_is_no_document() {
    let rows = [
        (
            "r := x if { x := user; user := 2 }",
            "p.rego:5:24: rego_compile_error: var user referenced above",
        ),
        (
            "r := x if { user := 3; user := 2; x := 1 }",
            "p.rego:5:24: rego_compile_error: var user assigned above",
        ),
        (
            "f(user) := 1 if { user := 2 }",
            "p.rego:5:19: rego_compile_error: arg user redeclared",
        ),
        ("r if { some user in [1, 2]; input.x }", ""),
        (
            "r if { some user in user }",
            "p.rego:5:21: rego_unsafe_var_error: var user is unsafe",
        ),
        (
            "r if { some user; user > 1 }",
            "p.rego:5:19: rego_unsafe_var_error: var user is unsafe",
        ),
        (
            "r if { some user in [1]; user.f(2) }",
            "p.rego:5:26: rego_type_error: undefined function user.f",
        ),
    ];
    for (rules, expected) in rows {
        let error = document(rules).map(|_| ()).err().unwrap_or_default();
        assert_eq!(error, expected, "{rules}");
    }
}
