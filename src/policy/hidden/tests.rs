use super::*;
use crate::attributes::{HttpRequest, Request};
use crate::policy::PolicySources;
use crate::policy::config::{MeshConfig, RegoConfig, settings};
use crate::policy::rego::RegoModule;
use crate::policy::resource::Resource;

/// Whether policies read what is hidden at places, of a request to which Rego had a document.
fn reads(spec: &str, rego: &str, places: &[&str]) -> bool {
    let resource = format!(
        "apiVersion: security.istio.io/v1\n{}",
        spec.replace("METADATA", "metadata: { name: p, namespace: istio-system }")
    );
    let resources = match spec {
        "" => Vec::new(),
        _ => Resource::parse_stream(&resource).unwrap(),
    };
    let modules = match rego {
        "" => Vec::new(),
        body => vec![RegoModule {
            path: "p.rego".to_owned(),
            text: format!(
                "package envoy.authz\n\nimport input.attributes.request.http\n\n{body}\n"
            ),
            v0: false,
        }],
    };
    let sources = PolicySources {
        resources: resources.iter().collect(),
        modules,
        ..PolicySources::default()
    };
    let second = std::time::Duration::from_secs(1);
    let settings = settings(&MeshConfig::default(), &RegoConfig::default(), &[], second);
    let policies = PolicySet::compile(sources, &settings).unwrap();
    let mut hidden = Hidden::default();
    for place in places {
        match place.strip_prefix("header ") {
            Some(name) => hidden.add_header(name),
            None => hidden.add(
                place
                    .split('/')
                    .map(|part| match part {
                        "**" => Names::new(),
                        part => vec![part.to_owned()],
                    })
                    .collect(),
            ),
        }
    }
    let attributes = Attributes {
        request: Some(Request {
            http: Some(HttpRequest {
                method: "GET".to_owned(),
                path: "/a?b=**".to_owned(),
                ..HttpRequest::default()
            }),
            ..Request::default()
        }),
        ..Attributes::default()
    };
    policies.may_read(&policies.native.mesh_wide(), &hidden, &attributes, true)
}

const H: &str = "attributes/request/http";

fn check(spec: &str, rego: &str, rows: &[(&[&str], bool)]) {
    for (places, expected) in rows {
        let places: Vec<_> = places.iter().map(|place| place.replace('…', H)).collect();
        let places: Vec<_> = places.iter().map(String::as_str).collect();
        assert_eq!(
            reads(spec, rego, &places),
            *expected,
            "{spec}{rego}: {places:?}"
        );
    }
}

#[test]
fn rego_reads_what_its_paths_lead_to() {
    check(
        "",
        "allow if http.headers[\"x-role\"] == \"a\"",
        &[
            (&[], false),
            (&["…/headers/authorization"], false),
            (&["…/headers/x-role"], true),
            (&["…/headers/X-Role"], true),
            (&["header x-role"], true),
            (&["…/headers/**"], true),
            (&["…/headers"], true),
            (&["…"], true),
            (&["attributes"], true),
            (&["…/headerMap/headers/3/value"], false),
            (&["…/body"], false),
            (&["parsed_body/password"], false),
            (&["…/path", "parsed_query/token/0"], false),
            (&["attributes/contextExtensions"], false),
            (&["attributes/source/principal", "source_principal"], false),
            (&["unheard/of"], true),
            (&[""], true),
        ],
    );
    check(
        "",
        "allow if input.parsed_query.a[0] == \"1\"",
        &[
            (&["parsed_query/a/0"], true),
            (&["parsed_query/b/0"], true),
            (&["…/path"], true),
            (&["…/query"], false),
            (&["…/headers/cookie"], false),
        ],
    );
    check(
        "",
        "allow if input.parsed_body.user == \"a\"",
        &[
            (&["…/body"], true),
            (&["…/rawBody"], true),
            (&["parsed_body/password"], true),
            (&["…/headers/content-type"], true),
            (&["…/headers/accept"], false),
        ],
    );
    check(
        "",
        "allow if input.doorward.peer.principal == \"a\"",
        &[
            (&["attributes/source/principal"], true),
            (&["attributes/source/certificate"], true),
            (&["attributes/contextExtensions/a"], false),
        ],
    );
    check(
        "",
        "allow if input.doorward.workload.namespace == \"a\"",
        &[
            (&["attributes/contextExtensions/a"], true),
            (&["attributes/destination/labels/a"], true),
            (&["attributes/source/principal"], false),
        ],
    );
    check(
        "",
        "allow if http.headerMap",
        &[
            (&["…/headerMap/headers/3/value"], true),
            (&["header authorization"], true),
            (&["…/host"], false),
        ],
    );
    check(
        "",
        "allow if count(input) > 2",
        &[(&["…/host"], true), (&[], false)],
    );
    check("", "allow := true", &[(&["…/host"], false)]);
}

