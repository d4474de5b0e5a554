//! What becomes of a file of OPA's.

mod bundles;
mod decisions;

use std::collections::HashMap;

use serde_json::json;

use super::super::{Config, Flag};
use super::runtime;
use crate::ext_authz::Replies;
use crate::policy::OnError;
use crate::policy::config::EntrypointConfig;
use crate::policy::rego::Asked;
use crate::yaml::Document;

/// Puts a file over the defaults.
fn take(text: &str, flags: &[Flag]) -> Result<(Config, Vec<String>), Vec<String>> {
    take_over(Config::default(), text, flags)
}

/// Puts a file over a configuration.
fn take_over(
    mut config: Config,
    text: &str,
    flags: &[Flag],
) -> Result<(Config, Vec<String>), Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let environment = HashMap::from([("NAME".to_owned(), "web/authz".to_owned())]);
    let taken = super::take(&mut config, file.path(), &environment, flags);
    let shown = format!("{}:", file.path().display());
    let strip = |lines: Vec<String>| -> Vec<String> {
        let lines = lines.into_iter();
        lines
            .map(|line| line.replace(&shown, "").trim().to_owned())
            .collect()
    };
    match taken {
        Ok(warnings) => Ok((config, strip(warnings))),
        Err(error) => Err(strip(error.0)),
    }
}

fn path_of(config: &Config) -> String {
    match config.policy_settings().unwrap().rego.asked {
        Asked::Rule(path) => path,
        other => panic!("{other:?}"),
    }
}

/// What Doorward's own setting takes for none is a path here.
#[test]
fn any_path_is_a_path() {
    for path in ["none", "/none", "a"] {
        let text = format!("plugins: {{ envoy_ext_authz_grpc: {{ path: {path} }} }}");
        let (config, _) = take(&text, &[]).unwrap();
        assert_eq!(path_of(&config), path);
        // Also where it is written out and read again.
        let shown = serde_json::to_string(&config.rego.entrypoint).unwrap();
        let read: Option<EntrypointConfig> = serde_json::from_str(&shown).unwrap();
        assert!(matches!(read, Some(EntrypointConfig::Path(_))), "{shown}");
    }
}

