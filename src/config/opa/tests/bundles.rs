//! What becomes of `services`, `keys`, `bundles` and `bundle`.

use serde_json::{Value, json};

use super::{take, take_over};
use crate::bundle::{BundleSource, Credentials, Mode, Secret};
use crate::config::Config;

const SERVICE: &str = "services: { s: { url: 'https://s/base/' } }\n";

fn taken(text: &str) -> Config {
    let (config, warnings) = take(text, &[]).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    assert_eq!(warnings, Vec::<String>::new(), "{text}");
    config
}

/// The source of `main`, as it would be written.
fn main_of(text: &str) -> BundleSource {
    taken(text).bundles["main"].clone()
}

fn shown(text: &str) -> Value {
    serde_json::to_value(main_of(text)).unwrap()
}

#[test]
fn a_bundle_is_a_source() {
    let check = |bundles: &str, expected: Value| {
        assert_eq!(shown(&format!("{SERVICE}{bundles}")), expected, "{bundles}");
    };
    let usual =
        |resource: &str| json!({"url": format!("https://s/base/{resource}"), "persist": false});
    check("bundles: { main: { service: s } }", usual("bundles/main"));
    check("bundles: { main: {} }", usual("bundles/main"));
    check("bundles: { main: }", usual("bundles/main"));
    check(
        "bundles: { main: { service: s, resource: /a/b.tar.gz, trigger: periodic } }",
        usual("a/b.tar.gz"),
    );
    check(
        "bundles: { main: { resource: '', SERVICE: s } }",
        usual("bundles/main"),
    );
    check("bundle: { name: main }", usual("bundles/main"));
    check(
        "bundle: { name: main, service: s, prefix: x/y }",
        usual("x/y/main"),
    );
    assert_eq!(
        shown("bundles: { main: { resource: 'file:///srv/a%20b.tar.gz' } }"),
        json!({"path": "/srv/a b.tar.gz"})
    );
    let mut full = usual("bundles/main");
    full["persist"] = json!(true);
    full["size_limit"] = json!("1MiB");
    full["polling"] = json!({"min_delay": "1s", "max_delay": "2s", "long_polling_timeout": "1m"});
    check(
        "bundles: { main: { persist: true, size_limit_bytes: 1048576, polling: { \
         min_delay_seconds: 1, max_delay_seconds: 2, long_polling_timeout_seconds: 60 } } }",
        full,
    );
}

#[test]
fn a_service_that_speaks_s3() {
    let check = |url: &str, signing: &str, resource: &str, expected: Value| {
        let found = shown(&format!(
            "services: {{ s: {{ url: '{url}', credentials: {{ s3_signing: {{ {signing} }} }} }} }}\n\
             bundles: {{ main: {{ resource: '{resource}' }} }}"
        ));
        assert_eq!(found, expected, "{url} {signing} {resource}");
    };
    let of = |url: &str, store: Value, metadata: bool| {
        json!({"url": url, "object_store": store, "persist": false,
            "credentials": {"environment": {"metadata": metadata}}})
    };
    let environment = "environment_credentials: {}";
    let amazon = json!({"endpoint": "https://s3.eu-west-1.amazonaws.com/", "virtual_hosted": true});
    for host in ["policy", "policy.company"] {
        check(
            &format!("https://{host}.s3.eu-west-1.amazonaws.com"),
            environment,
            "prod/main.tar.gz",
            of(
                &format!("s3://{host}/prod/main.tar.gz"),
                amazon.clone(),
                false,
            ),
        );
    }
    check(
        "https://policy.s3.amazonaws.com/prod/",
        environment,
        "main.tar.gz",
        of(
            "s3://policy/prod/main.tar.gz",
            json!({"endpoint": "https://s3.amazonaws.com/", "virtual_hosted": true}),
            false,
        ),
    );
    let by_path =
        json!({"endpoint": "https://s3.eu-west-1.amazonaws.com/", "virtual_hosted": false});
    check(
        "https://s3.eu-west-1.amazonaws.com/policy",
        environment,
        "a%20b/main.tar.gz",
        of("s3://policy/a%20b/main.tar.gz", by_path, false),
    );
    check(
        "http://minio:9000",
        "metadata_credentials: { aws_region: here }, service: s3, signature_version: '4'",
        "policy/main.tar.gz",
        of(
            "s3://policy/main.tar.gz",
            json!({"endpoint": "http://minio:9000/", "region": "here", "virtual_hosted": false}),
            true,
        ),
    );
    let workload = "environment_credentials: {}, web_identity_credentials: { aws_region: there }";
    check(
        "http://minio:9000",
        workload,
        "policy/main.tar.gz",
        of(
            "s3://policy/main.tar.gz",
            json!({"endpoint": "http://minio:9000/", "region": "there", "virtual_hosted": false}),
            false,
        ),
    );
}