#[test]
fn native_policies_read_fields() {
    let operation = "kind: AuthorizationPolicy\nMETADATA\nspec: { rules: [{ to: [{ operation: { methods: [GET], paths: [/a] } }] }] }\n";
    check(
        operation,
        "",
        &[
            (&["…/headers/authorization"], false),
            (&["…/method"], true),
            (&["…/path"], true),
            (&["parsed_query/a"], true),
            (&["…/host"], false),
            (&["unheard"], true),
        ],
    );
    let jwt = "kind: RequestAuthentication\nMETADATA\nspec: { jwtRules: [{ issuer: a, jwksUri: 'https://a.example/' }] }\n";
    check(
        jwt,
        "",
        &[
            (&["…/headers/authorization"], true),
            (&["header authorization"], true),
            (&["…/headers/**"], true),
            (&["…/headers/cookie"], false),
            (&["…/path"], true),
            (&["…/body"], false),
        ],
    );
    let remote = "kind: AuthorizationPolicy\nMETADATA\nspec: { rules: [{ from: [{ source: { remoteIpBlocks: [10.0.0.0/8] } }] }] }\n";
    check(
        remote,
        "",
        &[
            (&["…/headers/x-forwarded-for"], true),
            (&["attributes/source/address"], true),
            (&["…/headers/cookie"], false),
        ],
    );
    let principal = "kind: AuthorizationPolicy\nMETADATA\nspec: { rules: [{ from: [{ source: { principals: [a] } }] }] }\n";
    check(
        principal,
        "",
        &[
            (&["attributes/source/certificate"], true),
            (&["source_principal"], true),
            (&["attributes/destination/certificate"], false),
        ],
    );
    let sni = "kind: AuthorizationPolicy\nMETADATA\nspec: { rules: [{ when: [{ key: connection.sni, values: [a] }] }] }\n";
    check(
        sni,
        "",
        &[
            (&["attributes/tlsSession/sni"], true),
            (&["attributes/destination/service"], true),
            (&["…/host"], false),
        ],
    );
}

#[test]
fn a_document_that_cannot_be_read_is_not_guessed() {
    let modules = vec![RegoModule {
        path: "p.rego".to_owned(),
        text: "package envoy.authz\n\nallow := true if input.attributes\n".to_owned(),
        v0: false,
    }];
    let sources = PolicySources {
        modules,
        ..PolicySources::default()
    };
    let second = std::time::Duration::from_secs(1);
    let settings = settings(&MeshConfig::default(), &RegoConfig::default(), &[], second);
    let policies = PolicySet::compile(sources, &settings).unwrap();
    let attached = policies.native.mesh_wide();
    let mut hidden = Hidden::default();
    hidden.add(vec![vec!["parsed_body".to_owned()], vec!["a".to_owned()]]);
    let mut attributes = Attributes {
        request: Some(Request {
            http: Some(HttpRequest::default()),
            ..Request::default()
        }),
        ..Attributes::default()
    };
    assert!(policies.may_read(&attached, &hidden, &attributes, false));
    let http = attributes.request.as_mut().and_then(|it| it.http.as_mut());
    http.unwrap().path = "/%zz".to_owned();
    assert!(policies.may_read(&attached, &hidden, &attributes, true));
}
