//! From an answer to bytes.

use std::sync::Arc;
use std::time::Duration;

use doorward_proto::envoy::config::core::v3::HeaderValueOption;
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use doorward_proto::envoy::service::auth::v3::{CheckResponse, OkHttpResponse};
use proptest::prelude::*;
use prost_types::value::Kind;
use serde_json::json;
use uuid::Uuid;

use super::super::{Replies, response};
use crate::attributes::{HttpRequest, Pairs};
use crate::decision::{Decision, Effect, Grounds, Reason, ReasonKind, conclude};
use crate::identity::TokenError;
use crate::pdp::Answer;
use crate::policy::DefaultAction;
use crate::policy::native::{Authenticated, Refused};
use crate::policy::rego::{EvaluationError, Outcome, RegoFailure};

fn answer(decision: Decision) -> Answer {
    Answer {
        decision: Arc::new(decision),
        id: Uuid::from_u128(1),
        revision: 7,
        cached: false,
        lookalikes: Vec::new(),
        pending: None,
    }
}

fn reply(decision: Decision) -> CheckResponse {
    response::reply(&answer(decision), Replies::Doorward).unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn allow(outcome: Outcome) -> Decision {
    conclude(Grounds {
        rego: vec![(
            Outcome {
                allowed: true,
                ..outcome
            },
            "a/b",
        )],
        ..Grounds::default()
    })
}

/// Name, value and `append` of each header.
fn shown(headers: &[HeaderValueOption]) -> Vec<(&str, &str, Option<bool>)> {
    headers
        .iter()
        .map(|option| {
            let header = option.header.as_ref().unwrap();
            (header.key.as_str(), header.value.as_str(), option.append)
        })
        .collect()
}

fn ok_response(response: CheckResponse) -> Option<OkHttpResponse> {
    match response.http_response {
        Some(HttpResponse::OkResponse(response)) => Some(response),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn allows() {
    let plain = Outcome {
        plain: true,
        ..Outcome::default()
    };
    let response = reply(allow(plain));
    assert_eq!(response.status.as_ref().unwrap().code, 0);
    assert_eq!(ok_response(response), None);
    let response = reply(allow(Outcome::default()));
    assert_eq!(ok_response(response), Some(OkHttpResponse::default()));

    let decision = allow(Outcome {
        headers: pairs(&[("a", "1"), ("b", "2"), ("A", "3"), ("a", "4")]),
        request_headers_to_remove: vec!["gone".to_owned()],
        response_headers_to_add: pairs(&[("set-cookie", "s"), ("set-cookie", "t")]),
        query_parameters_to_set: pairs(&[("q", "1"), ("q", "2")]),
        query_parameters_to_remove: vec!["p".to_owned()],
        ..Outcome::default()
    });
    let answer = Answer {
        lookalikes: vec!["go_ne".to_owned()],
        ..answer(decision)
    };
    let ok = ok_response(response::reply(&answer, Replies::Doorward).unwrap()).unwrap();
    // The first of a name replaces the client's own, the rest go beside it.
    let expected = [
        ("a", "1", Some(false)),
        ("b", "2", Some(false)),
        ("A", "3", Some(true)),
        ("a", "4", Some(true)),
    ];
    assert_eq!(shown(&ok.headers), expected);
    assert_eq!(ok.headers_to_remove, ["gone", "go_ne"]);
    let expected = [("set-cookie", "s", None), ("set-cookie", "t", None)];
    assert_eq!(shown(&ok.response_headers_to_add), expected);
    let set: Vec<_> = ok
        .query_parameters_to_set
        .iter()
        .map(|parameter| (parameter.key.as_str(), parameter.value.as_str()))
        .collect();
    assert_eq!(set, [("q", "1"), ("q", "2")]);
    assert_eq!(ok.query_parameters_to_remove, ["p"]);
}

#[test]
fn denials() {
    let refused = Refused {
        error: TokenError::Expired,
        policy: "shop/jwt".to_owned(),
    };
    let reason = || Reason::new(ReasonKind::NoPolicy, "why");
    let rows = [
        (
            Decision::unauthenticated(&refused, &HttpRequest::default(), 401),
            16,
            401,
            "Jwt is expired",
        ),
        (
            Decision::unauthenticated(&refused, &HttpRequest::default(), 403),
            7,
            403,
            "Jwt is expired",
        ),
        (Decision::deny(403, reason()), 7, 403, ""),
        (Decision::fail(500, reason()), 7, 500, ""),
        // Whatever status a denial has, it denies.
        (Decision::deny(200, reason()), 7, 200, ""),
        (Decision::deny(0, reason()), 7, 0, ""),
    ];
    for (decision, code, status, body) in rows {
        let about = format!("{decision:?}");
        let response = reply(decision);
        assert_eq!(response.status.unwrap().code, code, "{about}");
        let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else {
            panic!("{about}")
        };
        assert_eq!(denied.status.unwrap().code, status, "{about}");
        assert_eq!(denied.body, body, "{about}");
    }
}

#[test]
fn a_failure_the_proxy_is_to_judge_is_a_grpc_error() {
    let cancelled = "eval_cancel_error: context deadline reached during query execution";
    let rows = [
        (
            EvaluationError::Undefined,
            tonic::Code::Unknown,
            "undefined decision",
        ),
        (
            EvaluationError::Conflict("two values".to_owned()),
            tonic::Code::Unknown,
            "two values",
        ),
        (
            EvaluationError::TimeLimit(Duration::from_millis(1)),
            tonic::Code::DeadlineExceeded,
            cancelled,
        ),
        (
            EvaluationError::TimeUp("http.send".to_owned()),
            tonic::Code::DeadlineExceeded,
            cancelled,
        ),
    ];
    for (error, code, text) in rows {
        let error = RegoFailure::Evaluation(error);
        let decision = Decision::rego_failed(&error, "a/b", true);
        let failed = response::reply(&answer(decision), Replies::Doorward).unwrap_err();
        assert_eq!((failed.code(), failed.message()), (code, text));
        let denied = reply(Decision::rego_failed(&error, "a/b", false));
        assert_eq!(denied.status.unwrap().code, 7, "{error}");
    }
}

#[test]
fn metadata_for_the_access_log() {
    let outcome = Outcome {
        dynamic_metadata:
            json!({"own": [1, {"a": null}], "decision_id": "forged", "doorward": "forged"})
                .as_object()
                .cloned(),
        ..Outcome::default()
    };
    let mut decision = allow(outcome);
    decision.peer_principal = Some("spiffe://td/a".to_owned());
    let metadata = reply(decision).dynamic_metadata.unwrap();
    let expected = json!({
        "own": [1.0, {"a": null}],
        "decision_id": "00000000-0000-0000-0000-000000000001",
        "doorward": {"revision": 7.0, "reason": "rego", "policy": "a/b", "cached": false, "peer_principal": "spiffe://td/a"},
    });
    assert_eq!(
        as_json(&prost_types::Value {
            kind: Some(Kind::StructValue(metadata))
        }),
        expected
    );
}

fn as_json(value: &prost_types::Value) -> serde_json::Value {
    match value.kind.as_ref().unwrap() {
        Kind::NullValue(_) => json!(null),
        Kind::BoolValue(value) => json!(value),
        Kind::NumberValue(value) => json!(value),
        Kind::StringValue(value) => json!(value),
        Kind::ListValue(list) => list.values.iter().map(as_json).collect(),
        Kind::StructValue(fields) => {
            let fields = fields
                .fields
                .iter()
                .map(|(name, value)| (name.clone(), as_json(value)));
            serde_json::Value::Object(fields.collect())
        }
    }
}

/// Few names, so that they meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abAB]",
        "[ -~]{0,3}",
        Just("host".to_owned()),
        Just(":path".to_owned())
    ]
}

fn some_pairs() -> impl Strategy<Value = Pairs> {
    prop::collection::vec((name(), "[ -~\n]{0,3}"), 0..4)
}

fn some_names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..4)
}

