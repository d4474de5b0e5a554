use std::sync::Arc;

use super::*;
use crate::policy::native::{MeshSettings, NativePolicies, Workload};

fn policies(yaml: &str) -> NativePolicies {
    let resources = Resource::parse_stream(yaml).unwrap();
    let mesh = MeshSettings {
        root_namespace: "istio-system".to_owned(),
        trust_domains: Vec::new(),
    };
    NativePolicies::compile(&resources, &mesh).unwrap()
}

fn telemetry(namespace: &str, name: &str, spec: &str) -> String {
    let head = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata";
    format!("{head}: {{ namespace: {namespace}, name: {name} }}\nspec: {spec}\n---\n")
}

fn only(expression: &str) -> String {
    format!("{{ accessLogging: [{{ filter: {{ expression: {expression:?} }} }}] }}")
}

/// A denial of `GET /a/b?c=d` with 403 by `ann`.
fn denial() -> Observation<'static> {
    Observation {
        request: Some(ObservedRequest {
            method: "GET",
            host: "shop.example",
            path: "/a/b?c=d",
            scheme: "https",
            protocol: "HTTP/2",
            headers: vec![
                ("user-agent".to_owned(), "probe/1.0".to_owned()),
                ("x-team".to_owned(), "red".to_owned()),
            ],
        }),
        source: ObservedPeer {
            address: Some("10.0.0.1:5000".to_owned()),
            port: Some(5000),
        },
        destination: ObservedPeer::default(),
        peer_principal: Some("cluster.local/ns/a/sa/ann"),
        request_principal: None,
        effect: "deny",
        denied_with: Some(403),
        reason: "authorization_policy",
        policy: Some("shop/no-get"),
        cached: false,
        namespace: Some("shop"),
    }
}

fn allow() -> Observation<'static> {
    Observation {
        effect: "allow",
        denied_with: None,
        peer_principal: None,
        cached: true,
        ..denial()
    }
}

fn filter(expression: &str) -> Filter {
    Filter::compile(expression).unwrap_or_else(|why| panic!("{expression}: {why}"))
}

#[test]
fn what_expressions_see() {
    let check = |expression: &str, denied: bool, allowed: bool| {
        let filter = filter(expression);
        let seen = (filter.keeps(&denial()), filter.keeps(&allow()));
        assert_eq!(seen, (denied, allowed), "{expression}");
    };
    check("true", true, true);
    check("false", false, false);
    check("response.code >= 400", true, true);
    check("has(response.code) && response.code >= 400", true, false);
    check("has(response.code) && response.code == 401", false, false);
    check("connection.mtls", true, false);
    check(
        "!connection.mtls && request.url_path.contains('v1beta3')",
        false,
        false,
    );
    check(
        "connection.uri_san_peer_certificate == 'spiffe://cluster.local/ns/a/sa/ann'",
        true,
        true,
    );
    check(
        "request.path == '/a/b?c=d' && request.url_path == '/a/b' && request.query == 'c=d'",
        true,
        true,
    );
    check("request.method == 'POST'", false, false);
    check(
        "request.host.endsWith('.example') && request.scheme == 'https'",
        true,
        true,
    );
    check(
        "!has(request.useragent) || !(request.useragent.startsWith('probe'))",
        false,
        false,
    );
    check("request.headers['x-team'] == 'red'", true, true);
    check("'x-other' in request.headers", false, false);
    check("has(request.referer)", false, false);
    check(
        "source.port == 5000 && source.address == '10.0.0.1:5000'",
        true,
        true,
    );
    check("has(destination.port)", false, false);
    check(
        "doorward.effect == 'deny' && doorward.policy == 'shop/no-get'",
        true,
        false,
    );
    check("doorward.cached || doorward.reason == 'rego'", false, true);
    check("request.path.matches('^/a/[a-c]')", true, true);
    check("request.path.matches('^/z')", false, false);
    check("request.headers.exists(name, name == 'x-team')", true, true);
    check("size(request.path) > 100 ? true : false", false, false);
}

