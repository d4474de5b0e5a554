//! What Rego is told of who asks: member `doorward` of its input.

use super::caching::check_equal;
use super::*;

fn echoing(member: &'static str) -> &'static str {
    match member {
        "doorward" => {
            "package envoy.authz\n\
             allow := {\"allowed\": false, \"body\": json.marshal(input.doorward)}\n"
        }
        "peer" => {
            "package envoy.authz\n\
             allow := {\"allowed\": false, \"body\": json.marshal({x | x := input.doorward.peer.namespace})}\n"
        }
        "request" => {
            "package envoy.authz\n\
             allow := {\"allowed\": false, \"body\": json.marshal({x | x := input.doorward.request.claims.role})}\n"
        }
        _ => {
            "package envoy.authz\n\
             allow := {\"allowed\": false, \"body\": json.marshal({x | x := input.doorward.workload.labels})}\n"
        }
    }
}

fn setup(objects: &[Value], member: &'static str) -> Setup {
    let setup = Setup::native(objects).with_rego(echoing(member));
    setup.with(|settings| settings.rego.input.identity = true)
}

fn to_workload(mut attributes: Attributes, namespace: &str, labels: &str) -> Attributes {
    attributes.context_extensions = vec![
        ("doorward.labels".to_owned(), labels.to_owned()),
        ("doorward.namespace".to_owned(), namespace.to_owned()),
        ("doorward.service-account".to_owned(), "web".to_owned()),
    ];
    attributes
}

fn body(pdp: &Pdp, attributes: Attributes) -> Value {
    let answer = pdp.check(attributes, NOW_NS);
    let denial = answer.decision.reply().unwrap_err();
    serde_json::from_str(&denial.body).unwrap_or_else(|_| panic!("{:?}", answer.decision))
}

#[test]
fn verified_identity_and_workload() {
    let signer = Signer::eddsa();
    let token = signer.token(&json!({"iss": "i", "sub": "s", "role": ["a"], "n": 1.5}));
    let bearer = format!("authorization: Bearer {token}");
    let pdp = setup(&[jwt(&signer)], "doorward").pdp();
    let asked = by(get(&[&bearer]), "spiffe://td/ns/frontend/sa/shop");
    assert_eq!(
        body(&pdp, to_workload(asked, "shop", "app=web,tier=1")),
        json!({
            "peer": {
                "principal": "spiffe://td/ns/frontend/sa/shop",
                "trust_domain": "td", "namespace": "frontend", "service_account": "shop",
            },
            "request": {
                "principal": "i/s",
                "claims": {"iss": "i", "sub": "s", "role": ["a"], "n": 1.5},
            },
            "workload": {
                "namespace": "shop", "service_account": "web",
                "labels": {"app": "web", "tier": "1"},
            },
        })
    );
    // What is not known is not there, and what is no SPIFFE id has no parts.
    let workload = json!({"namespace": "shop"});
    assert_eq!(body(&pdp, get(&[])), json!({ "workload": workload }));
    assert_eq!(
        body(&pdp, by(get(&[]), "CN=x")),
        json!({"peer": {"principal": "CN=x"}, "workload": workload})
    );
    // A token that nothing verified is nobody's.
    let pdp = setup(&[], "doorward").pdp();
    assert_eq!(body(&pdp, get(&[&bearer])), json!({ "workload": workload }));
}

#[test]
fn opa_knows_nothing_of_it() {
    let pdp = Setup::default().with_rego(echoing("peer")).pdp();
    assert_eq!(body(&pdp, by(get(&[]), "spiffe://td/ns/a/sa/b")), json!([]));
}

#[test]
fn answers_from_memory_are_for_the_same_caller_and_workload() {
    let signer = Signer::eddsa();
    let mut requests = Vec::new();
    for role in ["reader", "writer", ""] {
        let token = signer.token(&json!({"iss": "i", "sub": "s", "role": role}));
        let line = format!("authorization: Bearer {token}");
        let line = if role.is_empty() { "x: y" } else { &line };
        for peer in ["", "spiffe://td/ns/a/sa/x", "spiffe://td/ns/b/sa/x"] {
            for (namespace, labels) in [("shop", "app=a"), ("shop", "app=b"), ("bank", "app=a")] {
                requests.push(to_workload(by(get(&[line]), peer), namespace, labels));
            }
        }
    }
    for member in ["doorward", "peer", "request", "workload"] {
        let hits = check_equal(|| setup(&[jwt(&signer)], member), &requests);
        assert!(hits >= requests.len(), "{member}: {hits}");
    }
}
