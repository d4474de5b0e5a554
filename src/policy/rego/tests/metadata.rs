//! What METADATA comments say, asked by policies.

use super::*;

/// The body that an entrypoint of several modules answers with.
fn answer(modules: &[&str]) -> Json {
    let modules = modules.iter().enumerate();
    let modules: Vec<_> = modules
        .map(|(index, text)| module(&format!("{index}.rego"), text))
        .collect();
    let policies = RegoPolicies::compile(&modules, Data::default(), &settings()).unwrap();
    let outcome = ask(&policies, &Attributes::default()).unwrap();
    serde_json::from_str(&outcome.body.unwrap()).unwrap()
}

fn asking(head: &str, rule: &str, expression: &str) -> String {
    format!(
        "{head}\npackage envoy.authz\n\n{rule}\nallow := {{\"allowed\": false, \"body\": json.marshal(x)}} if {{\n\tx := {expression}\n}}\n"
    )
}

#[test]
fn a_rule_is_told_what_stands_above_it() {
    let comment = "# METADATA\n# title: T\n# description: |\n#   Two\n#   lines\n# authors:\n# - A B <a@b>\n# - name: C\n# - nobody@x\n# organizations: [O]\n# related_resources:\n# - https://x\n# - ref: https://y\n#   description: Y\n# schemas:\n# - input.a: schema.b\n# - input: {type: object}\n# custom:\n#   severity: 7\n#   none: null\n# unknown: 1";
    let text = asking("", comment, "rego.metadata.rule()");
    let expected = json!({
        "scope": "rule", "title": "T", "description": "Two\nlines\n",
        "authors": [{"name": "A B", "email": "a@b"}, {"name": "C"}, {"name": "nobody@x"}],
        "organizations": ["O"],
        "related_resources": [{"ref": "https://x"}, {"ref": "https://y", "description": "Y"}],
        "schemas": [
            {"path": ["input", "a"], "schema": ["schema", "b"]},
            {"path": ["input"], "definition": {"type": "object"}},
        ],
        "custom": {"severity": 7, "none": null},
    });
    assert_eq!(answer(&[&text]), expected);
    let rows = [
        // Nothing there, nothing that can be read, or nothing for this rule.
        "",
        "# METADATA\n# title: [",
        "# METADATA\n# scope: package",
        "# METADATA\n# title: other\nother := 1",
        "# title: T",
        "other := `\n# METADATA\n# title: T\n`",
        "# METADATA\n# scope: document\n# title: T",
    ];
    for comment in rows {
        let text = asking("", comment, "rego.metadata.rule()");
        assert_eq!(answer(&[&text]), json!({}), "{comment}");
    }
}

#[test]
fn a_chain_leads_from_the_rule_outwards() {
    let head = "# METADATA\n# title: P\n# custom: {a: {b: [1]}}";
    let rule = "# METADATA\n# scope: document\n# title: D\n\n# METADATA\n# title: R";
    let text = asking(head, rule, "rego.metadata.chain( )");
    let path = ["envoy", "authz", "allow"];
    let chain = |more: &[Json]| {
        let own = [
            json!({"path": path, "annotations": {"scope": "rule", "title": "R"}}),
            json!({"path": path, "annotations": {"scope": "document", "title": "D"}}),
            json!({
                "path": ["envoy", "authz"],
                "annotations": {"scope": "package", "title": "P", "custom": {"a": {"b": [1]}}},
            }),
        ];
        Json::from([&own, more].concat())
    };
    assert_eq!(answer(&[&text]), chain(&[]));
    let outer = "# METADATA\n# scope: subpackages\n# title: S\npackage envoy\n";
    let same = "# METADATA\n# scope: subpackages\n# title: I\npackage envoy.authz\n";
    let more = [
        json!({"path": ["envoy", "authz"], "annotations": {"scope": "subpackages", "title": "I"}}),
        json!({"path": ["envoy"], "annotations": {"scope": "subpackages", "title": "S"}}),
    ];
    assert_eq!(answer(&[&text, outer, same]), chain(&more));
    // Without any comment the rule is there all the same.
    let text = asking("", "", "rego.metadata.chain()");
    assert_eq!(answer(&[&text]), json!([{"path": path}]));
}

#[test]
fn places_behind_a_call_are_those_of_the_text() {
    let text = "package a\n\nx := [rego.metadata.chain(), nope(1)]\n";
    let errors = RegoPolicies::compile(&[module("p.rego", text)], Data::default(), &settings());
    let errors = errors.map(drop).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        ["p.rego:3:30: rego_type_error: undefined function nope"]
    );
}
