//! When a server wants to be asked again.

use std::time::{Duration, SystemTime};

use super::post::pause;

#[test]
fn a_pause_is_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let rows = [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Sun, 06 Nov 1994 08:49:27 GMT", None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ];
    for (text, expected) in rows {
        assert_eq!(
            pause(text, now),
            expected.map(Duration::from_secs),
            "{text}"
        );
    }
}
