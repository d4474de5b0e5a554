//! What can be wrong with a cases file, and finding them.

use std::path::PathBuf;

use super::*;

/// Loads a file that must be refused with exactly these lines.
fn check(cases: &str, expected: &[&str]) {
    check_beside(cases, &[("p.yaml", POLICIES)], expected);
}

fn check_beside(cases: &str, files: &[(&str, &str)], expected: &[&str]) {
    let errors = load(cases, files).expect_err(cases);
    // A line of the table may stand for the beginning.
    let fits = errors.len() == expected.len()
        && errors
            .iter()
            .zip(expected)
            .all(|(error, expected)| error.starts_with(expected));
    assert!(fits, "{cases}\ngot {errors:#?}\nexpected {expected:#?}");
}

/// One case between a good head and nothing.
fn case(text: &str) -> String {
    format!("cases:\n  - name: one\n    {text}\n")
}

#[test]
fn whole_files() {
    let rows: [(&str, &str); 12] = [
        ("", "x.cases.yaml: holds no case"),
        ("cases: []", "x.cases.yaml:1:1: `cases`: there is no case"),
        (
            "policies: [p.yaml]",
            "x.cases.yaml:1:1: `cases`: there is no case",
        ),
        (
            "cases: []\n---\ncases: []",
            "x.cases.yaml: holds more than one document",
        ),
        ("cases: [", "x.cases.yaml:"),
        (
            "- cases",
            "x.cases.yaml:1:1: is not a mapping of members to values",
        ),
        (
            "polices: [p.yaml]\ncases: []",
            "x.cases.yaml:1:1: `polices`: unknown field `polices`, expected one of `policies`",
        ),
        (
            "mesh:\n  trust_domian: x\ncases: []",
            "x.cases.yaml:2:3: `mesh.trust_domian`: unknown field `trust_domian`",
        ),
        (
            "mesh:\n  default_action: maybe\n",
            "x.cases.yaml:2:3: `mesh.default_action`: unknown variant `maybe`",
        ),
        (
            "cases:\n  - one",
            "x.cases.yaml:2:5: is not a mapping of members to values",
        ),
        ("time: tomorrow\ncases: []", "x.cases.yaml:1:1: `time`:"),
        (
            "policies: p.yaml\ncases: []",
            "x.cases.yaml:1:1: `policies`: invalid type",
        ),
    ];
    for (cases, expected) in rows {
        check(cases, &[expected]);
    }
}

#[test]
fn members_of_a_case() {
    let good = "expect: { effect: allow }";
    let rows: Vec<(String, &str)> = vec![
        (
            case("request: {}"),
            "x.cases.yaml:2:5: case `one` has no `expect`: without `expect: { effect: … }` it tests nothing",
        ),
        (
            case("request: {}\n    expect: {}"),
            "x.cases.yaml:4:5: `expect`: missing field `effect`",
        ),
        (
            case("request: {}\n    expect: { effect: allow, polcy: a/b }"),
            "x.cases.yaml:4:30: `expect.polcy`: unknown field `polcy`",
        ),
        (
            case(&format!("request:\n      metod: GET\n    {good}")),
            "x.cases.yaml:4:7: `request.metod`: unknown field `metod`, expected one of `method`",
        ),
        (
            case(&format!("reqest: {{}}\n    {good}")),
            "x.cases.yaml:3:5: `reqest`: unknown field `reqest`",
        ),
        (
            case(good),
            "x.cases.yaml:2:5: a case has one of `request`, `connection` and `check_request`",
        ),
        (
            case(&format!("request: {{}}\n    connection: {{}}\n    {good}")),
            "x.cases.yaml:2:5: a case has one of `request`, `connection` and `check_request`",
        ),
        (
            format!(
                "{}  - name: one\n    request: {{}}\n    {good}\n",
                case(&format!("request: {{}}\n    {good}"))
            ),
            "x.cases.yaml:5:5: `name`: there is a case `one` already",
        ),
        (
            format!("cases:\n  - name: ''\n    request: {{}}\n    {good}"),
            "x.cases.yaml:2:5: `name`: is not one line of text",
        ),
        (
            format!("cases:\n  - name: \"a\\u001b[2J\"\n    request: {{}}\n    {good}"),
            "x.cases.yaml:2:5: `name`: is not one line of text",
        ),
        (
            case(&format!("time: noon\n    request: {{}}\n    {good}")),
            "x.cases.yaml:3:5: `time`:",
        ),
        (
            case(&format!(
                "workload: {{ labels: {{ app: a b }} }}\n    request: {{}}\n    {good}"
            )),
            "x.cases.yaml:3:5: `workload`: `doorward.labels`: `app=a b` is not a label",
        ),
        (
            case(&format!(
                "workload: {{ name: a }}\n    request: {{}}\n    {good}"
            )),
            "x.cases.yaml:3:17: `workload.name`: unknown field `name`",
        ),
        (
            case(&format!("check_request: {{ attribute: {{}} }}\n    {good}")),
            "x.cases.yaml:3:5: `check_request`: unrecognized field name 'attribute'",
        ),
    ];
    for (cases, expected) in rows {
        check(&cases, &[expected]);
    }
}

