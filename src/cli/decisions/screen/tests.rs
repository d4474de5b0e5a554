use super::*;

#[test]
fn nothing_hidden_gets_out() {
    let rows = [
        ("plain ünïcode 🔑", "plain ünïcode 🔑"),
        ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
        ("a\nb\r\tc\0", "a\\u{a}b\\u{d}\\u{9}c\\u{0}"),
        ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
        ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        (
            "\u{2066}\u{2069}\u{200f}\u{61c}",
            "\\u{2066}\\u{2069}\\u{200f}\\u{61c}",
        ),
        ("\u{2028}\u{feff}\u{e0041}", "\\u{2028}\\u{feff}\\u{e0041}"),
    ];
    for (text, expected) in rows {
        assert_eq!(clean(text), expected);
        let json = serde_json::json!({ "text": text, text: [text] });
        let line = clean_json(&json.to_string());
        assert!(!line.chars().any(is_hidden), "{line:?}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back, json);
    }
    // Every character there is.
    let all: String = (0..=0x0010_ffff).filter_map(char::from_u32).collect();
    assert!(!clean(&all).chars().any(char::is_control));
    let json = serde_json::Value::from(all);
    let back: serde_json::Value = serde_json::from_str(&clean_json(&json.to_string())).unwrap();
    assert!(back == json);
}

#[test]
fn texts_are_cut_at_characters() {
    for (text, width, expected) in [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("üüüü", 3, "üü…"),
        ("", 3, ""),
        ("abc", 1, "…"),
    ] {
        assert_eq!(cut(text, width), expected);
    }
}

#[test]
fn colours_are_for_terminals() {
    assert_eq!(Screen::of(None, false).colored("deny", Color::Red), "deny");
    let colored = Screen::of(None, true).colored("deny", Color::Red);
    assert_eq!(colored, "\u{1b}[31mdeny\u{1b}[0m");
}
