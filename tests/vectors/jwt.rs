//! Tokens judged by a real Envoy with what Istio generates, and what a safe implementation has to
//! do with each. In process, as each case is to be judged at its own second.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use doorward::attributes::{Headers, HttpRequest};
use doorward::decision::Decision;
use doorward::identity::{Keyring, RemoteKeySets, TokenError, VerifiedToken};
use doorward::policy::native::{
    Attached, Authenticated, MeshSettings, NativePolicies, Refused, Workload,
};
use doorward::policy::resource::Resource;
use serde_json::Value;

#[derive(Default)]
struct Tally {
    checked: usize,
    /// Why the objects of a namespace were refused.
    refused: BTreeMap<String, String>,
    wrong: Vec<String>,
}

#[test]
fn tokens_envoy_judged_under_istio() {
    let Some(folder) = super::folder("jwt") else {
        return;
    };
    let mut tally = Tally::default();
    for suite in suites(&folder) {
        replay(&suite, &mut tally);
    }
    eprintln!("{} tokens agree; objects refused:", tally.checked);
    for (namespace, why) in &tally.refused {
        eprintln!("  {namespace}: {why}");
    }
    let wrong = &tally.wrong;
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(tally.checked > 100, "only {} were checked", tally.checked);
}

fn suites(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|is| is == "json"));
    let texts = files.map(|file| std::fs::read_to_string(file).unwrap());
    texts
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect()
}

fn replay(suite: &Value, tally: &mut Tally) {
    let mut compiled = BTreeMap::new();
    for case in suite["cases"].as_array().unwrap() {
        let namespace = case["namespace"].as_str().unwrap();
        let attached = compiled
            .entry(namespace)
            .or_insert_with(|| attached(suite, namespace));
        let required = case["expect"]["required"].as_str().unwrap();
        let found = match attached {
            Ok(attached) => forms(case).into_iter().find_map(|headers| {
                let now = case["now"].as_u64().unwrap();
                disagreement(suite, case, attached, headers, now)
            }),
            Err(why) => {
                tally.refused.insert(namespace.to_owned(), why.clone());
                // Refused keys refuse their tokens.
                (required == "accept").then(|| why.clone())
            }
        };
        match found {
            None => tally.checked += 1,
            Some(why) => tally.wrong.push(format!(
                "{namespace}/{}: {why}; required {required}: {}",
                case["name"], case["expect"]["why"]
            )),
        }
    }
}

/// What the objects of a namespace make, or why they are refused.
fn attached(suite: &Value, namespace: &str) -> Result<Arc<Attached>, String> {
    let objects: Vec<_> = suite["requestAuthentication"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|object| object["metadata"]["namespace"] == namespace)
        .collect();
    let list = serde_json::json!({"kind": "List", "items": objects}).to_string();
    let mesh = MeshSettings {
        root_namespace: "istio-system".to_owned(),
        trust_domains: vec!["cluster.local".to_owned()],
    };
    let resources = Resource::parse_stream(&list).map_err(|problems| problems[0].to_string())?;
    let policies =
        NativePolicies::compile(&resources, &mesh).map_err(|problems| problems[0].1.to_string())?;
    let workload = Workload {
        namespace: Some(namespace.to_owned()),
        labels: Some(Vec::new()),
        service_account: None,
        ..Workload::default()
    };
    Ok(policies.attached(&Arc::new(workload)).unwrap())
}

/// What differs from the expectation, if anything.
fn disagreement(
    suite: &Value,
    case: &Value,
    attached: &Attached,
    headers: Headers,
    now: u64,
) -> Option<String> {
    let lines = header_lines(case);
    let http = HttpRequest {
        method: case["request"]["method"].as_str().unwrap().to_owned(),
        path: text(&case["request"]["path"]),
        host: suite["host"].as_str().unwrap().to_owned(),
        scheme: "http".to_owned(),
        headers,
        ..HttpRequest::default()
    };
    let expect = &case["expect"];
    let required = expect["required"].as_str().unwrap();
    let keyring = Keyring::new(RemoteKeySets::default(), 0);
    match attached.authentication.authenticate(&http, &keyring, now) {
        Ok(authenticated) => {
            if required == "reject" {
                return Some("accepted".to_owned());
            }
            let principal = authenticated
                .token
                .as_deref()
                .and_then(VerifiedToken::principal);
            let nobody = authenticated.token.is_none();
            let same_token = principal.as_deref() == expect["principal"].as_str()
                && same_claims(authenticated.token.as_deref(), &expect["claims"]);
            let fits = same_token || (required == "either" && nobody);
            if !fits {
                return Some(format!("accepted as {principal:?}"));
            }
            (required == "accept")
                .then(|| wrong_headers(&lines, &authenticated, expect))
                .flatten()
        }
        Err(refused) => match required {
            "accept" => Some(format!("refused: {}", refused.error)),
            "reject" => wrong_answer(&refused, &http, &expect["envoy"]),
            _ => None,
        },
    }
}

