//! Which policies a workload gets, and how it is known which workload a request is for.

use super::*;
use crate::attributes::Pairs;

/// Names of the policies attached, sorted.
fn names(attached: &Attached) -> Vec<&str> {
    let mut names: Vec<_> = attached
        .allow
        .iter()
        .map(|rule| rule.policy.as_str())
        .collect();
    names.sort_unstable();
    names
}

fn policy(namespace: &str, name: &str, labels: &Value) -> Value {
    let spec = json!({"selector": {"matchLabels": labels}, "rules": [{}]});
    object("AuthorizationPolicy", namespace, name, &spec)
}

fn policies() -> NativePolicies {
    compile_in(
        &mesh(),
        &[
            policy("istio-system", "mesh", &json!({})),
            policy("istio-system", "mesh-cart", &json!({"app": "cart"})),
            policy("shop", "shop", &json!(null)),
            policy("shop", "shop-cart", &json!({"app": "cart"})),
            policy(
                "shop",
                "shop-cart-v2",
                &json!({"app": "cart", "version": "v2"}),
            ),
            policy("web", "web", &json!({})),
        ],
    )
}

#[test]
fn namespaces_and_selectors() {
    let rows: &[(&str, &[(&str, &str)], &[&str])] = &[
        ("shop", &[], &["mesh", "shop"]),
        (
            "shop",
            &[("app", "cart")],
            &["mesh", "mesh-cart", "shop", "shop-cart"],
        ),
        (
            "shop",
            &[("app", "cart"), ("version", "v1")],
            &["mesh", "mesh-cart", "shop", "shop-cart"],
        ),
        (
            "shop",
            &[("a", "b"), ("app", "cart"), ("version", "v2")],
            &["mesh", "mesh-cart", "shop", "shop-cart", "shop-cart-v2"],
        ),
        ("shop", &[("app", "Cart")], &["mesh", "shop"]),
        ("shop", &[("App", "cart")], &["mesh", "shop"]),
        // A policy of the root namespace selects in all of them.
        ("web", &[("app", "cart")], &["mesh", "mesh-cart", "web"]),
        ("other", &[("app", "cart")], &["mesh", "mesh-cart"]),
        ("istio-system", &[("app", "cart")], &["mesh", "mesh-cart"]),
        ("", &[], &["mesh"]),
    ];
    let policies = policies();
    for (namespace, labels, expected) in rows {
        let workload = Arc::new(workload(namespace, labels));
        for _ in 0..2 {
            let attached = policies.attached(&workload).unwrap();
            assert_eq!(names(&attached), *expected, "{namespace} {labels:?}");
        }
    }
    assert_eq!(names(&policies.mesh_wide()), ["mesh"]);
}

#[test]
fn attached_sets_have_labels_of_their_own() {
    let policies = policies();
    let mut labels = std::collections::HashSet::new();
    for (namespace, own) in [
        ("shop", vec![]),
        ("web", vec![]),
        ("shop", vec![("a", "b")]),
        ("shop", vec![("a", "b"), ("c", "d")]),
        ("shop", vec![("a", "b\", \"c\": \"d")]),
        ("shopa", vec![("", "b")]),
    ] {
        let attached = policies
            .attached(&Arc::new(workload(namespace, &own)))
            .unwrap();
        assert!(labels.insert(attached.label), "{namespace} {own:?}");
    }
}

#[test]
fn a_workload_not_known_is_told_apart() {
    let known = workload("shop", &[]);
    let rows = [
        ("all known", known.clone(), true),
        (
            "no namespace",
            Workload {
                namespace: None,
                ..known.clone()
            },
            false,
        ),
        (
            "no labels",
            Workload {
                labels: None,
                ..known
            },
            false,
        ),
        ("nothing", Workload::default(), false),
    ];
    for (about, workload, expected) in &rows {
        assert_eq!(
            policies().attached(&Arc::new(workload.clone())).is_some(),
            *expected,
            "{about}"
        );
    }
    // If every policy is for the whole mesh, it does not matter.
    let mesh_wide = compile_in(&mesh(), &[policy("istio-system", "mesh", &json!({}))]);
    for (about, workload, _) in &rows {
        assert_eq!(
            names(&mesh_wide.attached(&Arc::new(workload.clone())).unwrap()),
            ["mesh"],
            "{about}"
        );
    }
    let nothing = compile_in(&mesh(), &[]);
    assert!(nothing.attached(&Arc::default()).is_some());
}