prop_compose! {
    fn outcomes()(
        (allowed, plain) in any::<(bool, bool)>(),
        headers in some_pairs(),
        request_headers_to_remove in some_names(),
        response_headers_to_add in some_pairs(),
        http_status in any::<Option<u16>>(),
        body in any::<Option<String>>(),
    ) -> Outcome {
        Outcome {
            allowed, plain, headers, request_headers_to_remove, response_headers_to_add, http_status, body,
            ..Outcome::default()
        }
    }
}

prop_compose! {
    fn decisions()(
        rego in prop::collection::vec(outcomes(), 0..3),
        set in prop::collection::btree_map("[ab]", "[a-z]{0,3}", 0..2),
        remove_headers in prop::collection::btree_set("[cd]", 0..2),
        allow in any::<bool>(),
        status in any::<Option<u16>>(),
    ) -> Decision {
        if let Some(status) = status {
            return Decision::deny(status, Reason::new(ReasonKind::NoPolicy, "why"));
        }
        let authenticated = Authenticated {
            set_headers: set.into_iter().collect(),
            remove_headers,
            ..Authenticated::default()
        };
        let default_action = if allow { DefaultAction::Allow } else { DefaultAction::Deny };
        let rego = rego.into_iter().map(|outcome| (outcome, "a/b")).collect();
        conclude(Grounds { rego, authenticated, default_action, ..Grounds::default() })
    }
}

proptest! {
    /// An empty reply, and a `denied_response` with code 0, mean allow to Envoy.
    #[test]
    fn what_denies_says_so_and_what_allows_says_nothing_else(decision in decisions()) {
        let effect = decision.effect();
        let response = reply(decision);
        let code = response.status.as_ref().map_or(0, |status| status.code);
        let denied = matches!(response.http_response, Some(HttpResponse::DeniedResponse(_)));
        prop_assert_eq!(code != 0, effect == Effect::Deny);
        prop_assert_eq!(denied, effect == Effect::Deny);
        prop_assert!(response.dynamic_metadata.unwrap().fields.contains_key("decision_id"));
    }

    /// A name that is both set and removed would end removed, and one appended to nothing of ours
    /// would stand beside the client's own.
    #[test]
    fn set_and_removed_are_disjoint_and_the_first_replaces(decision in decisions()) {
        if let Some(HttpResponse::OkResponse(ok)) = reply(decision).http_response {
            let removed: Vec<_> = ok.headers_to_remove.iter().map(|name| name.to_ascii_lowercase()).collect();
            let mut seen = Vec::new();
            for (name, value, append) in shown(&ok.headers) {
                let name = name.to_ascii_lowercase();
                prop_assert!(!removed.contains(&name));
                prop_assert!(!name.starts_with(':') && name != "host");
                prop_assert!(!value.contains('\n'));
                prop_assert_eq!(append, Some(seen.contains(&name)));
                seen.push(name);
            }
        }
    }
}
