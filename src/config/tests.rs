use std::path::Path;

use super::*;
use crate::units::Size;

mod plaintext;

fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorward.yaml");
    std::fs::write(&file, yaml).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&file), environment, &[]).map_err(|ConfigError(messages)| {
        let prefix = format!("{}:", file.display());
        messages
            .into_iter()
            .map(|message| message.replace(&prefix, ""))
            .collect()
    })
}

#[test]
fn nothing_is_a_working_default() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.ext_authz.listen.to_string(), "127.0.0.1:9191");
    assert_eq!(config.management.listen.to_string(), "127.0.0.1:8181");
    assert_eq!(config.rego.evaluation_limit.0, Span::from_millis(50));
}

/// A request can have every provider asked, and the entrypoint.
#[test]
fn all_evaluations_of_a_check_end_by_its_deadline() {
    let rows = [
        ("rego: {}", 50),
        ("rego: { evaluation_limit: 1s }", 150),
        ("rego: { providers: { a: a/b, b: b/c } }", 50),
        (
            "rego: { providers: { a: a/b, b: b/c, c: c/d, d: d/e } }",
            30,
        ),
        ("rego: { evaluation_limit: 1ms, providers: { a: a/b } }", 1),
    ];
    for (yaml, expected) in rows {
        let config = load(yaml, &[]).unwrap();
        let deadline = config.ext_authz.deadline.0;
        let settings = settings(&config.mesh, &config.rego, &[], deadline);
        let limit = settings.rego.evaluation_limit;
        assert_eq!(limit.as_millis(), expected, "{yaml}");
    }
}

#[test]
fn every_problem_is_told_with_its_line() {
    let yaml = "ext_authz:\n  lisen: 127.0.0.1:1\n  deadline: soon\npolices: [a]\nmesh:\n  invalid_token_status: 404\n  trusted_xfcc_peers: [td/ns/a/sa/b, '*']\n  trust_domain_aliases: ['*.old', new]\n";
    let messages = load(yaml, &[]).unwrap_err();
    assert_eq!(
        messages,
        [
            "2:3: `ext_authz.lisen`: unknown key `lisen`, did you mean `listen`?",
            "3:3: `ext_authz.deadline`: `soon` is not a duration such as `150ms`, `10s` or `7d`",
            "4:1: `polices`: unknown key `polices`, did you mean `policies`?",
            "6:3: `mesh.invalid_token_status`: 404 is neither 401 nor 403",
            "7:38: `mesh.trusted_xfcc_peers[1]`: `*` would believe every peer; name those that may be",
            "8:3: `mesh.trust_domain_aliases`: `*.old` is not a trust domain",
        ]
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = [
        ("DOORWARD__MESH__DEFAULT_ACTION", "allow"),
        ("DOORWARD__POLICIES", "[a, b]"),
        ("DOORWARD__CACHE__TTL", "5s"),
        ("DOORWARD_VECTORS", "not ours"),
    ];
    let config = load("cache: { ttl: 1s, max_bytes: 1MiB }", &environment).unwrap();
    assert_eq!(
        config.mesh.default_action,
        crate::policy::DefaultAction::Allow
    );
    assert_eq!(config.policies, [Path::new("a"), Path::new("b")]);
    assert_eq!(config.cache.ttl, Span::from_secs(5));
}

#[test]
fn a_problem_in_the_environment_names_the_variable() {
    let messages = load("", &[("DOORWARD__CACHE__TTL", "later")]).unwrap_err();
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0].starts_with("DOORWARD__CACHE__TTL: "),
        "{messages:?}"
    );
}

#[test]
fn a_variable_that_is_almost_a_setting_is_refused() {
    let messages = load("", &[("DOORWARD_MESH__DEFAULT_ACTION", "deny")]).unwrap_err();
    assert!(
        messages[0].contains("settings begin with `DOORWARD__`"),
        "{messages:?}"
    );
    assert!(load("", &[("DOORWARD_SERVICE_HOST", "10.0.0.1")]).is_ok());
}