#[test]
fn sources_of_the_workload_in_order() {
    let with = |extensions: &[(&str, &str)], principal: &str, labels: &[(&str, &str)]| {
        let pairs = |pairs: &[(&str, &str)]| -> Pairs {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        Attributes {
            context_extensions: pairs(extensions),
            destination: Some(Peer {
                principal: principal.to_owned(),
                labels: pairs(labels),
                ..Peer::default()
            }),
            ..Attributes::default()
        }
    };
    let known = |namespace: Option<&str>, account: &str, label: &str| Workload {
        namespace: namespace.map(str::to_owned),
        labels: Some(vec![("known".to_owned(), label.to_owned())]),
        service_account: Some(account.to_owned()),
        ..Workload::default()
    };
    let sources = WorkloadSources {
        known: vec![
            known(Some("web"), "cart", "web"),
            known(None, "cart", "any"),
        ],
        default: Arc::new(Workload {
            namespace: Some("default-ns".to_owned()),
            labels: Some(vec![("default".to_owned(), "yes".to_owned())]),
            service_account: None,
            ..Workload::default()
        }),
    };
    let cart = "spiffe://td/ns/shop/sa/cart";
    let namespace = ("doorward.namespace", "ext");
    let rows = [
        (with(&[], "", &[]), "default-ns", "default=yes", None),
        (with(&[], cart, &[]), "shop", "known=any", Some("cart")),
        (
            with(&[], "spiffe://td/ns/web/sa/cart", &[]),
            "web",
            "known=web",
            Some("cart"),
        ),
        (
            with(&[], "spiffe://td/ns/web/sa/x", &[]),
            "web",
            "default=yes",
            Some("x"),
        ),
        (
            with(&[], "not a SPIFFE id", &[]),
            "default-ns",
            "default=yes",
            None,
        ),
        (with(&[], cart, &[("a", "b")]), "shop", "a=b", Some("cart")),
        (
            with(&[namespace], cart, &[("a", "b")]),
            "ext",
            "a=b",
            Some("cart"),
        ),
        (
            with(
                &[("doorward.labels", "c=d, a = b"), namespace],
                cart,
                &[("a", "z")],
            ),
            "ext",
            "a=b,c=d",
            Some("cart"),
        ),
        // Told to have no labels is not the same as not told.
        (
            with(&[("doorward.labels", "")], cart, &[("a", "z")]),
            "shop",
            "",
            Some("cart"),
        ),
        (
            with(&[("doorward.service-account", "x")], cart, &[]),
            "shop",
            "default=yes",
            Some("x"),
        ),
    ];
    for (attributes, namespace, labels, account) in rows {
        let actual = Workload::of(&attributes, &sources).unwrap();
        let shown = actual.labels.clone().unwrap();
        let shown: Vec<_> = shown
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let actual = (
            actual.namespace.clone().unwrap(),
            shown.join(","),
            actual.service_account.clone(),
        );
        let expected = (
            namespace.to_owned(),
            labels.to_owned(),
            account.map(str::to_owned),
        );
        assert_eq!(actual, expected, "{attributes:?}");
    }
}

#[test]
fn what_a_route_says_must_be_understood() {
    let rows = [
        ("doorward.labels", "app:admin"),
        ("doorward.labels", "app=admin;x=y"),
        ("doorward.labels", "app=admin,app=aaa"),
        ("doorward.labels", "app=admin,"),
        ("doorward.labels", "=admin"),
        ("doorward.label", "app=admin"),
        ("doorward.Namespace", "shop"),
        ("doorward.namespace", ""),
        ("doorward.namespace", "shop "),
        ("doorward.namespace", "Shop"),
        ("doorward.gateway", ""),
        ("doorward.gateway", "shop/gw"),
        ("doorward.gateway", "gw "),
    ];
    for (name, value) in rows {
        let attributes = Attributes {
            context_extensions: vec![(name.to_owned(), value.to_owned())],
            ..Attributes::default()
        };
        assert!(
            Workload::of(&attributes, &WorkloadSources::default()).is_err(),
            "{name}: {value}"
        );
    }
}

/// A workload as the context extensions of a route describe it.
fn told(extensions: &[(&str, &str)]) -> Result<Arc<Workload>, String> {
    let mut pairs: Pairs = extensions
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    pairs.sort();
    let attributes = Attributes {
        context_extensions: pairs,
        ..Attributes::default()
    };
    Workload::of(&attributes, &WorkloadSources::default())
}

#[test]
fn target_references() {
    const SIDECAR: &[(&str, &str)] = &[("doorward.namespace", "shop"), ("doorward.labels", "a=b")];
    const GATEWAY: &[(&str, &str)] = &[
        ("doorward.gateway", "gw"),
        ("doorward.namespace", "shop"),
        ("doorward.labels", "a=b"),
    ];
    const LABELLED: &[(&str, &str)] = &[
        ("doorward.namespace", "shop"),
        (
            "doorward.labels",
            "gateway.networking.k8s.io/gateway-name=gw",
        ),
    ];
    const WAYPOINT: &[(&str, &str)] = &[
        ("doorward.gateway", "wp"),
        ("doorward.namespace", "infra"),
        ("doorward.labels", "a=b"),
        ("doorward.service", "shop/cart"),
    ];
    const ENTRY: &[(&str, &str)] = &[
        ("doorward.namespace", "infra"),
        ("doorward.labels", "a=b"),
        ("doorward.service-entry", "shop/cart"),
    ];
    let gateway = |name: &str| json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}]);
    let class = |name: &str| json!([{"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": name}]);
    let service =
        |group: &str, name: &str| json!([{"group": group, "kind": "Service", "name": name}]);
    let entry = json!([{"group": "networking.istio.io", "kind": "ServiceEntry", "name": "cart"}]);
    let two = json!([
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "other"},
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}]);
    let rows = [
        // A sidecar is named by nothing; a gateway by its name in its namespace.
        ("shop", gateway("gw"), SIDECAR, false),
        ("shop", gateway("gw"), GATEWAY, true),
        ("shop", gateway("gw"), LABELLED, true),
        ("shop", two, GATEWAY, true),
        ("shop", gateway("other"), GATEWAY, false),
        ("shop", gateway("GW"), GATEWAY, false),
        ("web", gateway("gw"), GATEWAY, false),
        ("istio-system", gateway("gw"), GATEWAY, false),
        ("infra", gateway("wp"), WAYPOINT, true),
        ("shop", gateway("wp"), WAYPOINT, false),
        // A service, only behind a waypoint.
        ("shop", service("", "cart"), WAYPOINT, true),
        ("shop", service("core", "cart"), WAYPOINT, true),
        ("shop", service("", "other"), WAYPOINT, false),
        ("infra", service("", "cart"), WAYPOINT, false),
        ("istio-system", service("", "cart"), WAYPOINT, false),
        ("shop", service("", "cart"), SIDECAR, false),
        ("shop", service("", "cart"), GATEWAY, false),
        ("shop", service("", "cart"), ENTRY, false),
        ("shop", entry.clone(), ENTRY, true),
        ("shop", entry, WAYPOINT, false),
        // Every waypoint.
        ("istio-system", class("istio-waypoint"), WAYPOINT, true),
        ("istio-system", class("istio-waypoint"), ENTRY, true),
        ("istio-system", class("istio-waypoint"), GATEWAY, false),
        ("istio-system", class("istio"), WAYPOINT, false),
        ("infra", class("istio-waypoint"), WAYPOINT, false),
        // Without references: by labels, but not on a waypoint.
        ("shop", json!([]), SIDECAR, true),
        ("shop", json!([]), GATEWAY, true),
        ("infra", json!([]), WAYPOINT, false),
        ("istio-system", json!([]), WAYPOINT, false),
        ("istio-system", json!(null), GATEWAY, true),
    ];
    for (namespace, references, extensions, expected) in rows {
        let spec = json!({"targetRefs": references, "rules": [{}]});
        let object = object("AuthorizationPolicy", namespace, "p", &spec);
        let attached = compile_in(&mesh(), &[object]).attached(&told(extensions).unwrap());
        let found = attached.is_some_and(|attached| attached.allow.has_policy());
        assert_eq!(found, expected, "{namespace} {references} {extensions:?}");
    }
    // The older member, and tokens.
    let reference = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"});
    let spec =
        json!({"targetRef": reference, "jwtRules": [{"issuer": "a", "jwks": SIGNER.jwks()}]});
    let policies = compile_in(
        &mesh(),
        &[object("RequestAuthentication", "shop", "p", &spec)],
    );
    for (extensions, expected) in [(GATEWAY, 1), (SIDECAR, 0), (WAYPOINT, 0)] {
        let attached = policies.attached(&told(extensions).unwrap()).unwrap();
        assert_eq!(
            attached.authentication.rules.len(),
            expected,
            "{extensions:?}"
        );
    }
}

