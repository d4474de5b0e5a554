//! Settings. The rest is tested beside its part, and with the whole program.

use super::*;

#[test]
fn settings_that_cannot_be_meant() {
    let rows = [
        (Config::default(), 0),
        (
            Config {
                max_checks: 0,
                ..Config::default()
            },
            1,
        ),
        (
            Config {
                max_checks: 1_000,
                ..Config::default()
            },
            1,
        ),
        (
            Config {
                deadline: Some(Span::from_millis(0)),
                ..Config::default()
            },
            1,
        ),
        (
            Config {
                deadline: Some(Span::from_secs(3_600)),
                ..Config::default()
            },
            1,
        ),
        (
            Config {
                deadline: Some(Span::from_secs(10)),
                ..Config::default()
            },
            0,
        ),
    ];
    for (config, problems) in rows {
        assert_eq!(config.problems().len(), problems, "{config:?}");
    }
}