#[test]
fn members_of_a_request() {
    let rows = [
        (
            "headers: { \"x y\": a }",
            "`request.headers`: `x y` is not a header name",
        ),
        (
            "headers: { \":path\": a }",
            "`request.headers`: `:path` is not a header name",
        ),
        (
            "headers: { \"\": a }",
            "`request.headers`: `` is not a header name",
        ),
        (
            "headers: { x-a: a, X-A: b }",
            "`request.headers`: `x-a` is there twice; give its values as a list",
        ),
        (
            "headers: { Host: a }",
            "`request.headers`: `Host` is given as `request.host`",
        ),
        (
            "headers: { x-a: 1 }",
            "`request.headers.x-a`: invalid type: integer `1`, expected a string or a list of strings",
        ),
        (
            "headers: { x-a: [] }",
            "`request.headers.x-a`: an empty list of values",
        ),
        (
            "token: a, token_file: b",
            "`request.token_file`: stands beside `token`",
        ),
        (
            "token: a, headers: { Authorization: b }",
            "`request.token`: stands beside a header `authorization`",
        ),
        ("token: a b", "`request.token`: is not one token"),
        ("token: ''", "`request.token`: is not one token"),
        (
            "token_file: p.yaml",
            "`request.token_file`: is not one token",
        ),
        (
            "token_file: none.jwt",
            "`request.token_file`: none.jwt: No such file",
        ),
        (
            "source: { principal: cluster.local/ns/a/sa/b }",
            "`request.source.principal`: a request's principal has its scheme: `spiffe://cluster.local/ns/a/sa/b`",
        ),
        (
            "source: { ip: 10.0.0 }",
            "`request.source.ip`: invalid IP address syntax",
        ),
        (
            "destination: { port: 70000 }",
            "`request.destination.port`: invalid value: integer `70000`",
        ),
    ];
    for (request, expected) in rows {
        let cases = case(&format!(
            "request: {{ {request} }}\n    expect: {{ effect: deny }}"
        ));
        let errors = load(&cases, &[("p.yaml", POLICIES)]).expect_err(request);
        assert_eq!(errors.len(), 1, "{request}: {errors:#?}");
        let (place, message) = errors[0].split_once(": ").unwrap();
        assert!(
            place.starts_with("x.cases.yaml:3:"),
            "{request}: {errors:#?}"
        );
        assert!(message.starts_with(expected), "{request}: {errors:#?}");
    }
}

#[test]
fn expectations_that_cannot_come_true() {
    let rows = [
        (
            "effect: allow, status: 403",
            "`expect.status`: is 200 for a request that is allowed",
        ),
        (
            "effect: deny, status: 200",
            "`expect.status`: is not 200 for one that is denied",
        ),
        (
            "effect: deny, headers: {}",
            "`expect.headers`: nothing reaches the upstream of a request that is denied",
        ),
        (
            "effect: deny, removed_headers: []",
            "`expect.removed_headers`: nothing reaches the upstream",
        ),
        (
            "effect: allow, headers: { x y: a }",
            "`expect.headers`: `x y` is not a header name",
        ),
        (
            "effect: allow, removed_headers: [x y]",
            "`expect.removed_headers`: `x y` is not a header name",
        ),
        (
            "effect: allow, policy: shop/gett",
            "`cases[0].expect.policy`: no policy `shop/gett` is loaded, did you mean `shop/get`?",
        ),
        (
            "effect: allow, policy: 17",
            "`expect.policy`: invalid type: integer `17`",
        ),
        (
            "effect: allow, policy: zzz",
            "`cases[0].expect.policy`: no policy `zzz` is loaded",
        ),
        (
            "effect: deny, policy: envoy/authz/allow",
            "`cases[0].expect.policy`: no policy `envoy/authz/allow` is loaded",
        ),
        (
            "effect: allow, policy: shop/get, rule: 1",
            "`cases[0].expect.rule`: `shop/get` has 1 rules, counted from 0",
        ),
        (
            "effect: allow, dry_run: { deny: { result: denied, matched: x } }",
            "`cases[0].expect.dry_run.deny.matched`: no rule of the policies loaded is `x`",
        ),
        (
            "effect: allow, dry_run: { deny: denied }",
            "`expect.dry_run.deny`: invalid type",
        ),
        ("effect: maybe", "`expect.effect`: unknown variant `maybe`"),
        (
            "effect: allow, reason: because",
            "`expect.reason`: unknown variant `because`",
        ),
    ];
    for (expect, expected) in rows {
        let cases = case(&format!("request: {{}}\n    expect: {{ {expect} }}"));
        let errors = load(&cases, &[("p.yaml", POLICIES)]).expect_err(expect);
        assert_eq!(errors.len(), 1, "{expect}: {errors:#?}");
        let (place, message) = errors[0].split_once(": ").unwrap();
        assert!(
            place.starts_with("x.cases.yaml:4:"),
            "{expect}: {errors:#?}"
        );
        assert!(message.starts_with(expected), "{expect}: {errors:#?}");
    }
}

