use super::*;

fn put(parts: &str, payload: &str) {
    Place::of(parts).put(&Value::new_object(), &Value::from(payload));
}

fn payload(parts: &str) -> Option<Value> {
    Place::of(parts).content().map(|(_, payload)| payload)
}

#[test]
fn ever_new_tokens_take_no_more_than_there_is() {
    let text = "x".repeat(1_000);
    for number in 0..3 * MAX_BYTES / text.len() {
        let parts = format!("{number}.{number}");
        put(&parts, &text);
        assert_eq!(payload(&parts), Some(Value::from(text.as_str())));
        KNOWN.with_borrow(|known| {
            let contents = known.contents.values();
            let bytes = contents.map(|(header, payload)| weight(header) + weight(payload));
            let bytes = bytes.sum::<usize>() + known.contents.len() * ENTRY_BYTES;
            assert_eq!(bytes, known.bytes);
            assert!(bytes <= MAX_BYTES, "{bytes} after {number}");
        });
    }
    assert_eq!(payload("0.0"), None);
}

#[test]
fn what_is_larger_than_all_room_is_not_kept() {
    put("a.b", &"x".repeat(MAX_BYTES));
    assert_eq!(payload("a.b"), None);
    put("a.b", "x");
    assert_eq!(payload("a.b"), Some(Value::from("x")));
    assert_eq!(payload("a.c"), None);
}