#[test]
fn a_gateway_says_itself_who_may_connect() {
    let strict = json!({"mtls": {"mode": "STRICT"}});
    let policies = compile_in(
        &mesh(),
        &[object("PeerAuthentication", "istio-system", "p", &strict)],
    );
    let rows: [(&[(&str, &str)], bool); 4] = [
        (
            &[("doorward.namespace", "shop"), ("doorward.labels", "")],
            true,
        ),
        (&[("doorward.gateway", "gw")], false),
        (
            &[(
                "doorward.labels",
                "gateway.networking.k8s.io/gateway-name=gw",
            )],
            false,
        ),
        (
            &[
                ("doorward.gateway", "gw"),
                ("doorward.service", "shop/cart"),
            ],
            true,
        ),
    ];
    for (extensions, strict) in rows {
        let attached = policies.attached(&told(extensions).unwrap()).unwrap();
        assert_eq!(attached.peer.is_strict_anywhere(), strict, "{extensions:?}");
    }
}

#[test]
fn services_must_be_told_whole_and_once() {
    for extensions in [
        &[("doorward.service", "cart")][..],
        &[("doorward.service", "/cart")],
        &[("doorward.service", "shop/")],
        &[("doorward.service", "shop/cart/x")],
        &[("doorward.service", "shop/Cart")],
        &[("doorward.service", "")],
        &[
            ("doorward.service", "shop/cart"),
            ("doorward.service-entry", "shop/cart"),
        ],
    ] {
        assert!(told(extensions).is_err(), "{extensions:?}");
    }
}
