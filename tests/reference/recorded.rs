//! The evaluator against decisions of a real Envoy, so that it is known to be a reading worth
//! comparing with. What is no question to it is left out: tokens that do not verify, peers with
//! several names, CUSTOM and target references.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use doorward::attributes::{
    Address, Attributes, Headers, HttpRequest, Metadata, Peer, Port, Request, SocketAddress,
};
use serde_json::{Value, json};

use super::evaluator::{Asked, Evaluator, Mesh, Workload};
use super::tally::Tally;

/// Suites of other things, or with what is left out here.
const OTHERS: &[&str] = &[
    "normalization",
    "validation",
    "golden-http-custom",
    "policy-jwt",
    "policy-targetref",
];

#[test]
fn the_evaluator_decides_as_envoy_did() {
    let Some(folder) = crate::vectors::folder("istio") else {
        return;
    };
    let tally = Tally::default();
    let (mut agreed, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_suite = path
            .extension()
            .is_some_and(|extension| extension == "json");
        if !is_suite || OTHERS.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let suite: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in suite["cases"].as_array().unwrap() {
            // Some cases bring everything themselves.
            let of = |member: &str| case.get(member).unwrap_or(&suite[member]).clone();
            match decide(&of("mesh"), &of("policies"), &of("workload"), case, &tally) {
                Some((actual, wanted)) if actual != wanted => {
                    wrong.push(format!("{name}: {}: {actual}, not {wanted}", case["name"]));
                }
                Some(_) => agreed += 1,
                None => {}
            }
        }
    }
    eprintln!("{agreed} decisions agree");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(agreed > 2_000, "only {agreed} were compared");
}

/// What the evaluator says and what was recorded, for a case that is a question to it.
fn decide(
    mesh: &Value,
    policies: &Value,
    workload: &Value,
    case: &Value,
    tally: &Tally,
) -> Option<(Value, Value)> {
    let expect = &case["expect"];
    let wanted = &case["checkRequest"]["attributes"];
    let many_names = wanted["source"].get("certificate").is_some();
    if case["notObservable"] == true || expect["httpStatus"] == 401 || many_names {
        return None;
    }
    let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
    let mut trust_domains = texts(&mesh["trustDomainAliases"]);
    trust_domains.insert(0, mesh["trustDomain"].as_str().unwrap().to_owned());
    let mesh = Mesh {
        root_namespace: mesh["rootNamespace"].as_str().unwrap().to_owned(),
        trust_domains,
        trusted_proxies: mesh["numTrustedProxies"]
            .as_u64()
            .map_or(0, |count| usize::try_from(count).unwrap()),
        allow_by_default: true,
        unknown_gets_mesh_policies: false,
    };
    let workload = Workload {
        namespace: Some(workload["namespace"].as_str().unwrap().to_owned()),
        labels: Some(serde_json::from_value(workload["labels"].clone()).unwrap()),
    };
    let attributes = attributes(wanted);
    let token = bearer(wanted);
    let evaluator = Evaluator {
        mesh: &mesh,
        objects: policies.as_array().unwrap(),
        tally,
    };
    let verdict = evaluator.verdict(Asked {
        workload: &workload,
        attributes: &attributes,
        token: token.as_ref(),
    });
    let mut said = json!({"decision": if verdict.allowed { "allow" } else { "deny" }});
    if expect.get("policy").is_some() {
        said["policy"] = verdict.policy.into();
        said["rule"] = verdict.rule.into();
    }
    if expect.get("audited").is_some() {
        said["audited"] = verdict.audited.into();
    }
    if expect.get("dryRun").is_some() {
        said["dryRun"] = verdict.dry_run;
    }
    let members = said.as_object().unwrap().keys();
    let recorded = members.map(|name| (name.clone(), expect[name].clone()));
    let recorded = recorded.collect::<serde_json::Map<_, _>>();
    Some((said, recorded.into()))
}

/// Claims of a token in `authorization`.
fn bearer(context: &Value) -> Option<Value> {
    let http = context["request"].get("http")?;
    let lines = lines(http).unwrap_or_default().into_iter();
    let merged = http["headers"]["authorization"].as_str();
    let merged = merged.map(|value| ("authorization".to_owned(), Bytes::from(value.to_owned())));
    let mut values = lines
        .chain(merged)
        .filter(|(name, _)| name == "authorization");
    let value = values.next()?.1;
    let token = std::str::from_utf8(&value).ok()?.strip_prefix("Bearer ")?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn lines(http: &Value) -> Option<Vec<(String, Bytes)>> {
    let lines = http["headerMap"]["headers"].as_array()?.iter();
    let line = |line: &Value| {
        let value = match line["rawValue"].as_str() {
            Some(raw) => STANDARD.decode(raw).unwrap(),
            None => line["value"].as_str().unwrap_or_default().into(),
        };
        (line["key"].as_str().unwrap().to_owned(), Bytes::from(value))
    };
    Some(lines.map(line).collect())
}

/// From a check request as JSON, only what the recordings hold.
fn attributes(context: &Value) -> Attributes {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let peer = |peer: &Value| {
        let socket = &peer["address"]["socketAddress"];
        let port = socket["portValue"].as_u64();
        let socket = SocketAddress {
            address: text(&socket["address"]),
            port: port.map(|port| Port::Value(u32::try_from(port).unwrap())),
            ..SocketAddress::default()
        };
        Peer {
            address: Some(Address::Socket(socket)),
            service: text(&peer["service"]),
            principal: text(&peer["principal"]),
            ..Peer::default()
        }
    };
    let http = context["request"].get("http").map(|http| HttpRequest {
        method: text(&http["method"]),
        path: text(&http["path"]),
        host: text(&http["host"]),
        headers: Headers::new(
            serde_json::from_value::<std::collections::BTreeMap<_, _>>(
                http.get("headers").cloned().unwrap_or(json!({})),
            )
            .unwrap()
            .into_iter()
            .collect(),
            lines(http),
        ),
        ..HttpRequest::default()
    });
    let metadata = context["metadataContext"]
        .get("filterMetadata")
        .map(|filters| Metadata {
            filter: filters
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, fields)| (name.clone(), fields.as_object().unwrap().clone()))
                .collect(),
            typed: Vec::new(),
        });
    Attributes {
        source: context.get("source").map(peer),
        destination: context.get("destination").map(peer),
        request: http.map(|http| Request {
            time: None,
            http: Some(http),
        }),
        metadata,
        sni: context
            .get("tlsSession")
            .map(|session| text(&session["sni"])),
        ..Attributes::default()
    }
}
