use std::time::Duration;

use super::schedule::pause;
use crate::bundle::{BundleSource, Polling};
use crate::units::Span;

#[test]
fn pauses() {
    let polling = Polling {
        min_delay: Span::from_secs(10),
        max_delay: Span::from_secs(20),
        long_polling_timeout: None,
    };
    let check = |failures, random, expected| {
        let found = pause(&polling, failures, random).as_millis();
        assert_eq!(found, expected, "{failures} {random}");
    };
    check(0, 0.0, 10_000);
    check(0, 0.5, 15_000);
    check(0, 1.0, 20_000);
    check(1, 0.5, 100);
    check(1, 0.0, 80);
    check(1, 1.0, 120);
    check(2, 0.5, 160);
    check(3, 0.5, 256);
    check(12, 0.5, 17_592);
    check(13, 0.5, 20_000);
    check(13, 1.0, 20_000);
    check(13, 0.0, 16_000);
    check(u32::MAX, 0.5, 20_000);
    assert!(pause(&polling, 1, 0.3) < Duration::from_millis(120));
}

/// The problems of a source, or why it cannot be read.
fn problems(source: &str) -> String {
    let documents = crate::yaml::Document::parse_stream(source).unwrap();
    let value = documents.into_iter().next().unwrap().value;
    match serde_json::from_value::<BundleSource>(value) {
        Ok(source) => {
            let problems = source.problems().into_iter();
            let lines: Vec<_> = problems.map(|(key, why)| format!("{key} {why}")).collect();
            lines.join("; ")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn sources_that_cannot_be_meant() {
    let check = |source: &str, expected: &str| {
        let found = problems(source);
        assert!(
            found.contains(expected) && (expected.is_empty() == found.is_empty()),
            "{source}: {found}"
        );
        assert!(!found.contains("c4n4ry"), "{source}: {found}");
    };
    check("{url: 'https://h/b?sig=c4n4ry'}", "");
    check("{url: 'https://h/b', path: p}", "path goes without `url`");
    check("{polling: {min_delay: 1s}}", "polling is for a bundle with");
    check("{persist: false}", "persist is for a bundle with a `url`");
    check("{url: 'file:///c4n4ry'}", "give a file as `path`");
    check("{url: 'oci://c4n4ry'}", "registries are not asked");
    check("{url: 'ftp://h/c4n4ry'}", "is neither `http` nor `https`");
    check("{url: 'https://u:c4n4ry@h/'}", "holds a user name");
    check("{url: 'http://h/', size_limit: 2GiB}", "size_limit 2GiB");
    check(
        "{url: 'http://h/', polling: {min_delay: 1ms}}",
        "polling.min_delay 1ms is not",
    );
    check(
        "{url: 'http://h/', polling: {min_delay: 9m}}",
        "max_delay is below min_delay",
    );
    check(
        "{url: 'http://h/', headers: {Host: c4n4ry}}",
        "`Host` is no header that can be set",
    );
    check("{url: 'http://h/', tls: {cert: c}}", "needs both of `cert`");
    check(
        "{url: 'http://h/', credentials: {bearer: {}}}",
        "needs one of `token` and `token_file`",
    );
    check(
        "{url: 'http://h/', credentials: {bearer: {token: c4n4ry, token_file: f}}}",
        "needs one of `token` and `token_file`",
    );
    check(
        "{url: 'http://h/', credentials: {basic: {username: u}}}",
        "needs one of `password`",
    );
    check(
        "{url: 'http://h/', credentials: {ntlm: {}}}",
        "unknown variant `ntlm`",
    );
}

#[test]
fn objects_that_cannot_be_meant() {
    let check = |source: &str, expected: &str| {
        let found = problems(source);
        assert!(
            found.contains(expected) && (expected.is_empty() == found.is_empty()),
            "{source}: {found}"
        );
        assert!(!found.contains("c4n4ry"), "{source}: {found}");
    };
    check("{url: 's3://bucket/a/b.tar.gz'}", "");
    check("{url: 'S3://bucket/a%20b'}", "");
    check("{url: 'abfss://c@a.dfs.core.windows.net/b'}", "");
    check("{url: 'az://c/b', object_store: {account: a}}", "");
    check("{url: 's3://c4n4ry'}", "no path of an object");
    check("{url: 's3://c4n4ry/'}", "no path of an object");
    check("{url: 's3://b/c4n4ry/'}", "no path of an object");
    check("{url: 's3://b//c4n4ry'}", "no path of an object");
    check("{url: 's3://b/c4n4ry//k'}", "no path of an object");
    check("{url: 's3://b/c4n4ry/../k'}", "no path of an object");
    check("{url: 's3://b/c4n4ry/%2e%2E/k'}", "no path of an object");
    check("{url: 's3://b/c4n4ry%ff'}", "no path of an object");
    check("{url: 's3://b/c4n4ry%00'}", "no path of an object");
    check("{url: 's3://b/a c4n4ry'}", "white space");
    check("{url: 's3:///c4n4ry'}", "no bucket");
    check("{url: 's3://-b/c4n4ry'}", "no bucket");
    check("{url: 's3://b%2f/c4n4ry'}", "no bucket");
    check("{url: 's3://b:9000/c4n4ry'}", "no bucket");
    check("{url: 's3://u:c4n4ry@b/k'}", "a user name or password");
    check("{url: 'gs://b/k?sig=c4n4ry'}", "has a query or fragment");
    check("{url: 's3:b/c4n4ry'}", "neither `http` nor `https`");
    check("{url: 'az://c4n4ry/b'}", "object_store.account is needed");
    check(
        "{url: 'abfss://c@a.c4n4ry.example/b'}",
        "names no account of `dfs.core.windows.net`",
    );
    check(
        "{url: 'abfss://c@a.dfs.core.windows.net/b', object_store: {account: a}}",
        "object_store.account is in the URL already",
    );
    let bucket = |settings: &str, expected: &str| {
        check(&format!("{{url: 's3://b/k', {settings}}}"), expected);
    };
    bucket(
        "object_store: {account: a}",
        "object_store.account is Azure's",
    );
    bucket("object_store: {region: 'x.c4n4ry/'}", "no name of a region");
    bucket(
        "object_store: {endpoint: 'http://u:c4n4ry@h'}",
        "a user name",
    );
    bucket("object_store: {endpoint: 's3://c4n4ry'}", "neither `http`");
    bucket(
        "object_store: {endpoint: 'http://h?c4n4ry'}",
        "object_store.endpoint has a query",
    );
    bucket(
        "object_store: {endpoint: 'http://127.0.0.1:9000', virtual_hosted: true}",
        "object_store.endpoint `virtual_hosted` needs a name",
    );
    bucket("headers: {x-a: c4n4ry}", "headers is for `http`");
    bucket(
        "polling: {long_polling_timeout: 1s}",
        "object stores do not wait",
    );
    bucket(
        "credentials: {bearer: {token: c4n4ry}}",
        "`bearer` is not for this URL",
    );
    bucket(
        "credentials: {azure: {sas_token: c4n4ry}}",
        "`azure` is not for this URL",
    );
    bucket(
        "credentials: {aws: {access_key_id: a}}",
        "needs one of `secret_access_key`",
    );
    bucket(
        "credentials: {aws: {access_key_id: '', secret_access_key: c4n4ry}}",
        "needs `access_key_id`",
    );
    bucket(
        "credentials: {aws: {access_key_id: a, secret_access_key: c4n4ry, session_token: c4n4ry, \
         session_token_file: f}}",
        "takes one of `session_token`",
    );
    check(
        "{url: 'az://c/b', object_store: {account: a}, credentials: {azure: {sas_token: c4n4ry, \
         account_key_file: f}}}",
        "needs one of `account_key`",
    );
    check(
        "{url: 'gs://b/k', object_store: {region: r}}",
        "`region` and `virtual_hosted` are S3's",
    );
    check(
        "{url: 'https://h/b', object_store: {region: r}}",
        "object_store is for the URL of an object store",
    );
    check(
        "{url: 'https://h/b', credentials: {environment: {}}}",
        "`environment` is for the URL of an object store",
    );
    check(
        "{object_store: {region: r}}",
        "object_store is for a bundle with a `url`",
    );
}

#[test]
fn secrets_are_not_shown() {
    let source = "{url: 'https://h/b?sig=c4n4ry', headers: {x-key: c4n4ry}, credentials: {oauth2: \
                  {token_url: 'https://i/t?c4n4ry', client_id: me, client_secret: c4n4ry, \
                  parameters: {audience: c4n4ry}, headers: {x: c4n4ry}}}}";
    let documents = crate::yaml::Document::parse_stream(source).unwrap();
    let value = documents.into_iter().next().unwrap().value;
    let source: BundleSource = serde_json::from_value(value).unwrap();
    let shown = serde_json::to_string(&source).unwrap();
    assert!(shown.contains("https://i/t"), "{shown}");
    for shown in [shown, format!("{source:?}")] {
        assert!(!shown.contains("c4n4ry"), "{shown}");
    }
    let remote = format!("{:?}", source.remote("x").unwrap());
    assert!(!remote.contains("c4n4ry"), "{remote}");
}
