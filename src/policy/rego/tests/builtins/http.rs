//! `http.send`, up to what is asked of others: which requests there are, what
//! is asked once, and what answers and failures become.

mod values;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::super::*;
use super::quoted;
use crate::policy::rego::external::{
    External, ExternalError, HttpRequest as Sent, HttpResponse, Reach, Remember, TlsOptions,
};

/// Answers as it is told, and notes what it was asked.
#[derive(Debug)]
pub(super) struct Others {
    answer: Result<HttpResponse, ExternalError>,
    sent: Mutex<Vec<Sent>>,
}

impl Others {
    pub(super) fn new(answer: Result<HttpResponse, ExternalError>) -> Arc<Self> {
        Arc::new(Self {
            answer,
            sent: Mutex::default(),
        })
    }

    pub(super) fn answering(status: u16, headers: &[(&str, &str)], body: &str) -> Arc<Self> {
        let headers = headers.iter();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::new(Ok(HttpResponse {
            status,
            status_line: format!("{status} OK"),
            headers: headers.map(owned).collect(),
            body: body.as_bytes().to_vec(),
        }))
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl External for Others {
    fn send(&self, request: &Sent, now_ns: i64) -> Result<HttpResponse, ExternalError> {
        assert_eq!(now_ns, NOW_NS);
        self.sent.lock().unwrap().push(request.clone());
        self.answer.clone()
    }

    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ExternalError> {
        assert_eq!(name, "two.example");
        self.answer.clone()?;
        Ok(["10.0.0.1", "::ffff:10.0.0.2", "::1"]
            .map(|text| text.parse().unwrap())
            .to_vec())
    }
}

/// A policy that may ask others.
fn asking(body: &str) -> RegoPolicies {
    let text = format!(
        "package envoy.authz\nallow := {{\"allowed\": false, \"body\": json.marshal(x)}} if {{ {body} }}\n"
    );
    let settings = RegoSettings {
        outside: Some(Duration::from_secs(20)),
        ..settings()
    };
    RegoPolicies::compile(&[module("p.rego", &text)], Data::default(), &settings).unwrap()
}

/// What `x` is in a policy that asks these others.
pub(super) fn evaluate(others: &Arc<Others>, body: &str) -> Result<Json, String> {
    let _reach = Reach::through(Arc::clone(others) as Arc<dyn External>);
    let outcome = ask(&asking(body), &Attributes::default())?;
    Ok(serde_json::from_str(&outcome.body.unwrap()).unwrap())
}

fn send(others: &Arc<Others>, request: &str) -> Result<Json, String> {
    evaluate(others, &format!("x := http.send({request})"))
}

/// The one request that a description becomes.
fn sent(request: &str) -> Sent {
    let others = Others::answering(200, &[], "");
    send(&others, request).unwrap();
    let [sent] = <[Sent; 1]>::try_from(others.sent()).unwrap();
    sent
}

pub(super) const UNDEFINED: &str = "undefined decision";

#[test]
fn requests_that_are_made() {
    let plain = sent(r#"{"method": "get", "url": "http://a/"}"#);
    let expected = Sent {
        key: plain.key,
        method: "GET".to_owned(),
        url: "http://a/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: Some(Duration::from_secs(5)),
        follow_redirects: false,
        retries: 0,
        remember: Remember::No,
        tls: TlsOptions::default(),
    };
    assert!(plain == expected);

    let with = |members: &str| sent(&format!(r#"{{"method": "GET", "url": "u", {members}}}"#));
    assert_eq!(sent(r#"{"method": "", "url": "u"}"#).method, "GET");
    assert_eq!(sent(r#"{"method": "\"GET\"", "url": "\"u\""}"#).url, "u");
    let bodies = [
        (
            r#""body": {"b": {3, 1, 2}, "a": "<"}"#,
            r#"{"a":"\u003c","b":[1,2,3]}"#,
        ),
        (r#""body": "text""#, r#""text""#),
        (r#""raw_body": "text", "body": 1"#, "text"),
        (r#""raw_body": """#, ""),
    ];
    for (members, expected) in bodies {
        assert_eq!(String::from_utf8(with(members).body).unwrap(), expected);
    }
    let timeouts = [
        (r#""1s""#, Some(Duration::from_secs(1))),
        (r#""1m0.5s""#, Some(Duration::from_millis(60_500))),
        (r#""1000000""#, Some(Duration::from_millis(1))),
        ("1000000", Some(Duration::from_millis(1))),
        ("0", None),
        (r#""0s""#, None),
        ("-5", None),
        (r#""-1s""#, None),
    ];
    for (timeout, expected) in timeouts {
        let sent = with(&format!("\"timeout\": {timeout}"));
        assert_eq!(sent.timeout, expected, "{timeout}");
    }
    let remembers = [
        (r#""cache": true"#, Remember::AsAnswered),
        (r#""cache": false"#, Remember::No),
        (r#""force_cache_duration_seconds": 5"#, Remember::No),
        (
            r#""force_cache": true, "force_cache_duration_seconds": 5"#,
            Remember::For(Duration::from_secs(5)),
        ),
        (
            r#""force_cache": true, "force_cache_duration_seconds": 0"#,
            Remember::AsAnswered,
        ),
        (
            r#""cache": true, "caching_mode": "deserialized""#,
            Remember::AsAnswered,
        ),
        (r#""cache": true, "caching_mode": "other""#, Remember::No),
    ];
    for (members, expected) in remembers {
        assert_eq!(with(members).remember, expected, "{members}");
    }
    for (value, expected) in [("true", true), ("1", true), ("false", false), ("0", false)] {
        let sent = with(&format!("\"enable_redirect\": {value}"));
        assert_eq!(sent.follow_redirects, expected, "{value}");
    }
    assert_eq!(with(r#""max_retry_attempts": 3"#).retries, 3);
    let headers =
        r#""headers": {"X-A": "1", "Content-Length": "9", "transfer-encoding": "chunked"}"#;
    assert_eq!(with(headers).headers, [("x-a".to_owned(), "1".to_owned())]);
}

#[test]
fn how_servers_are_trusted() {
    let with = |members: &str| sent(&format!(r#"{{"method": "GET", "url": "u", {members}}}"#)).tls;
    let text = |text: &str| Some(text.to_owned());
    let rows = [
        (
            r#""tls_ca_cert": "a\\nb""#,
            TlsOptions {
                authority: text("a\nb"),
                ..TlsOptions::default()
            },
        ),
        (r#""tls_ca_cert": """#, TlsOptions::default()),
        (
            r#""tls_client_cert": "c", "tls_client_key": "k""#,
            TlsOptions {
                client: text("c").zip(text("k")),
                ..TlsOptions::default()
            },
        ),
        (r#""tls_client_cert": "c""#, TlsOptions::default()),
        (
            r#""tls_use_system_certs": true, "tls_insecure_skip_verify": true"#,
            TlsOptions {
                system_authorities: true,
                accept_any_certificate: true,
                ..TlsOptions::default()
            },
        ),
        (
            r#""headers": {"HOST": "h"}"#,
            TlsOptions {
                server_name: text("h"),
                ..TlsOptions::default()
            },
        ),
        (
            r#""headers": {"Host": "h"}, "tls_server_name": "s""#,
            TlsOptions {
                server_name: text("s"),
                ..TlsOptions::default()
            },
        ),
    ];
    for (members, expected) in rows {
        assert!(with(members) == expected, "{members}");
    }
}

#[test]
fn requests_that_are_none() {
    let message = |request: &str, message: &str| (request.to_owned(), message.to_owned());
    let with = |members: &str, why: &str| {
        message(
            &format!(r#"{{"method": "GET", "url": "u", {members}}}"#),
            why,
        )
    };
    let kind = "eval_builtin_error: http.send: ";
    let rows = [
        message("1", ""),
        message(
            r#"{"method": "GET", "url": "u", "bad": 1, "worse": 2}"#,
            r#"eval_type_error: http.send: operand 1 invalid request parameters(s): {"bad", "worse"}"#,
        ),
        message(
            r#"{"url": "u"}"#,
            r#"eval_type_error: http.send: operand 1 missing required request parameters(s): {"method"}"#,
        ),
        message(
            "{}",
            r#"eval_type_error: http.send: operand 1 missing required request parameters(s): {"method", "url"}"#,
        ),
        message(
            r#"{"method": 1, "url": "u"}"#,
            &format!("{kind}\"method\" must be a string"),
        ),
        message(
            r#"{"method": "GET", "url": 1}"#,
            &format!("{kind}\"url\" must be a string"),
        ),
        with(
            r#""headers": []"#,
            &format!("{kind}invalid type for headers key"),
        ),
        with(
            r#""headers": {"a": 1}"#,
            &format!("{kind}invalid type for headers value"),
        ),
        with(
            r#""timeout": "soon""#,
            &format!("{kind}invalid timeout value"),
        ),
        with(
            r#""timeout": 1.5"#,
            &format!("{kind}invalid timeout number value, must be int64"),
        ),
        with(
            r#""timeout": true"#,
            "eval_type_error: http.send: operand 1 'timeout' must be one of {string, number}",
        ),
        with(
            r#""cache": "yes""#,
            &format!("{kind}invalid value for \"cache\" field"),
        ),
        with(
            r#""force_cache": true"#,
            &format!(
                "{kind}'force_cache' set but 'force_cache_duration_seconds' parameter is missing"
            ),
        ),
        with(
            r#""force_cache": true, "force_cache_duration_seconds": "5""#,
            &format!("{kind}invalid value for force_cache_duration_seconds"),
        ),
        with(
            r#""max_retry_attempts": -1"#,
            &format!("{kind}invalid value for field \"max_retry_attempts\""),
        ),
        with(
            r#""enable_redirect": "true""#,
            &format!("{kind}invalid value for \"enable_redirect\" field"),
        ),
        // Nothing of the machine is read for a policy.
        with(
            r#""tls_ca_cert_file": "/etc/passwd""#,
            &format!(
                "{kind}\"tls_ca_cert_file\" is not supported: give the certificate or key itself"
            ),
        ),
        with(
            r#""tls_client_key_env_variable": "HOME""#,
            &format!(
                "{kind}\"tls_client_key_env_variable\" is not supported: give the certificate or key itself"
            ),
        ),
    ];
    let others = Others::answering(200, &[], "");
    for (request, expected) in rows {
        // As text, since what is plainly wrong is refused when it is loaded.
        let request = format!("json.unmarshal({})", quoted(&request));
        assert_eq!(
            send(&others, &request),
            Err(UNDEFINED.to_owned()),
            "{request}"
        );
        if expected.is_empty() {
            continue;
        }
        let quiet = format!("object.union({request}, {{\"raise_error\": false}})");
        let error = json!({"status_code": 0,
            "error": {"code": "eval_http_send_internal_error", "message": expected}});
        assert_eq!(send(&others, &quiet), Ok(error), "{request}");
    }
    let loud = r#"{"method": "GET", "url": "u", "raise_error": "no"}"#;
    assert_eq!(send(&others, loud), Err(UNDEFINED.to_owned()));
    assert!(others.sent().is_empty());
}

#[test]
fn answers_as_policies_see_them() {
    let json_type = ("content-type", "application/json; charset=utf-8");
    let rows = [
        (
            vec![json_type],
            "",
            r#"{"a": [1, 2]}"#,
            json!({"a": [1, 2]}),
        ),
        (
            vec![("content-type", "application/problem+JSON")],
            "",
            "[1]",
            json!([1]),
        ),
        (vec![("content-type", "text/plain")], "", "[1]", Json::Null),
        (vec![], "", "[1]", Json::Null),
        (vec![], r#", "force_json_decode": true"#, "[1]", json!([1])),
        (vec![json_type], "", "{", Json::Null),
        (vec![json_type], "", "", Json::Null),
        // What follows the first value is not looked at.
        (vec![json_type], "", "[1] [2", json!([1])),
        (
            vec![("content-type", "application/x-yaml")],
            "",
            "a: [1]",
            json!({"a": [1]}),
        ),
        (
            vec![],
            r#", "force_yaml_decode": true"#,
            "a: [1]",
            json!({"a": [1]}),
        ),
        (vec![], r#", "force_yaml_decode": true"#, "a: [", Json::Null),
    ];
    for (headers, members, body, expected) in rows {
        let others = Others::answering(200, &headers, body);
        let request = format!(r#"{{"method": "GET", "url": "u"{members}}}"#);
        let answer = send(&others, &request).unwrap();
        assert_eq!(answer["body"], expected, "{headers:?} {body}");
        assert_eq!(answer["raw_body"], body);
    }
    let deep = "[".repeat(100_000);
    let others = Others::answering(200, &[json_type], &deep);
    let answer = send(&others, r#"{"method": "GET", "url": "u"}"#).unwrap();
    assert_eq!(answer["body"], Json::Null);

    let headers = [("x-a", "1"), ("set-cookie", "a"), ("set-cookie", "b")];
    let others = Others::answering(404, &headers, "");
    let answer = send(&others, r#"{"method": "GET", "url": "u"}"#).unwrap();
    let expected = json!({"status": "404 OK", "status_code": 404, "body": null, "raw_body": "",
        "headers": {"x-a": ["1"], "set-cookie": ["a", "b"]}});
    assert_eq!(answer, expected);
}

#[test]
fn failures_as_policies_see_them() {
    let network = ExternalError::Network("Get \"u\": connection refused".to_owned());
    let request = ExternalError::Request("the URL cannot be read".to_owned());
    let rows = [
        (
            network,
            "eval_http_send_network_error",
            "Get \"u\": connection refused",
        ),
        (
            request,
            "eval_http_send_internal_error",
            "eval_builtin_error: http.send: the URL cannot be read",
        ),
    ];
    for (error, code, message) in rows {
        let others = Others::new(Err(error));
        let raised = send(&others, r#"{"method": "GET", "url": "u"}"#);
        assert_eq!(raised, Err(UNDEFINED.to_owned()));
        // As in OPA, the negation of a call that is undefined holds, and that of a part of it does not.
        let negated = r#"not http.send({"method": "GET", "url": "u"}); x := 1"#;
        assert_eq!(evaluate(&others, negated), Ok(json!(1)));
        let of_part = r#"not http.send({"method": "GET", "url": "u"}).body.blocked; x := 1"#;
        assert_eq!(evaluate(&others, of_part), Err(UNDEFINED.to_owned()));
        let quiet = send(
            &others,
            r#"{"method": "GET", "url": "u", "raise_error": false}"#,
        );
        let error = json!({"code": code, "message": message});
        assert_eq!(quiet, Ok(json!({"status_code": 0, "error": error})));
    }
    // Time that is up ends the evaluation, whatever the policy wants.
    let others = Others::new(Err(ExternalError::TimeUp));
    for members in ["", r#", "raise_error": false"#] {
        let request = format!(r#"{{"method": "GET", "url": "u"{members}}}"#);
        let error = send(&others, &request).unwrap_err();
        assert!(error.contains("the check's time is up"), "{error}");
    }
}

#[test]
fn the_same_request_is_made_once() {
    let twice = |first: &str, second: &str| {
        format!(
            r#"a := http.send({{"method": "GET", "url": "u"{first}}}); b := http.send({{"method": "GET", "url": "u"{second}}}); x := [a.status_code, b.status_code]"#
        )
    };
    let ignoring = |value: &str| {
        format!(r#", "headers": {{"a": "1", "b": "{value}"}}, "cache_ignored_headers": ["b"]"#)
    };
    let rows = [
        (200, String::new(), String::new(), 1),
        (404, String::new(), String::new(), 1),
        // Its answer may be another the next time.
        (500, String::new(), String::new(), 2),
        (
            500,
            r#", "cache": true"#.to_owned(),
            r#", "cache": true"#.to_owned(),
            1,
        ),
        (200, String::new(), r#", "timeout": "1s""#.to_owned(), 2),
        (200, ignoring("1"), ignoring("2"), 1),
        (
            200,
            ignoring("1"),
            ignoring("2").replace("\"a\": \"1\"", "\"a\": \"2\""),
            2,
        ),
    ];
    for (status, first, second, expected) in rows {
        let others = Others::answering(status, &[], "");
        let answer = evaluate(&others, &twice(&first, &second));
        assert_eq!(answer, Ok(json!([status, status])));
        assert_eq!(others.sent().len(), expected, "{status} {first} {second}");
    }
    // So is one that fails.
    let others = Others::new(Err(ExternalError::Network("x".to_owned())));
    let quiet = r#", "raise_error": false"#;
    assert_eq!(evaluate(&others, &twice(quiet, quiet)), Ok(json!([0, 0])));
    assert_eq!(others.sent().len(), 1);
}

#[test]
fn without_others_nothing_is_answered() {
    for members in ["", r#", "raise_error": false"#] {
        let request = format!(r#"x := http.send({{"method": "GET", "url": "u"{members}}})"#);
        let error = ask(&asking(&request), &Attributes::default()).unwrap_err();
        assert!(error.contains("http.send needs"), "{error}");
    }
    let reads = |body: &str| asking(body).entrypoint().unwrap().reads().clone();
    let outside = reads(r#"x := http.send({"method": "GET", "url": "u"})"#);
    assert!(outside.external);
    assert_eq!(outside.volatile.as_deref(), Some("http.send"));
    assert!(reads("x := net.lookup_ip_addr(\"a\")").external);
    assert!(!reads("x := time.now_ns()").external);
}