#[test]
fn flags_win_over_everything() {
    let flag = |value: &str| Flag {
        name: "--management-listen",
        path: "management.listen",
        value: value.to_owned(),
    };
    let environment = || {
        [(
            "DOORWARD__MANAGEMENT__LISTEN".to_owned(),
            "0.0.0.0:1".to_owned(),
        )]
    };
    let config = Config::load(None, environment(), &[flag("127.0.0.1:7")]).unwrap();
    assert_eq!(config.management.listen.to_string(), "127.0.0.1:7");
    let error = Config::load(None, environment(), &[flag("nowhere")]).unwrap_err();
    assert!(
        error.to_string().starts_with("--management-listen: "),
        "{error}"
    );
}

#[test]
fn an_open_management_port_is_refused() {
    let rows = [
        ("listen: 0.0.0.0:8181", 2),
        ("listen: 0.0.0.0:8181, allow_plaintext: true", 1),
        ("listen: ':8181', allow_plaintext: true", 1),
        ("listen: '127.0.0.1:1'", 0),
        ("listen: 'unix:///tmp/x'", 0),
    ];
    for (section, problems) in rows {
        let found = load(&format!("management: {{ {section} }}"), &[])
            .err()
            .unwrap_or_default();
        assert_eq!(found.len(), problems, "{section}: {found:?}");
    }
    let tls = "tls: { cert: a, key: b }";
    let asking = "tls: { cert: a, key: b, client_ca: c }";
    let jwt = "issuer: https://a, audiences: [b]";
    let rows = [
        (format!("listen: ':1', {tls}"), 1),
        (format!("listen: ':1', {tls}, tokens_file: f"), 0),
        ("listen: ':1', tokens_file: f".to_owned(), 1),
        (
            format!("listen: ':1', {asking}, clients: [{{ subject: CN=a, roles: [admin] }}]"),
            0,
        ),
        (
            format!("{tls}, clients: [{{ subject: CN=a, roles: [admin] }}]"),
            1,
        ),
        (format!("{asking}, clients: [{{ roles: [admin] }}]"), 1),
        (
            format!(
                "{asking}, clients: [{{ subject: a, spiffe_id: 'spiffe://a/b', roles: [admin] }}]"
            ),
            1,
        ),
        (
            format!("{asking}, clients: [{{ spiffe_id: a/b, roles: [admin] }}]"),
            1,
        ),
        (
            format!("{asking}, clients: [{{ spiffe_id: 'spiffe://a', roles: [admin] }}]"),
            1,
        ),
        (format!("listen: ':1', {tls}, jwt: {{ {jwt} }}"), 0),
        (
            format!("jwt: {{ {jwt}, jwks_uri: 'https://a/b', jwks: '{{}}' }}"),
            1,
        ),
        (format!("jwt: {{ {jwt}, jwks: '{{}}' }}"), 1),
        (
            format!("jwt: {{ {jwt}, jwks_uri: 'file:///etc/passwd' }}"),
            1,
        ),
        ("jwt: { issuer: https://a, audiences: [] }".to_owned(), 1),
        ("jwt: { issuer: '', audiences: [b] }".to_owned(), 1),
        ("jwt: { issuer: nowhere, audiences: [b] }".to_owned(), 1),
        ("jwt: { issuer: 'http://a', audiences: [b] }".to_owned(), 1),
        (format!("jwt: {{ {jwt}, jwks_uri: 'http://a/b' }}"), 1),
        (
            format!("jwt: {{ {jwt}, jwks_uri: 'http://127.0.0.1.example/b' }}"),
            1,
        ),
        (
            format!("jwt: {{ {jwt}, jwks_uri: 'http://a/b', allow_plaintext: true }}"),
            0,
        ),
        (
            format!("jwt: {{ {jwt}, jwks_uri: 'http://127.0.0.1:1/b' }}"),
            0,
        ),
        ("hosts: ['*']".to_owned(), 1),
        ("tls: { cert: a }".to_owned(), 1),
    ];
    for (section, problems) in rows {
        let found = load(&format!("management: {{ {section} }}"), &[])
            .err()
            .unwrap_or_default();
        assert_eq!(found.len(), problems, "{section}: {found:?}");
    }
    let token = "a".repeat(64);
    let open = format!(
        "management: {{ listen: '0.0.0.0:1', allow_plaintext: true, tokens: ['sha256:{token}'] }}"
    );
    assert!(load(&open, &[]).is_ok());
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let error = Config::load(Some(Path::new("/does/not/exist.yaml")), [], &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("/does/not/exist.yaml: "),
        "{error}"
    );
}

