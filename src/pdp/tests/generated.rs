//! With and without a cache, generated requests under policies that read different things get the
//! same decisions, one after the other.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::attributes::{Address, SocketAddress};

/// Policies by what they read.
const REGO_POLICIES: &[&str] = &[
    "allow := true",
    "allow := input.attributes.request.http.method == \"GET\"",
    "allow := input.attributes.request.http.headers[\"x-a\"] == \"1\"",
    "allow if { some name; input.attributes.request.http.headers[name] == \"1\" }",
    "allow := input.parsed_path == [\"a\"]",
    "allow := input.parsed_query.q == [\"1\"]",
    "allow := {\"allowed\": input.parsed_body.role == \"a\", \"body\": json.marshal(input.parsed_body)}",
    "allow := input.truncated_body",
    "allow := {\"allowed\": false, \"body\": json.marshal(input.attributes.contextExtensions)}",
    "allow := {\"allowed\": true, \"headers\": {\"x-sni\": input.attributes.tlsSession.sni}}",
    "allow := {\"allowed\": false, \"body\": json.marshal(input.attributes.source.address)}",
    "allow := {\"allowed\": false, \"body\": json.marshal(object.remove(input, [\"version\"]))}",
    "import input.attributes.request.http as h\nallow := h.host == \"a\"",
];

fn value(choices: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(choices).prop_map(str::to_owned)
}

fn headers() -> impl Strategy<Value = Headers> {
    let name = value(&[
        "x-a",
        "X-A",
        "x-b",
        "content-type",
        "content-length",
        "x-forwarded-client-cert",
        "x-envoy-auth-partial-body",
    ]);
    let text = value(&[
        "",
        "1",
        "2",
        "application/json",
        "true",
        "x",
        "URI=spiffe://td/a",
        "URI=spiffe://x/a",
    ]);
    let lines = prop::collection::btree_map(name, text, 0..4);
    (lines.clone(), prop::option::of(lines)).prop_map(|(merged, raw)| {
        let raw = raw.map(|lines| {
            lines
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect()
        });
        Headers::new(merged.into_iter().collect(), raw)
    })
}

fn request() -> impl Strategy<Value = Attributes> {
    let http = (
        headers(),
        value(&["GET", "POST", ""]),
        value(&[
            "/a", "/b", "/a?q=1", "/a?q=2", "/a?q=%zz", "/a?x;y", "/%zz", "", "//a", "/b/../a",
            "/%2fa",
        ]),
        value(&["a", "b", ""]),
        value(&["", "{\"role\": \"a\"}", "{\"role\": \"b\"}", "{"]),
        value(&["", "1", "2"]),
    );
    let http = http.prop_map(|(headers, method, path, host, body, id)| HttpRequest {
        id,
        method,
        headers,
        path,
        host,
        body,
        ..HttpRequest::default()
    });
    let source = (
        value(&["", "spiffe://td/ns/a/sa/b", "x"]),
        value(&["1.2.3.4", "::1", ""]),
        select(vec![
            String::new(),
            CertificateMaker::with_uris(&["spiffe://td/ns/a/sa/b"]).text(),
            CertificateMaker::with_uris(&["x", "spiffe://td/ns/a/sa/b"]).text(),
        ]),
    );
    let source = source.prop_map(|(principal, ip, certificate)| Peer {
        principal,
        certificate,
        address: Some(Address::Socket(SocketAddress {
            address: ip,
            ..SocketAddress::default()
        })),
        ..Peer::default()
    });
    (
        prop::option::weighted(0.9, http),
        prop::option::of(source),
        prop::option::of(value(&["", "a", "b"])),
        prop::collection::btree_map(value(&["k", "l"]), value(&["", "1"]), 0..2),
    )
        .prop_map(|(http, source, sni, extensions)| Attributes {
            source,
            sni,
            context_extensions: extensions.into_iter().collect(),
            request: Some(Request { time: None, http }),
            ..Attributes::default()
        })
}

fn native() -> impl Strategy<Value = Vec<Value>> {
    let policies = [
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["POST"]}}]}]}),
        json!({"action": "DENY", "rules": [{"when": [{"key": "request.headers[x-b]", "values": ["1"]}]}]}),
        json!({"rules": [{"from": [{"source": {"principals": ["td/*"]}}]}, {"to": [{"operation": {"paths": ["/a"]}}]}]}),
        json!({"action": "DENY", "rules": [{"from": [{"source": {"notIpBlocks": ["1.2.3.0/24"]}}]}]}),
        json!({"action": "DENY", "rules": [{"when": [{"key": "connection.sni", "values": ["a"]}]}]}),
    ];
    prop::sample::subsequence(policies.to_vec(), 0..=policies.len()).prop_map(|specs| {
        let named = specs.iter().enumerate();
        named
            .map(|(index, spec)| policy(&format!("p{index}"), spec))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_never_changes_a_decision(
        objects in native(),
        rego in prop::option::weighted(0.8, select(REGO_POLICIES)),
        trusted in prop::option::of(Just("td/*")),
        mode in select(vec![
            PathNormalization::None,
            PathNormalization::DecodeAndMergeSlashes,
            PathNormalization::Reject,
        ]),
        requests in prop::collection::vec(request(), 1..60),
    ) {
        let rego = rego.map(|text| {
            let text: &'static str = format!("package envoy.authz\n{text}\n").leak();
            text
        });
        let setup = || Setup { rego: rego.into_iter().collect(), ..Setup::native(&objects) }.with(|settings| {
            let trusted = trusted.map(|peer| peer.to_owned().try_into().unwrap());
            settings.path_normalization = mode;
            settings.trusted_xfcc_peers = trusted.into_iter().collect();
        });
        let (cached, fresh) = (setup().cached().pdp(), setup().pdp());
        for attributes in requests.iter().chain(&requests) {
            let answer = cached.check(attributes.clone(), NOW_NS);
            let expected = fresh.check(attributes.clone(), NOW_NS);
            prop_assert_eq!(&answer.decision, &expected.decision, "{:?}", attributes);
        }
    }
}