#[test]
fn options_of_the_plugin_are_taken() {
    let text = "plugins:\n  envoy_ext_authz_grpc:\n    addr: grpc://127.0.0.1:7\n    Path: ${NAME}/allow\n    Dry-Run: true\n    skip-request-body-parse: true\n    enable-reflection: true\n    enable-performance-metrics: true\n    grpc-request-duration-seconds-buckets: [0.001, 1]\n    grpc-max-recv-msg-size: 1000\n    proto-descriptor: \"\"\n    query: null\n";
    let (config, warnings) = take(text, &[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.ext_authz.listen.to_string(), "127.0.0.1:7");
    assert_eq!(config.ext_authz.max_message_bytes.0, 1000);
    assert_eq!(path_of(&config), "web/authz/allow");
    assert!(config.rego.dry_run && config.rego.skip_request_body_parse);
    assert!(config.ext_authz.reflection);
    assert!(config.rego.performance_metrics);
    assert_eq!(Vec::from(config.rego.duration_buckets), [0.001, 1.0]);
}

#[test]
fn an_empty_file_is_the_defaults_of_the_plugin() {
    for text in ["", "plugins: { envoy.ext_authz.grpc: {} }"] {
        let (config, warnings) = take(text, &[]).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(config.ext_authz.listen.to_string(), "0.0.0.0:9191");
        assert_eq!(config.ext_authz.replies, Replies::Plugin);
        assert_eq!(config.rego.on_error, OnError::Error);
        assert_eq!(path_of(&config), "envoy/authz/allow");
    }
}

#[test]
fn a_flag_wins() {
    let flag = Flag {
        name: "--ext-authz-listen",
        path: "ext_authz.listen",
        value: "127.0.0.1:1".to_owned(),
    };
    let (config, _) = take(
        "plugins: { envoy_ext_authz_grpc: { addr: nowhere } }",
        &[flag],
    )
    .unwrap();
    assert_eq!(config.ext_authz.listen, Config::default().ext_authz.listen);
}

#[test]
fn what_has_no_effect_is_told() {
    let text = "services: { a: {} }\nstatus: {}\nplugins:\n  other: {}\n  envoy_ext_authz_grpc:\n    dry_run: true\n";
    let (config, mut warnings) = take(text, &[]).unwrap();
    warnings.sort();
    let expected = [
        "1:13: `services.a`: has no effect here",
        "2:1: `status`: has no effect here",
        "4:3: `plugins.other`: has no effect here",
        "6:5: `plugins.envoy_ext_authz_grpc.dry_run`: has no effect here",
    ];
    assert_eq!(warnings, expected);
    assert!(!config.rego.dry_run);
}

#[test]
fn what_cannot_be_meant_or_served_is_refused() {
    let rows = [
        ("[]", "is no mapping"),
        ("a: [", ""),
        ("a: 1\n---\nb: 1\n", "more than one document"),
        ("a: ${NOPE}", "the variable `NOPE` is not set"),
        (
            "discovery: { resource: d }",
            "`discovery`: no configuration is downloaded",
        ),
        ("bundle: 1", "`bundle`: is no mapping"),
        ("plugins: 1", "`plugins`: is no mapping"),
        ("plugins: { envoy_ext_authz_grpc: 1 }", "is no mapping"),
        (
            "plugins: { envoy_ext_authz_grpc: { path: 1 } }",
            "path`: is no text",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { dry-run: \"true\" } }",
            "is neither true nor false",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { grpc-max-recv-msg-size: -1 } }",
            "is no size",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { grpc-request-duration-seconds-buckets: [2, 1] } }",
            "each above the one before",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { grpc-request-duration-seconds-buckets: [a] } }",
            "is no list of numbers",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { proto-descriptor: 1 } }",
            "is no text",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { path: a, query: b } }",
            "only the \"path\" field",
        ),
        (
            "plugins: { envoy_ext_authz_grpc: { addr: \"tcp://x\" } }",
            "`addr`: ",
        ),
    ];
    for (text, expected) in rows {
        let errors = take(text, &[]).map(|_| ()).unwrap_err();
        let found = errors.iter().any(|error| error.contains(expected));
        assert!(found, "{text}: {errors:?}");
    }
}

#[test]
fn what_opa_runtime_tells_has_no_credentials() {
    let document = Document::from_value(json!({
        "services": {"s": {"url": "https://s", "headers": {"x-key": "secret"},
            "credentials": {"bearer": {"token": "secret"}}}},
        "bundles": {"b": {"resource": "b.tar.gz?sig=secret"}, "c": {"Resource": "c?secret"}},
        "keys": {"k": {"key": "secret", "private_key": "secret", "algorithm": "RS256"}},
        "plugins": {"envoy_ext_authz_grpc": {"path": "a/b"}},
    }));
    let environment = HashMap::from([("REGION".to_owned(), "eu".to_owned())]);
    let told = runtime(&document, &environment);
    assert!(!told.to_string().contains("secret"), "{told}");
    assert_eq!(told["config"]["services"]["s"]["url"], "https://s");
    assert_eq!(told["config"]["keys"]["k"]["algorithm"], "RS256");
    assert_eq!(told["config"]["bundles"]["b"]["resource"], "b.tar.gz");
    assert_eq!(told["env"]["REGION"], "eu");

    let list = json!({"services": [{"name": "s", "Headers": {"x": "secret"}, "Credentials": {"bearer": {"token": "secret"}}}]});
    let told = runtime(&Document::from_value(list), &environment);
    assert!(!told.to_string().contains("secret"), "{told}");
}

#[test]
fn rules_of_the_decision_log_have_the_paths_that_are_given() {
    for (text, expected) in [
        ("decision_logs: {}", ["system/log/mask", "system/log/drop"]),
        (
            "decision_logs: { mask_decision: /a/mask, drop_decision: b/drop }",
            ["/a/mask", "b/drop"],
        ),
    ] {
        let (config, warnings) = take(text, &[]).unwrap();
        let log = &config.decision_log;
        assert_eq!([&log.mask_decision, &log.drop_decision], expected);
        assert_eq!(warnings, [""; 0], "{text}");
    }
}