/// Where Envoy refused too, status, body and challenge are the same.
fn wrong_answer(refused: &Refused, http: &HttpRequest, envoy: &Value) -> Option<String> {
    let status = envoy["status"]
        .as_u64()
        .filter(|status| [401, 403].contains(status))?;
    let decision = Decision::unauthenticated(refused, http, 401);
    let Err(denial) = decision.reply() else {
        return Some("an allow".to_owned());
    };
    let challenge = denial
        .headers
        .iter()
        .find(|(name, _)| name == "www-authenticate")
        .map(|(_, value)| value.as_str());
    let actual = (u64::from(denial.status), denial.body.as_str(), challenge);
    // The query string may hold the token: it is not shown.
    let expected_challenge = envoy["wwwAuthenticate"].as_str().map(|challenge| {
        let (head, tail) = challenge.split_once("\", error").unwrap();
        format!("{}\", error{tail}", head.split('?').next().unwrap())
    });
    let expected = (
        status,
        envoy["body"].as_str().unwrap(),
        expected_challenge.as_deref(),
    );
    // Bounds and encodings are stricter here, which a body tells before what Envoy complains of.
    let stricter = [
        TokenError::TooLong,
        TokenError::HeaderBase64,
        TokenError::HeaderJson,
        TokenError::PayloadBase64,
        TokenError::PayloadJson,
        TokenError::SignatureBase64,
        // Lines of any header are one value.
        TokenError::Format,
    ];
    if stricter.contains(&refused.error) {
        let same = (actual.0, actual.2) == (expected.0, expected.2);
        return (!same).then(|| format!("answered {actual:?}, not {expected:?}"));
    }
    (actual != expected).then(|| format!("answered {actual:?}, not {expected:?}"))
}

/// What the upstream would see differently.
fn wrong_headers(
    lines: &[(String, Bytes)],
    authenticated: &Authenticated,
    expect: &Value,
) -> Option<String> {
    let expected = expect["upstreamHeaders"].as_object()?;
    let set: BTreeSet<_> = authenticated
        .set_headers
        .iter()
        .map(|(name, _)| name)
        .collect();
    let kept = lines
        .iter()
        .filter(|(name, _)| !set.contains(name) && !authenticated.remove_headers.contains(name));
    let mut seen: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in kept {
        seen.entry(name.clone()).or_default().push(value.to_vec());
    }
    for (name, value) in &authenticated.set_headers {
        seen.entry(name.clone())
            .or_default()
            .push(value.clone().into_bytes());
    }
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(name, value)| (name.clone(), lines_of(value)))
        .collect();
    (seen != expected).then(|| {
        let show = |headers: &BTreeMap<String, Vec<Vec<u8>>>| {
            let lines = headers.iter().flat_map(|(name, values)| {
                values
                    .iter()
                    .map(move |value| format!("{name}: {}", value.escape_ascii()))
            });
            lines.collect::<Vec<_>>().join("; ")
        };
        format!("upstream sees {}, not {}", show(&seen), show(&expected))
    })
}

fn same_claims(token: Option<&VerifiedToken>, expected: &Value) -> bool {
    match (token, expected) {
        (None, Value::Null) => true,
        (Some(token), expected) => {
            same(&Value::Object(token.claims().as_object().clone()), expected)
        }
        (None, _) => false,
    }
}

/// Equality in which numbers are doubles, as Envoy publishes them.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, value)| right.get(name).is_some_and(|right| same(value, right)))
        }
        (left, right) => left == right,
    }
}

/// The headers as a proxy may send them: line by line, and, if they are text, joined by name.
fn forms(case: &Value) -> Vec<Headers> {
    let lines = header_lines(case);
    let mut joined: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in &lines {
        let Ok(value) = std::str::from_utf8(value) else {
            return vec![Headers::new(Vec::new(), Some(lines.clone()))];
        };
        joined.entry(name.clone()).or_default().push(value);
    }
    let merged = joined
        .into_iter()
        .map(|(name, values)| (name, values.join(",")))
        .collect();
    vec![
        Headers::new(merged, None),
        Headers::new(Vec::new(), Some(lines)),
    ]
}

fn header_lines(case: &Value) -> Vec<(String, Bytes)> {
    let headers = case["request"]["headers"].as_object().unwrap();
    headers
        .iter()
        .flat_map(|(name, value)| {
            let lines = lines_of(value);
            lines
                .into_iter()
                .map(move |line| (name.to_ascii_lowercase(), line.into()))
        })
        .collect()
}

/// One line, or several in a list; characters stand for bytes.
fn lines_of(value: &Value) -> Vec<Vec<u8>> {
    let bytes = |value: &Value| text(value).chars().map(|char| char as u8).collect();
    match value {
        Value::Array(lines) => lines.iter().map(bytes).collect(),
        value => vec![bytes(value)],
    }
}

/// A text, which may be written as parts that repeat.
fn text(value: &Value) -> String {
    let part = |part: &Value| {
        let times = part["repeat"].as_u64().unwrap_or(1);
        part["text"].as_str().unwrap().repeat(times as usize)
    };
    match value["concat"].as_array() {
        Some(parts) => parts.iter().map(part).collect(),
        None => value.as_str().unwrap().to_owned(),
    }
}