/// One that was written in the wrong place is in nobody's terminal or log.
#[test]
fn no_problem_shows_what_was_written() {
    let rows = [
        ("MANAGEMENT__TOKENS", "my-secret"),
        ("MANAGEMENT__TOKENS", "[my-secret]"),
        ("MANAGEMENT__TOKENS", "[{ name: [my-secret] }]"),
        ("MANAGEMENT__TOKENS", "*my-secret"),
        ("MANAGEMENT__TOKENS", "!my-secret x"),
        ("MANAGEMENT__TOKENS", "@my-secret"),
        ("MANAGEMENT__TOKENS", "%my-secret"),
        ("MANAGEMENT__TOKENS", "\"my-secret"),
        ("MANAGEMENT__TOKENS", "[my-secret"),
        ("MANAGEMENT__TOKENS", "a: my-secret: b"),
        ("MANAGEMENT__TOKENS", "|my-secret"),
        ("MANAGEMENT__JWT", "my-secret"),
        (
            "MANAGEMENT__JWT__AUDIENCES",
            "my-secret, expected a sequence",
        ),
        ("BUNDLE_VERIFICATION__KEYS__K", "my-secret"),
        ("BUNDLE_VERIFICATION__KEYS__K__KEY", "[my-secret]"),
        ("BUNDLES__B__CREDENTIALS", "my-secret"),
        ("BUNDLES__B__CREDENTIALS__BEARER", "my-secret"),
        ("BUNDLES__B__CREDENTIALS__BEARER__TOKEN", "[my-secret]"),
        ("BUNDLES__B__HEADERS", "my-secret"),
        ("BUNDLES__B__URL", "https://me:my-secret@localhost/"),
    ];
    for (variable, value) in rows {
        let variable = format!("DOORWARD__{variable}");
        let messages = load("", &[(&variable, value)]).unwrap_err();
        assert!(
            messages
                .iter()
                .all(|message| !message.contains("my-secret")),
            "{value}: {messages:?}"
        );
    }
    let messages = load("management: { tokens: 47114711 }", &[]).unwrap_err();
    assert_eq!(
        messages,
        ["1:15: `management.tokens`: invalid type: integer, expected a sequence"]
    );
    let messages = load("mesh: { default_action: perhaps }", &[]).unwrap_err();
    assert_eq!(
        messages,
        ["1:9: `mesh.default_action`: unknown variant, expected `deny` or `allow`"]
    );
}

#[test]
fn no_query_of_a_url_is_shown() {
    let config = load(
        "management: { jwt: { issuer: 'https://a', audiences: [b], jwks_uri: 'https://a/keys?code=my-secret' } }",
        &[],
    );
    let shown = config.unwrap().shown();
    assert_eq!(shown["management"]["jwt"]["jwks_uri"], "https://a/keys");
    assert!(!shown.to_string().contains("my-secret"), "{shown}");
}

