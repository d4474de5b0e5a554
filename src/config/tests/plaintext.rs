//! Credentials that would be sent without encryption.

use super::*;

/// Nothing that lets somebody in leaves this machine unnoticed.
#[test]
fn what_is_sent_in_the_clear_is_told() {
    let oauth2 = |url: &str| {
        format!("{{ oauth2: {{ token_url: '{url}', client_id: c, client_secret: s3cret }} }}")
    };
    let bundle = |rest: &str| format!("bundles: {{ b: {{ {rest} }} }}");
    let sink = |rest: &str| format!("decision_log: {{ sinks: [{{ {rest} }}] }}");
    let bearer = "credentials: { bearer: { token: s3cret } }";
    let scram = "sasl: { mechanism: scram-sha-256, username: u, password: s3cret }";
    let rows = [
        (
            bundle(&format!("url: 'http://a.example/b', {bearer}")),
            Some("`bundles.b.url`"),
        ),
        (
            bundle("url: 'http://10.0.0.1/b', headers: { x-key: s3cret }"),
            Some("`bundles.b.url`"),
        ),
        (
            bundle(&format!("url: 'https://a.example/b', {bearer}")),
            None,
        ),
        (
            bundle(&format!("url: 'http://127.0.0.1/b', {bearer}")),
            None,
        ),
        (
            bundle(&format!("url: 'http://localhost:1/b', {bearer}")),
            None,
        ),
        (bundle(&format!("url: 'http://[::1]/b', {bearer}")), None),
        (bundle("url: 'http://a.example/b'"), None),
        (
            bundle(&format!(
                "url: 'https://a.example/b', credentials: {}",
                oauth2("http://idp.example/token")
            )),
            Some("`bundles.b.credentials.oauth2.token_url`"),
        ),
        (
            sink(&format!(
                "type: http, url: 'http://a.example/logs', {bearer}"
            )),
            Some("`decision_log.sinks[http].url`"),
        ),
        (
            sink(&format!(
                "type: otlp, name: o, url: 'http://a.example/v1/logs', {bearer}"
            )),
            Some("`decision_log.sinks[o].url`"),
        ),
        (sink("type: otlp, url: 'http://a.example/v1/logs'"), None),
        (
            format!("traces: {{ url: 'http://a.example/v1/traces', {bearer} }}"),
            Some("`traces.url`"),
        ),
        (
            "traces: { url: 'http://a.example/v1/traces' }".to_owned(),
            None,
        ),
        (
            sink(&format!(
                "type: kafka, brokers: ['k.example:9092'], topic: t, {scram}"
            )),
            Some("`decision_log.sinks[kafka].sasl`"),
        ),
        (
            sink(&format!(
                "type: kafka, brokers: ['k.example:9092'], topic: t, tls: {{}}, {scram}"
            )),
            None,
        ),
        (
            sink(&format!(
                "type: kafka, brokers: ['127.0.0.1:9092'], topic: t, {scram}"
            )),
            None,
        ),
    ];
    for (yaml, expected) in rows {
        let warnings = load(&yaml, &[]).unwrap().plaintext_warnings();
        assert_eq!(
            warnings.len(),
            usize::from(expected.is_some()),
            "{yaml}: {warnings:?}"
        );
        if let Some(place) = expected {
            assert!(warnings[0].starts_with(place), "{warnings:?}");
            assert!(!warnings[0].contains("s3cret"), "{warnings:?}");
        }
    }
}
