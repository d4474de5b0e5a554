use super::*;

#[test]
fn times_are_written_as_go_does() {
    let rows = [
        (0, "0s"),
        (253, "253ns"),
        (1_417, "1.417µs"),
        (1_200_000, "1.2ms"),
        (5_000_000_000, "5s"),
    ];
    for (nanos, expected) in rows {
        assert_eq!(go_duration(Duration::from_nanos(nanos)), expected);
    }
}
