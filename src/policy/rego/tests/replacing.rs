//! What `with` puts in place of documents, functions and built-ins, in tests.

use super::testing::{check, ran};
use super::*;

#[test]
fn what_is_put_in_place_is_known_before() {
    let rows = [
        // Each uses rules in the value that are used again under it.
        "name := \"x\"\nall := [input.a, name]\ntest_x if all == [\"x\", \"x\"] with input as {\"a\": name}",
        "name := upper(\"x\")\nsame if input.a == name\ntest_x if { same with input.a as name }",
        "name := \"x\"\nmade := {\"a\": name}\nall := [input.a, name, data.b]\ntest_x if {\n\tall == [\"x\", \"x\", \"x\"] with input as made with data.b as name\n}",
        "name := \"x\"\nall := [input.a, name]\ntest_x if not all != [\"x\", \"x\"] with input as {\"a\": name}",
        "name := \"x\"\nall := [input.a, name]\ntest_x if all == [\"x\", \"x\"] with data.y as \"as\" with input as {\"as\": \"with\", \"a\": name}",
        "name := \"x\"\nall := [input.a, name]\ntest_x if [a | a := all with input as {\"a\": name}] == [[\"x\", \"x\"]]",
        "name := \"x\"\nall := [input.a, name]\ntest_x if { every b in [1, 2] { all == [b, \"x\"] with input as {\"a\": b, \"n\": name} } }",
        "now := 5\nold if time.now_ns() == now\ntest_x if old with time.now_ns as now",
        "f(x) := x\ng(x) := x + 1\nold if f(1) == 2\ntest_x if old with f as g",
        "old if input.a\ntest_x if not old with input as data.no",
        "name := \"x\"\nall := [input.a, name]\ntest_x if {\n\tall == [\"x\", \"x\"] with input as {\n\t\t# of the request\n\t\t\"a\": \"x\",\n\t}\n\ttrue\n}",
        "names := [\"x\", \"y\"]\nall := [input.a, count(names)]\ntest_x if count({a | a := all with input as {\"a\": names[_]}}) == 2",
        "name := \"x\"\nall := [input.a, name]\nelse_ if false else := r if r := all with input as {\"a\": name}\ntest_x if else_ == [\"x\", \"x\"]",
    ];
    for body in rows {
        let expected = match body.contains("as data.no") {
            // Rule: under `not` as well, what is put in place must be there.
            true => "Failed",
            false => "Passed",
        };
        check(body, &[&format!("data.p_test.test_x {expected}")]);
    }
}