#[test]
fn a_filter_that_fails_keeps_the_record() {
    let check = |expression: &str, expected: bool| {
        assert_eq!(
            filter(expression).keeps(&denial()),
            expected,
            "{expression}"
        );
    };
    check("request.headers['x-none'] == 'red'", true);
    check("upstream.address == 'x'", true);
    check("response.grpc_status == 7", true);
    check("request.method + 1 == 2", true);
    check("'text'", true);
    check("1 / 0 == 1", true);
    // An error beside what decides by itself is none.
    check("upstream.address == 'x' && false", false);
    check("!(upstream.address == 'x' || true)", false);
    check("!(true || upstream.address == 'x')", false);
    // Without an HTTP request.
    let plain = Observation {
        request: None,
        ..denial()
    };
    assert!(filter("request.method == 'POST'").keeps(&plain));
}

#[test]
fn what_is_refused() {
    let check = |expression: &str, expected: &str| {
        let Err(why) = Filter::compile(expression) else {
            panic!("{expression} is accepted");
        };
        assert!(why.contains(expected), "{expression}: {why}");
    };
    check("", "is empty");
    check("request.method ==", "is no CEL expression");
    check("reqest.method == 'GET'", "`reqest` is no attribute");
    check("request.method.lower() == 'get'", "`lower` is no function");
    check(
        "request.path.matches(request.headers['x'])",
        "must be a text",
    );
    check("request.path.matches('(')", "the pattern of `matches`");
    check(
        "request.path.matches('(a{1000}){1000}')",
        "the pattern of `matches`",
    );
    check("[1].all(a, [1].all(b, a == b))", "more than 1 loop");
    check("google.protobuf.Duration{seconds: 1} == 1", "");
    check(
        &format!("{}true{}", "(".repeat(17), ")".repeat(17)),
        "brackets",
    );
    check(&format!("{}true", "!".repeat(201)), "signs");
    check(&"request.method == 'a' || ".repeat(200), "longer than");
    check(&format!("true{}", " || true".repeat(101)), "signs");
    for deep in [
        format!("1{} == 1", "+1".repeat(190)),
        format!("request{}", ".a".repeat(199)),
        format!("{}true", "true ? true : ".repeat(90)),
    ] {
        check(&deep, "");
    }
}

#[test]
fn the_most_that_is_accepted_can_be_evaluated() {
    for expression in [
        format!("{}true{}", "(".repeat(16), ")".repeat(16)),
        format!("{}true", "!".repeat(30)),
        format!("true{}", " && true".repeat(30)),
        format!("1{} == 31", "+1".repeat(30)),
        format!("request{}", ".a".repeat(31)),
        format!("{}true", "true ? true : ".repeat(31)),
        format!("request.path.matches('{}')", "a".repeat(2_000)),
    ] {
        // As small as stacks of threads are.
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let evaluated = thread.spawn(move || {
            let compiled = Filter::compile(&expression);
            let compiled = compiled.map_err(|why| format!("{expression}: {why}"));
            compiled.map(|filter| filter.keeps(&denial()))
        });
        assert!(evaluated.unwrap().join().unwrap().is_ok());
    }
}

