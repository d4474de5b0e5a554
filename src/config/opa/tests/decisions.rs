//! What OPA's `decision_logs` becomes.

use super::*;
use crate::sinks::{Format, Kind};
use crate::units::{Size, Span};

const SERVICE: &str = "services: { acme: { url: 'http://logs/base/' } }\n";

#[test]
fn a_service_is_uploaded_to_as_opa_would() {
    let rows = [
        ("decision_logs: { service: acme }", "http://logs/base/logs"),
        ("decision_logs: {}", "http://logs/base/logs"),
        (
            "decision_logs: { service: acme, partition_name: p }",
            "http://logs/base/logs/p",
        ),
        (
            "decision_logs: { Service: acme, resource: /x/y, partition_name: p }",
            "http://logs/base/x/y",
        ),
    ];
    for (text, url) in rows {
        let (config, warnings) = take(&format!("{SERVICE}{text}\n"), &[]).unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "{text}");
        let [sink] = config.decision_log.sinks.as_slice() else {
            panic!("{text}: {:?}", config.decision_log.sinks);
        };
        assert_eq!(sink.kind, Kind::Http);
        assert_eq!(sink.name(), "opa");
        assert_eq!(sink.url.as_ref().unwrap().url().as_str(), url, "{text}");
        assert_eq!(sink.min_delay, Some(Span::from_secs(300)));
        assert_eq!(sink.max_delay, Some(Span::from_secs(600)));
    }
}

#[test]
fn what_is_said_of_it_is_taken() {
    let text = format!(
        "{SERVICE}labels: {{ app: shop }}\ndecision_logs:\n  service: acme\n  console: true\n  \
         mask_decision: /a/mask\n  drop_decision: a/drop\n  reporting: {{ min_delay_seconds: 1, max_delay_seconds: 2, upload_size_limit_bytes: 90 }}\n"
    );
    let (config, warnings) = take(&text, &[]).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with("is taken for 1024"), "{warnings:?}");
    let [console, upload] = config.decision_log.sinks.as_slice() else {
        panic!("{:?}", config.decision_log.sinks);
    };
    assert_eq!(
        (console.kind, console.name()),
        (Kind::Console, "opa-console")
    );
    assert_eq!(upload.min_delay, Some(Span::from_secs(1)));
    assert_eq!(upload.max_delay, Some(Span::from_secs(2)));
    assert_eq!(upload.upload_size_limit, Some(Size(1024)));
    let log = &config.decision_log;
    assert_eq!(
        (log.mask_decision.as_str(), log.drop_decision.as_str()),
        ("/a/mask", "a/drop")
    );
    for sink in [console, upload] {
        assert_eq!(sink.labels["app"], "shop");
        assert_eq!(sink.format.unwrap_or(Format::Opa), Format::Opa);
    }
}

/// What cannot be done as OPA does it is told, and does not end the start.
#[test]
fn what_has_no_effect_is_told() {
    let rows = [
        (
            "decision_logs: { console: true, request_context: {} }",
            1,
            "request_context",
        ),
        ("decision_logs: { plugin: mine }", 0, "plugin"),
        (
            "decision_logs: { service: acme, reporting: { trigger: manual } }",
            1,
            "trigger",
        ),
        (
            "decision_logs: { service: acme, reporting: { buffer_size_limit_events: 5 } }",
            1,
            "buffer_size_limit_events",
        ),
        ("labels: { a: b }", 0, "labels"),
    ];
    for (text, sinks, expected) in rows {
        let (config, warnings) = take(&format!("{SERVICE}{text}\n"), &[]).unwrap();
        assert_eq!(config.decision_log.sinks.len(), sinks, "{text}");
        let told = warnings.iter().any(|warning| warning.contains(expected));
        assert!(told, "{text}: {warnings:?}");
    }
    let several =
        "services: { a: { url: 'http://a' }, b: { url: 'http://b' } }\ndecision_logs: {}\n";
    let (config, warnings) = take(several, &[]).unwrap();
    assert!(config.decision_log.sinks.is_empty());
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("nothing is uploaded")),
        "{warnings:?}"
    );
    let (config, warnings) = take("decision_logs: null\n", &[]).unwrap();
    assert!(config.decision_log.sinks.is_empty());
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn what_is_wrong_ends_the_start() {
    let rows = [
        ("decision_logs: []", "is no mapping"),
        (
            "decision_logs: { service: other }",
            "there is no service `other`",
        ),
        ("decision_logs: { console: 1 }", "is neither true nor false"),
        (
            "decision_logs: { service: acme, reporting: { min_delay_seconds: 1 } }",
            "misses `max_delay_seconds`",
        ),
        (
            "decision_logs: { service: acme, reporting: { min_delay_seconds: 2, \
             max_delay_seconds: 1 } }",
            "is below `min_delay`",
        ),
        (
            "decision_logs: { console: true }\nlabels: { a: 1 }",
            "is no mapping of texts",
        ),
    ];
    for (text, expected) in rows {
        let problems = take(&format!("{SERVICE}{text}\n"), &[]).unwrap_err();
        let told = problems.iter().any(|problem| problem.contains(expected));
        assert!(told, "{text}: {problems:?}");
    }
}
