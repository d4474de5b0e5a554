use super::*;

#[test]
fn events_are_read_as_they_come() {
    let text =
        "retry: 500\n\n: nothing new\nid: 7\n\nid: 8\nevent: decision\ndata: {\"a\": 1}\n\nid: 9\n";
    let mut waiting = Vec::new();
    let mut events = Vec::new();
    for byte in text.bytes() {
        waiting.push(byte);
        events.extend(next_event(&mut waiting));
    }
    let of = |id: Option<&str>, name: &str, data: &str| Event {
        id: id.map(str::to_owned),
        name: name.to_owned(),
        data: data.to_owned(),
    };
    let expected = [
        of(None, "", ""),
        of(Some("7"), "", ""),
        of(Some("8"), "decision", "{\"a\": 1}"),
    ];
    assert_eq!(events, expected);
    assert_eq!(waiting, b"id: 9\n");
}
