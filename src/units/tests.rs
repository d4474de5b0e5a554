use super::*;

#[test]
fn durations_and_sizes_read_and_write_back() {
    for text in ["0ms", "150ms", "10s", "15m", "2h", "7d", "90s"] {
        assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
    }
    for text in ["0B", "7B", "64KiB", "4MiB", "1GiB", "5MB"] {
        assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
    }
    assert_eq!(
        "1500ms".parse::<Span>().unwrap().0,
        Duration::from_millis(1_500)
    );
}

#[test]
fn other_forms_are_refused() {
    for text in [
        "",
        "5",
        "ms",
        "-1s",
        "1.5s",
        "1w",
        "99999999999999999999s",
        "1 000ms",
        "18446744073709551615d",
    ] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    for text in ["", "5", "MiB", "-1B", "1TiB", "1kib"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}