#[test]
fn any_built_in_is_replaced() {
    let rows = [
        // By a value, one that only we have.
        (
            "graphql.is_valid(1, 2) == 7 with graphql.is_valid as 7",
            "Passed",
        ),
        ("valid == 7 with graphql.is_valid as 7", "Passed"),
        ("not valid with graphql.is_valid as false", "Passed"),
        (
            "owner == \"ann\" with io.jwt.decode_verify as [true, {}, {\"owner\": \"ann\"}]",
            "Passed",
        ),
        ("owner == \"ann\"", "Failed"),
        (
            "asked == 200 with http.send as {\"status_code\": 200}",
            "Passed",
        ),
        (
            "asked == 200 with http.send as object.get({\"a\": {\"status_code\": 200}}, \"a\", 1)",
            "Passed",
        ),
        // By a function, which may call what it replaces.
        ("asked == \"GET\" with http.send as mock_send", "Passed"),
        (
            "asked == \"GET\" with http.send as data.p_test.mock_send",
            "Passed",
        ),
        (
            "owner == \"a.b.c\" with io.jwt.decode_verify as mock_verify",
            "Passed",
        ),
        (
            "asked == \"GET\" with http.send as mock_send with io.jwt.decode_verify as 1",
            "Passed",
        ),
        (
            "valid == [false, 1] with graphql.is_valid as around",
            "Passed",
        ),
        // By another built-in.
        ("count([4, 5]) == 9 with count as sum", "Passed"),
        ("counted == 9 with count as sum", "Passed"),
        ("counted == 20 with count as product", "Passed"),
        ("counted == 2", "Passed"),
        ("twice(5) == 1 with twice as count", "Failed"),
        ("twice([5]) == 1 with twice as count", "Passed"),
        ("drawn(5) == 1 with rand.intn as 1", "Passed"),
        ("now == 1 with time.now_ns as 1", "Passed"),
        ("now == 1700000000123456789", "Passed"),
        (
            "count([{}, {\"a\": 3}]) == {\"a\": 3} with count as object.union_n",
            "Passed",
        ),
        // Rule: a variable of that name is meant before a built-in.
        (
            "some sum in [3]; count([4, 5]) == 3 with count as sum",
            "Passed",
        ),
        ("max := 3; count([4, 5]) == 3 with count as max", "Passed"),
    ];
    let policy = "\
valid := graphql.is_valid(\"{a}\", \"type Query {b: Int}\")
around(query, schema) := [graphql.is_valid(query, schema), 1]
owner := io.jwt.decode_verify(\"a.b.c\", {\"secret\": \"x\"})[2].owner
mock_verify(token, _) := [true, {}, {\"owner\": token}]
asked := http.send({\"method\": \"GET\", \"url\": \"http://127.0.0.1/\"}).status_code
mock_send(request) := {\"status_code\": request.method}
counted := count([4, 5])
twice(x) := x * 2
now := time.now_ns()
drawn(x) := rand.intn(\"a\", x)
";
    let _unchecked = check::Unchecked::set();
    let mut wrong = Vec::new();
    for (body, expected) in rows {
        let text = format!("package p_test\n\n{policy}test_x if {{ {body} }}\n");
        let came = ran(&[&text], false);
        if came != [format!("data.p_test.test_x {expected}")] {
            wrong.push(format!("{body}: {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_replaces_holds_in_all_packages() {
    // Functions are put into a package where no rule has the name of a built-in.
    let policy = "package p\n\nsum(x) := -1\nallow := graphql.is_valid(1, 2)\nfive := sum([5])\n";
    let tests = "package q\n\nimport data.p\n
test_valid if p.allow == 1 with graphql.is_valid as 1
test_sum if count([4, 5]) == 9 with count as sum
test_own if p.five == -1 with count as sum
";
    let passed = ["valid", "sum", "own"].map(|name| format!("data.q.test_{name} Passed"));
    let _unchecked = check::Unchecked::set();
    assert_eq!(ran(&[policy, tests], false), passed);
    assert_eq!(
        ran(&["package z\n\na := input.x\n", tests, policy], false),
        passed
    );
}

#[test]
fn a_function_is_replaced_by_whatever_name_it_is_called() {
    let other = "package q
fq(x) := x + 1
g(x) := fq(x)
k(x) := h(x)
h(x) := x + 20
";
    let rows = [
        ("r := h(1) with data.p_test.h as 9", "r == 9"),
        ("r := data.p_test.h(1) with h as 9", "r == 9"),
        ("r := data.q.g(1) with data.q.fq as 8", "r == 8"),
        ("r := data.q.g(1) with data.q.fq as h", "r == 11"),
        (
            "r := data.q.g(1) with data.q.fq as data.p_test.h",
            "r == 11",
        ),
        // One of that name in another package is another.
        ("r := data.q.k(1) with h as 9", "r == 21"),
        ("r := n(1) with h as 9", "r == 9"),
        ("r := n(1) with data.p_test.h as data.q.fq", "r == 2"),
        ("r := n(1) with a.b as 9", "r == 11"),
        ("r := m(1) with a.b as 9", "r == 9"),
        ("r := m(1) with data.p_test.a.b as 9", "r == 9"),
        ("h(1, r) with data.p_test.h as 9", "r == 9"),
        (
            "r := [x | x := h([1, 2][_])] with data.p_test.h as 9",
            "r == [9, 9]",
        ),
    ];
    let own = "h(x) := x + 10\nn(x) := data.p_test.h(x)\na.b(x) := x\nm(x) := a.b(x)\n";
    let mut wrong = Vec::new();
    for (body, holds) in rows {
        let text = format!("package p_test\n\n{own}test_x if {{ {body}; {holds} }}\n");
        let came = ran(&[&text, other], false);
        if came != ["data.p_test.test_x Passed"] {
            wrong.push(format!("{body}: {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_put_in_place_is_refused() {
    let rows = [
        // Nowhere to put the functions that stand for built-ins.
        (
            "package p[\"b-c\"]\nx if {\n\tnot graphql.is_valid(\"\", \"\") with graphql.is_valid as false\n}",
            "p.rego:3:",
        ),
        (
            "package p\nname := 1\nq := input.a\nx if {\n\tq with input as {v | v := q with input as name}\n}",
            "p.rego:5:",
        ),
    ];
    for (text, place) in rows {
        let said = document_for(module("p.rego", text), json!({})).expect_err(text);
        let expected = said.contains("not supported") && said.contains(place);
        assert!(expected, "{text}: {said}");
    }
}
