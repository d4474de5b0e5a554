use super::*;

#[test]
fn a_module_is_parsed_to_a_document() {
    let parsed = |text: &str| result(&format!("rego.parse_module(\"x.rego\", {})", quoted(text)));
    assert_eq!(
        parsed("package x\n\na := 1"),
        Some(json!({
            "package": {"path": [
                {"type": "var", "value": "data"},
                {"type": "string", "value": "x"},
            ]},
            "rules": [{
                "head": {
                    "name": "a",
                    "ref": [{"type": "var", "value": "a"}],
                    "value": {"type": "number", "value": 1},
                    "assign": true,
                },
                "body": [{"index": 0, "terms": {"type": "boolean", "value": true}}],
            }],
        }))
    );
    assert_eq!(parsed("a := 1"), None);
    check_undefined(&[
        "rego.parse_module(1, \"package x\")",
        "rego.parse_module(\"x\", 1)",
    ]);
}
