use serde_json::json;

use super::*;

#[test]
fn a_record_is_one_line() {
    let record = json!({
        "time": "2023-11-14T22:13:20.123456789Z", "effect": "deny", "status": 403,
        "peer_principal": "spiffe://td/ns/shop/sa/\u{202e}cart",
        "reason": {"kind": "authorization_policy", "policy": "shop/deny", "rule": 2,
            "message": "DENY rule\nmatched"},
        "request": {"method": "GET", "host": "shop.example", "path": "/a\u{1b}[2J"},
    });
    let expected = "2023-11-14T22:13:20.123Z  deny    403     GET      shop.example  \
        /a\\u{1b}[2J  spiffe://td/ns/shop/sa/\\u{202e}cart  shop/deny[2]  \
        authorization_policy: DENY rule\\u{a}matched";
    assert_eq!(row(Screen::of(None, false), &record), expected);
    for width in [40, 80, 120, 200] {
        let line = row(Screen::of(Some(width), false), &record);
        assert!(line.starts_with("2023-11-14T22:13:20.123Z  deny    403     GET"));
        // Narrower than this it is not cut.
        assert!(line.chars().count() <= width.max(99), "{width}: {line}");
    }
    let colored = row(Screen::of(Some(120), true), &record);
    assert!(colored.contains("\u{1b}[31mdeny  \u{1b}[0m"), "{colored:?}");
    assert_eq!(colored.matches('\u{1b}').count(), 2);
    // Of a connection, and of what is none of ours.
    let connection = json!({"time": "x", "effect": "allow", "status": 200, "reason": {}});
    let line = row(Screen::of(None, false), &connection);
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>().join(" "),
        "x allow 200 - - - - -"
    );
    row(Screen::of(None, false), &Value::Null);
}