/// Rows of objects and of whether a denial in namespace `shop` is recorded.
#[test]
fn the_nearest_counts() {
    let check = |objects: &[String], expected: bool| {
        let policies = policies(&objects.concat());
        let workload = Workload {
            namespace: Some("shop".to_owned()),
            labels: Some(vec![("app".to_owned(), "cart".to_owned())]),
            ..Workload::default()
        };
        let attached = policies.attached(&Arc::new(workload)).unwrap();
        let kept = attached.recording.keeps(&denial());
        assert_eq!(kept, expected, "{}", objects.concat());
    };
    let root = |spec: &str| telemetry("istio-system", "root", spec);
    let shop = |spec: &str| telemetry("shop", "wide", spec);
    let cart = |spec: &str| {
        let selector = "{ selector: { matchLabels: { app: cart } },";
        telemetry("shop", "cart", &spec.replacen('{', selector, 1))
    };
    let off = "{ accessLogging: [{ disabled: true }] }";
    let on = "{ accessLogging: [{ disabled: false }] }";
    let named = |names: &str, rest: &str| {
        format!("{{ accessLogging: [{{ providers: [{names}]{rest} }}] }}")
    };
    check(&[], true);
    check(&[root("{}")], true);
    check(&[root(off)], false);
    check(&[root(&only("false"))], false);
    check(&[root(&only("true"))], true);
    // Of another namespace, and of another workload.
    check(&[telemetry("other", "wide", off)], true);
    check(&[cart(off).replace("app: cart", "app: web")], true);
    // A lower level overrides, and says nothing by not being there.
    check(&[root(off), shop(on)], true);
    check(&[root(&only("false")), shop(on)], true);
    check(&[root(&only("false")), shop(&only("true"))], true);
    check(&[shop(&only("true")), cart(&only("false"))], false);
    check(&[shop(off), cart(&only("true"))], true);
    check(&[root(off), shop("{}")], false);
    check(
        &[
            root(off),
            shop("{ metrics: [{ providers: [{ name: prometheus }] }] }"),
        ],
        false,
    );
    // Providers: any that wants the record has it made.
    check(
        &[root(&named(
            "{ name: a }",
            ", filter: { expression: 'false' }",
        ))],
        false,
    );
    check(
        &[root(
            "{ accessLogging: [{ providers: [{ name: a }], filter: { expression: 'false' } }, { providers: [{ name: b }] }] }",
        )],
        true,
    );
    check(
        &[
            root(&named("{ name: a }, { name: b }", "")),
            shop(&named("{ name: a }", ", filter: { expression: 'false' }")),
        ],
        false,
    );
    check(
        &[root(&named("{ name: a }", "")), shop(&only("false"))],
        false,
    );
    check(&[root(&named("{ name: a }", ", disabled: true"))], false);
    // The last entry for a provider counts.
    check(
        &[root(
            "{ accessLogging: [{ filter: { expression: 'false' } }, {}] }",
        )],
        true,
    );
    check(
        &[root(
            "{ accessLogging: [{}, { filter: { expression: 'false' } }] }",
        )],
        false,
    );
    // The client's side is none of ours.
    check(
        &[root(
            "{ accessLogging: [{ match: { mode: CLIENT }, disabled: true }] }",
        )],
        true,
    );
    check(
        &[root(
            "{ accessLogging: [{ match: { mode: SERVER }, disabled: true }] }",
        )],
        false,
    );
    check(
        &[root(
            "{ accessLogging: [{ match: { mode: CLIENT_AND_SERVER }, disabled: true }] }",
        )],
        false,
    );
    // Of two for all workloads, the older; here by name.
    check(
        &[telemetry("shop", "b", off), telemetry("shop", "a", on)],
        true,
    );
}

#[test]
fn no_decision_depends_on_it() {
    let telemetry = telemetry("shop", "wide", "{ accessLogging: [{ disabled: true }] }");
    let policies = policies(&telemetry);
    assert!(policies.is_empty());
    // A workload of which nothing is known has its policies as ever.
    assert!(policies.attached(&Arc::default()).is_some());
    assert!(policies.has_telemetry());
}

#[test]
fn problems_say_where() {
    let check = |spec: &str, expected: &str| {
        let resources = Resource::parse_stream(&telemetry("a", "b", spec));
        let problem = match resources {
            Err(problems) => problems[0].to_string(),
            Ok(resources) => match &resources[0].spec {
                crate::policy::resource::Spec::Telemetry(spec) => {
                    compile(&resources[0], spec).map(drop).unwrap_err()[0].to_string()
                }
                other => panic!("{other:?}"),
            },
        };
        assert!(problem.contains(expected), "{spec}: {problem}");
    };
    check("{ accessLoging: [] }", "accessLoging");
    check(
        "{ accessLogging: [{ filter: { expression: 'a +' } }] }",
        "is no CEL expression",
    );
    check("{ accessLogging: [{ match: { mode: BOTH } }] }", "BOTH");
    check(
        "{ selector: { matchLabels: { a: b } }, targetRefs: [{ kind: Service, name: x }] }",
        "only one of",
    );
}
