use serde_json::json;

use super::*;

#[test]
fn a_summary_is_a_table() {
    let summary = json!({
        "total": 1_111, "complete": true,
        "groups": [
            {"key": {"effect": "deny", "status": 403}, "count": 1000, "counts": [0, 1000, 500]},
            {"key": {"effect": "al\u{1b}low", "status": null}, "count": 101, "counts": [100, 1, 0]},
        ],
        "other": {"count": 10, "groups": 3, "counts": [5, 5, 0]},
    });
    let lines = lines(&summary, &["effect", "status"], Screen::of(None, false));
    let expected = [
        "EFFECT       STATUS  COUNT",
        "deny         403      1000   █▄",
        "al\\u{1b}low  -         101  █▁",
        "(other)                 10  ██",
        "(all)                 1111",
    ];
    assert_eq!(lines, expected);
}