/// `off` in place of the section keeps verified tokens, as `max_bytes: 0B` does.
#[test]
fn the_cache_is_turned_off_by_a_word() {
    let rows: &[(&str, &[(&str, &str)], u64)] = &[
        ("cache: off", &[], 0),
        ("cache: \"off\"", &[], 0),
        ("cache: false", &[], 0),
        ("", &[("DOORWARD__CACHE", "off")], 0),
        ("cache: { ttl: 1s }", &[("DOORWARD__CACHE", "off")], 0),
        ("cache: {}", &[], 64 << 20),
        ("cache: { max_bytes: 0B }", &[], 0),
    ];
    for (yaml, environment, expected) in rows {
        let config = load(yaml, environment).unwrap();
        assert_eq!(config.cache.max_bytes.0, *expected, "{yaml}");
        assert_eq!(config.cache.tokens_max_bytes, Size::from_mib(16), "{yaml}");
        let shown = config.shown();
        let again = load(&shown.to_string(), &[]).unwrap();
        assert_eq!(again.shown(), shown, "{yaml}");
    }
    let wrong = "expected a mapping, or `off`";
    let rows = [
        (
            "cache: on",
            format!("1:1: `cache`: invalid value: string, {wrong}"),
        ),
        (
            "cache: true",
            format!("1:1: `cache`: invalid value: boolean, {wrong}"),
        ),
        (
            "cache: 0",
            format!("1:1: `cache`: invalid type: integer, {wrong}"),
        ),
        (
            "cache: { tll: 1s }",
            "1:10: `cache.tll`: unknown key `tll`, did you mean `ttl`?".to_owned(),
        ),
        (
            "cache: { ttl: 1 }",
            "1:10: `cache.ttl`: invalid type: integer, expected a string".to_owned(),
        ),
    ];
    for (yaml, expected) in rows {
        assert_eq!(load(yaml, &[]).unwrap_err(), [expected], "{yaml}");
    }
}

#[test]
fn what_is_not_remembered_is_something_that_is_asked() {
    let rows = [
        ("{}", Ok(vec![])),
        (
            "{ uncached: [envoy/authz/allow] }",
            Ok(vec!["envoy/authz/allow"]),
        ),
        (
            "{ uncached: [/envoy/authz/allow/] }",
            Ok(vec!["/envoy/authz/allow/"]),
        ),
        (
            "{ entrypoint: a/b, providers: { x: c/d }, uncached: [c/d, a/b] }",
            Ok(vec!["a/b", "c/d"]),
        ),
        (
            "{ query: data.a.b, uncached: [data.a.b] }",
            Ok(vec!["data.a.b"]),
        ),
        ("{ uncached: [a/b] }", Err("a/b")),
        (
            "{ entrypoint: a/b, uncached: [envoy/authz/allow] }",
            Err("envoy/authz/allow"),
        ),
        ("{ entrypoint: none, uncached: [none] }", Err("none")),
        // A provider is named by its rule.
        ("{ providers: { x: c/d }, uncached: [x] }", Err("x")),
    ];
    for (rego, expected) in rows {
        let config = load(&format!("rego: {rego}"), &[]).unwrap();
        let actual = config
            .policy_settings()
            .map(|settings| settings.rego.caching.off);
        let expected = expected
            .map(|paths| paths.into_iter().map(str::to_owned).collect())
            .map_err(|path| {
                let why = "is neither `rego.entrypoint` nor one of `rego.providers`";
                ConfigError(vec![format!("`rego.uncached`: `{path}` {why}")])
            });
        assert_eq!(actual, expected, "{rego}");
    }
}

#[test]
fn what_masks_records_decides_nothing() {
    for (text, is_refused) in [
        ("rego: { entrypoint: system/log/mask }", true),
        ("rego: { providers: { x: /system/log/drop } }", true),
        (
            "rego: { entrypoint: a/b }\ndecision_log: { mask_decision: a/b }",
            true,
        ),
        (
            "rego: { entrypoint: system/log/mask }\ndecision_log: { mask_decision: a/b }",
            false,
        ),
        ("rego: { entrypoint: none }", false),
    ] {
        let settings = load(text, &[]).unwrap().policy_settings();
        assert_eq!(settings.is_err(), is_refused, "{text}");
    }
}

#[test]
fn settings_of_the_decision_log_that_cannot_be_meant() {
    for (text, key) in [
        ("{ enabled: false, overflow: deny }", "overflow"),
        ("{ mask: [/output/a] }", "mask"),
        ("{ sample: [{ ratio: 1.5 }] }", "sample"),
        ("{ sample: [{ effect: maybe, ratio: 1 }] }", "effect"),
        ("{ detail: { deny: all } }", "detail"),
    ] {
        let error = load(&format!("decision_log: {text}"), &[]).unwrap_err();
        assert!(error.concat().contains(key), "{text}: {error:?}");
    }
}
