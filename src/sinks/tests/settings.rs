//! Entries of `decision_log.sinks`: what is taken and what is not.

use super::*;

fn problems(sinks: Value) -> String {
    match serde_json::from_value::<Vec<SinkConfig>>(sinks) {
        Ok(sinks) => SinkConfig::problems(&sinks).join("\n"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    let rows = [
        (json!([{"type": "console"}]), ""),
        (
            json!([{"type": "console", "name": "a"}, {"type": "console", "name": "b"}]),
            "",
        ),
        (
            json!([{"type": "console"}, {"type": "console"}]),
            "`[1].name`: there is a sink `console` already",
        ),
        (json!([{}]), "missing field `type`"),
        (json!([{"type": "file"}]), "unknown variant `file`"),
        (
            json!([{"type": "console", "more": 1}]),
            "unknown field `more`",
        ),
        (
            json!([{"type": "console", "name": "../x"}]),
            "`[0].name`: `../x` is no name",
        ),
        (
            json!([{"type": "console", "name": ""}]),
            "`[0].name`: `` is no name",
        ),
        (
            json!([{"type": "console", "queue_bytes": "1MiB"}]),
            "`[0].queue_bytes`: 1MiB is not",
        ),
        (
            json!([{"type": "console", "spill_bytes": "1KiB"}]),
            "`[0].spill_bytes`: 1KiB is neither",
        ),
        (json!([{"type": "console", "spill_bytes": "0B"}]), ""),
        (
            json!([{"type": "console", "batch_records": 0}]),
            "`[0].batch_records`: is not",
        ),
        (
            json!([{"type": "console", "min_delay": "2s", "max_delay": "1s"}]),
            "`[0].max_delay`: is below `min_delay`",
        ),
        (
            json!([{"type": "console", "max_delay": "2d"}]),
            "`[0].max_delay`: is more than 1d",
        ),
        (json!([{"type": "console", "min_delay": "2s"}]), ""),
        (json!([{"type": "http"}]), "`[0].url`: is missing"),
        (json!([{"type": "http", "url": "ftp://a/"}]), "the URL"),
        (json!([{"type": "http", "url": "http://a/logs"}]), ""),
        (
            json!([{"type": "console", "url": "http://a/"}]),
            "`[0].url`: is not for a sink of type `console`",
        ),
        (
            json!([{"type": "http", "url": "http://a/", "credentials": {"anonymous": {}}}]),
            "`[0].credentials`: `anonymous` is for the URL of an object store",
        ),
        (
            json!([{"type": "http", "url": "http://a/", "credentials": {"bearer": {}}}]),
            "`[0].credentials`: needs one of",
        ),
        (
            json!([{"type": "http", "url": "http://a/", "headers": {"host": "b"}}]),
            "`[0].headers`: `host` is no header",
        ),
        (
            json!([{"type": "http", "url": "http://a/", "tls": {"cert": "c"}}]),
            "`[0].tls`: needs both",
        ),
        (
            json!([{"type": "http", "url": "http://a/", "timeout": "1ms"}]),
            "`[0].timeout`: is not",
        ),
        (
            json!([{"type": "http", "url": "http://a/", "upload_size_limit": "90B"}]),
            "`[0].upload_size_limit`: is not",
        ),
        (json!([{"type": "otlp", "url": "http://a/v1/logs"}]), ""),
        (
            json!([{"type": "otlp", "url": "http://a/v1/logs", "format": "opa"}]),
            "`[0].format`: is not for",
        ),
        (json!([{"type": "kafka"}]), "`[0].brokers`: is missing"),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "t"}]),
            "",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a"], "topic": "t"}]),
            "`a` is no broker",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"]}]),
            "`[0].topic`: is missing",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "a b"}]),
            "`[0].topic`: `a b` is no",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "t", "key": "x"}]),
            "`[0].key`: is no JSON pointer",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "t",
                    "sasl": {"mechanism": "plain", "username": "u", "password": "c4n4ry"}}]),
            "`[0].sasl`: `plain` needs `tls`",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "t", "tls": {},
                    "sasl": {"mechanism": "plain", "username": "u", "password": "c4n4ry"}}]),
            "",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "t",
                    "sasl": {"mechanism": "scram-sha-512", "username": "u"}}]),
            "`[0].sasl`: needs one of",
        ),
        (
            json!([{"type": "kafka", "brokers": ["a:1"], "topic": "t",
                    "sasl": {"mechanism": "gssapi", "username": "u", "password": "c4n4ry"}}]),
            "unknown variant `gssapi`",
        ),
    ];
    for (sinks, expected) in rows {
        let found = problems(sinks.clone());
        assert!(found.starts_with(expected), "{sinks}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{sinks}: {found}");
        assert!(!found.contains("c4n4ry"), "{found}");
    }
}