/// Everything wrong is told at once.
#[test]
fn many_mistakes() {
    check(
        "mesh: { root_namespace: '' }\nworkload: { namespace: a }\ncases:\n  - name: a\n  - nam: b\n",
        &[
            "x.cases.yaml:1:9: `mesh.root_namespace`: must not be empty",
            "x.cases.yaml:4:5: case `a` has no `expect`",
            "x.cases.yaml:5:5: `nam`: unknown field `nam`",
        ],
    );
    check(
        "workload: {}\nmesh: { default_workload: {} }\ncases: []",
        &[
            "x.cases.yaml:1:1: `workload`: stands beside `mesh.default_workload`",
            "x.cases.yaml:3:1: `cases`: there is no case",
        ],
    );
}

#[test]
fn the_policies_a_file_is_about() {
    let good = case("request: {}\n    expect: { effect: deny }");
    let bad = POLICIES.replace("methods: [GET]", "ports: [x]");
    let rows: Vec<(String, Vec<(&str, &str)>, &str)> = vec![
        (
            good.clone(),
            vec![("p.yaml", &bad)],
            "p.yaml:6:35: invalid_resource: `spec.rules[0].to[0].operation.ports[0]`: bad port `x`",
        ),
        (
            good.clone(),
            vec![("p.rego", "package a\nallow := (")],
            "p.rego:2:",
        ),
        (good.clone(), vec![], "x.cases.yaml: file_error: "),
        (
            good.clone(),
            vec![("p.yaml", "# nothing yet\n")],
            "x.cases.yaml:1:1: `policies`: there is no policy",
        ),
        (
            format!("policies: [p.yaml, q.yaml]\n{good}"),
            vec![("p.yaml", POLICIES)],
            "x.cases.yaml:1:20: `policies[1]`: there is no ",
        ),
        (
            format!("policies: [/p.yaml]\n{good}"),
            vec![],
            "x.cases.yaml:1:12: `policies[0]`: is absolute",
        ),
        (
            format!("bundles: {{ b: {{ path: gone }} }}\n{good}"),
            vec![("p.yaml", POLICIES)],
            "x.cases.yaml:1:17: `bundles.b.path`: there is no ",
        ),
        (
            good.clone(),
            vec![("p.yaml", POLICIES), ("q.yaml", POLICIES)],
            "q.yaml:3:13: duplicate_resource: `metadata.name`: AuthorizationPolicy/shop/get is there twice, first in p.yaml",
        ),
    ];
    for (cases, files, expected) in rows {
        let errors = load(&cases, &files).expect_err(&cases);
        assert!(errors[0].starts_with(expected), "{files:?}: {errors:#?}");
    }
    // What is listed is loaded, and nothing else.
    let listed = format!("policies: [p.yaml]\n{good}");
    assert!(load(&listed, &[("p.yaml", POLICIES), ("q.yaml", "nonsense")]).is_ok());
    assert!(load(&good, &[("deep/p.yaml", POLICIES)]).is_ok());
}

#[test]
fn files_are_found_once() {
    let folder = folder(&[
        ("a.cases.yaml", ""),
        ("b/c.cases.yaml", ""),
        ("b/policy.yaml", ""),
        ("b/policy.rego", "package a\n\nallow := true\n"),
        (".hidden/d.cases.yaml", ""),
    ]);
    let path = |name: &str| folder.path().join(name);
    let names = |paths: Vec<PathBuf>| -> Vec<String> {
        let paths = paths
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap());
        paths.map(|path| path.display().to_string()).collect()
    };
    let found = find(&[path("b/c.cases.yaml"), path(""), path("b")]).unwrap();
    assert_eq!(names(found), ["b/c.cases.yaml", "a.cases.yaml"]);
    // Rego named by itself is of use: it may have tests, or be what others are about.
    assert_eq!(find(&[path("b/policy.rego")]), Ok(Vec::new()));
    for (name, expected) in [
        ("gone", "No such file"),
        ("b/policy.yaml", "is neither a folder nor Rego"),
    ] {
        let errors = find(&[path(name)]).unwrap_err();
        assert!(errors.to_string().contains(expected), "{name}: {errors}");
    }
}