#[test]
fn a_service_says_how_a_server_is_asked() {
    let of = |service: &str| {
        main_of(&format!(
            "services: [ {{ name: s, url: 'https://s', {service} }} ]\nbundles: {{ main: {{}} }}"
        ))
    };
    let source = of("headers: { X-Tenant: a }, allow_insecure_tls: false, \
                     response_header_timeout_seconds: 90");
    assert_eq!(source.headers["X-Tenant"], Secret("a".to_owned()));
    assert_eq!(source.timeout.unwrap().to_string(), "90s");
    assert_eq!(of("response_header_timeout_seconds: 5").timeout, None);

    let tls = |service: &str| serde_json::to_value(of(service).tls).unwrap();
    let identity = "credentials: { client_tls: { cert: c, private_key: k, ca_cert: old } }";
    let with = |ca, system_ca| json!({"ca": ca, "system_ca": system_ca, "cert": "c", "key": "k"});
    assert_eq!(tls("tls: {}"), Value::Null);
    assert_eq!(tls(identity), with("old", false));
    let both = format!("tls: {{ ca_cert: new, system_ca_required: true }}, {identity}");
    assert_eq!(tls(&both), with("new", true));

    let credentials = |given: &str| of(&format!("credentials: {{ {given} }}")).credentials;
    match credentials("bearer: { token: c4n4ry }") {
        Some(Credentials::Bearer(bearer)) => {
            assert_eq!(bearer.token, Some(Secret("c4n4ry".to_owned())));
            assert_eq!(bearer.scheme, "Bearer");
        }
        other => panic!("{other:?}"),
    }
    match credentials("bearer: { token_path: /run/token, scheme: token }") {
        Some(Credentials::Bearer(bearer)) => {
            assert_eq!(bearer.token_file, Some("/run/token".into()));
            assert_eq!(bearer.scheme, "token");
        }
        other => panic!("{other:?}"),
    }
    match credentials(
        "oauth2: { grant_type: client_credentials, token_url: 'https://i/t', client_id: me, \
         client_secret: c4n4ry, scopes: [a], additional_headers: { h: x }, \
         additional_parameters: { audience: y } }",
    ) {
        Some(Credentials::OAuth2(oauth2)) => {
            assert_eq!(oauth2.token_url.to_string(), "https://i/t");
            assert_eq!(
                (oauth2.client_id.as_str(), oauth2.scopes),
                ("me", vec!["a".to_owned()])
            );
            assert_eq!(oauth2.client_secret, Some(Secret("c4n4ry".to_owned())));
            assert_eq!(oauth2.headers["h"], Secret("x".to_owned()));
            assert_eq!(oauth2.parameters["audience"], Secret("y".to_owned()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_must_have_signed() {
    let keys = "keys: { k: { algorithm: HS256, key: c4n4ry, scope: write }, \
                p: { private_key: x } }\n";
    let signing = |keys: &str, bundle: &str| {
        let text = format!("{SERVICE}{keys}bundles: {{ main: {{ {bundle} }} }}");
        let (config, _) = take(&text, &[]).unwrap();
        assert_eq!(
            config.bundle_verification.keys.len(),
            usize::from(!keys.is_empty())
        );
        config.bundle_settings(false).unwrap();
        serde_json::to_value(&config.bundles["main"].signing).unwrap()
    };
    let if_present = json!({"mode": "verify-if-present"});
    assert_eq!(signing("", ""), Value::Null);
    assert_eq!(signing(keys, ""), if_present);
    assert_eq!(signing(keys, "signing: {}"), if_present);
    assert_eq!(
        signing(
            keys,
            "signing: { keyid: k, scope: s, exclude_files: [a/*] }"
        ),
        json!({"mode": "required", "key_id": "k", "scope": "s", "exclude_files": ["a/*"]})
    );
}

#[test]
fn what_has_no_effect_is_told() {
    let text = "services:\n  s:\n    url: https://s\n    typo: 1\n    credentials: { bearer: { token: t, typo: 1 } }\n  logs: { url: https://l, credentials: { s3_signing: {} } }\nbundles:\n  a: { typo: 1, service: s, signing: { keyid: k, publicKeys: {} } }\n  b: { service: s, polling: { typo: 1 } }\n  c: { resource: 'file:///c', persist: true }\nkeys:\n  k: { key: x, algorithm: HS256, typo: 1 }\n  p: { private_key: x }\nlabels: {}\n";
    let (_, mut warnings) = take(text, &[]).unwrap();
    warnings.sort();
    let mut expected = [
        "12:3: `keys.k.typo`",
        "13:3: `keys.p`",
        "14:1: `labels`",
        "4:5: `services.s.typo`",
        "5:45: `services.s.credentials.bearer.typo`",
        "6:3: `services.logs`",
        "8:8: `bundles.a.typo`",
        "8:52: `bundles.a.signing.publicKeys`",
        "9:31: `bundles.b.polling.typo`",
        "10:31: `bundles.c.persist`",
    ]
    .map(|line| format!("{line}: has no effect here"));
    expected.sort();
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (found, expected) in warnings.iter().zip(&expected) {
        let path = |line: &str| line.split('`').nth(1).map(str::to_owned);
        assert_eq!(path(found), path(expected), "{warnings:#?}");
    }
}

#[test]
fn what_cannot_be_meant_or_served_is_refused() {
    let services = |service: &str| {
        format!("services: {{ s: {{ url: 'https://s', {service} }} }}\nbundles: {{ main: {{}} }}")
    };
    let credentials = |given: &str| services(&format!("credentials: {{ {given} }}"));
    let bundles = |bundle: &str| format!("{SERVICE}bundles: {{ main: {{ {bundle} }} }}");
    let rows = [
        ("services: 1".to_owned(), "`services`: is neither a mapping"),
        (
            "services: [ { url: 'https://s' } ]".to_owned(),
            "`services[0]`: has no `name`",
        ),
        ("bundles: 1".to_owned(), "`bundles`: is no mapping"),
        ("keys: 1".to_owned(), "`keys`: is no mapping"),
        (format!("{SERVICE}bundle: {{}}"), "`bundle`: needs a `name`"),
        (
            format!("{SERVICE}bundle: {{ name: a/b }}"),
            "`a/b` is not a name",
        ),
        (
            format!("{SERVICE}bundle: {{ name: a }}\nbundles: {{ a: {{}} }}"),
            "there is a bundle `a`",
        ),
        (
            "bundles: { a: {} }".to_owned(),
            "needs a `service`: there is not exactly one",
        ),
        (
            "services: { s: {}, t: {} }\nbundles: { a: {} }".to_owned(),
            "needs a `service`: there is not exactly one",
        ),
        (bundles("service: other"), "there is no service `other`"),
        (bundles("resource: 'file:a'"), "is no URL of a file"),
        (
            bundles("resource: 1"),
            "`bundles.main.resource`: is no text",
        ),
        (bundles("trigger: manual"), "only `periodic` is supported"),
        (bundles("persist: 1"), "is neither true nor false"),
        (
            bundles("size_limit_bytes: 0"),
            "is no whole number from 1 on",
        ),
        (
            bundles("size_limit_bytes: 2000000000000"),
            "`bundles.main`: size_limit",
        ),
        (
            bundles("polling: { min_delay_seconds: 1 }"),
            "misses `max_delay_seconds`",
        ),
        (
            bundles("polling: { max_delay_seconds: 1 }"),
            "misses `min_delay_seconds`",
        ),
        (
            bundles("polling: { min_delay_seconds: 2, max_delay_seconds: 1 }"),
            "max_delay is below min_delay",
        ),
        (
            bundles("polling: { long_polling_timeout_seconds: 0 }"),
            "is no whole number from 1 on",
        ),
        (bundles("signing: { keyid: k }"), "key id k not found"),
        (bundles("signing: { scope: k }"), "needs a key in `keys`"),
        ("keys: { k: {} }".to_owned(), "`keys.k`: has no `key`"),
        (
            "keys: { k: { key: x, algorithm: XY } }".to_owned(),
            "unknown signature algorithm: XY",
        ),
        (services("type: oci"), "registries are not asked"),
        (
            services("allow_insecure_tls: true"),
            "servers are always verified",
        ),
        (
            services("headers: { Host: c4n4ry }"),
            "`Host` is no header that can be set",
        ),
        (services("headers: { a: 1 }"), "is no mapping of texts"),
        (
            "services: { s: { url: 'ftp://c4n4ry' } }\nbundles: { main: {} }".to_owned(),
            "`services.s.url`: the URL is neither `http` nor `https`",
        ),
        (
            "services: { s: {} }\nbundles: { main: {} }".to_owned(),
            "`services.s.url`: the URL",
        ),
        (
            credentials("bearer: { token: c4n4ry }, oauth2: {}"),
            "a maximum one credential method",
        ),
        (
            credentials("bearer: {}"),
            "either the \"token\" or \"token_path\" field",
        ),
        (
            credentials("bearer: { token: c4n4ry, token_path: b }"),
            "either the \"token\"",
        ),
        (
            credentials("s3_signing: {}"),
            "`services.s.credentials.s3_signing`: says nothing of where the keys are",
        ),
        (
            credentials("s3_signing: { profile_credentials: {} }"),
            "s3_signing.profile_credentials`: is not supported",
        ),
        (
            credentials("s3_signing: { environment_credentials: {}, service: execute-api }"),
            "s3_signing.service`: only `s3` is supported",
        ),
        (
            credentials("s3_signing: { environment_credentials: {}, signature_version: 4a }"),
            "s3_signing.signature_version`: only `4` is supported",
        ),
        (
            services(
                "headers: { a: c4n4ry }, credentials: { s3_signing: { environment_credentials: {} \
                 } }",
            ),
            "headers is for `http` and `https` URLs",
        ),
        (
            "services: { s: { url: 'https://s3.example', credentials: { s3_signing: { \
             environment_credentials: {} } } } }\nbundles: { main: { resource: 'c4n4ry' } }"
                .to_owned(),
            "are none of an object",
        ),
        (
            credentials("gcp_metadata: {}"),
            "gcp_metadata`: is not supported",
        ),
        (
            credentials("azure_managed_identity: {}"),
            "azure_managed_identity`: is not supported",
        ),
        (credentials("plugin: mine"), "plugin`: is not supported"),
        (
            credentials("client_tls: { cert: c }"),
            "needs both of `cert` and `private_key`",
        ),
        (
            credentials("client_tls: { cert: c, private_key: k, private_key_passphrase: c4n4ry }"),
            "encrypted keys are not read",
        ),
        (
            credentials("oauth2: { grant_type: jwt_bearer, signing_key: k }"),
            "only the grant `client_credentials`",
        ),
        (
            credentials(
                "oauth2: { token_url: 'https://i', client_id: a, client_assertion: c4n4ry }",
            ),
            "client_assertion`: is not supported",
        ),
        (
            credentials("oauth2: { token_url: 'https://i', client_id: a }"),
            "needs `client_id` and",
        ),
        (
            credentials("oauth2: { client_id: a, client_secret: c4n4ry }"),
            "oauth2.token_url`: the URL",
        ),
    ];
    for (text, expected) in rows {
        let errors = take(&text, &[]).map(|_| ()).expect_err(&text);
        let found = errors.iter().any(|error| error.contains(expected));
        assert!(found, "{text}: {errors:?}");
        assert!(!errors.join("").contains("c4n4ry"), "{errors:?}");
    }
}

/// However many bundles come from it.
#[test]
fn a_bad_service_is_told_once() {
    let text = "services: { s: { url: 'https://s', allow_insecure_tls: true, typo: 1 } }\n\
                bundles: { a: {}, b: {} }";
    let errors = take(text, &[]).map(|_| ()).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn what_both_configurations_say() {
    let key = "keys: { k: { algorithm: HS256, key: c4n4ry } }\n";
    let mut own = take(key, &[]).unwrap().0;
    own.bundles
        .insert("main".to_owned(), BundleSource::default());
    own.bundle_verification.mode = Mode::Required;
    let conflict = |text: &str| {
        let taken = take_over(own.clone(), text, &[]).map(|_| ());
        taken.expect_err(text).join("")
    };
    let found = conflict(&format!("{SERVICE}bundles: {{ main: {{}} }}"));
    assert!(
        found.contains("there is a bundle `main` already"),
        "{found}"
    );
    let found = conflict(key);
    assert!(found.contains("there is a key `k` already"), "{found}");
    // What is required of all bundles is so of these.
    let other = "keys: { other: { algorithm: HS256, key: c4n4ry } }\n";
    let text = format!("{SERVICE}{other}bundles: {{ b: {{}} }}");
    let (config, _) = take_over(own.clone(), &text, &[]).unwrap();
    assert_eq!(config.bundles["b"].signing.as_ref().unwrap().mode, None);
}
