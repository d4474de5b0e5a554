//! Version 2 of the protocol.

use std::sync::Arc;

use doorward_proto::envoy::config::core::v3 as core;
use doorward_proto::envoy::service::auth::v2 as auth;
use doorward_proto::envoy::service::auth::v3::CheckResponse;
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use prost::Message as _;
use uuid::Uuid;

use super::super::{Replies, legacy, request};
use crate::attributes::ProtocolVersion;
use crate::decision::{Decision, Grounds, conclude};
use crate::pdp::Answer;
use crate::policy::native::Authenticated;
use crate::policy::rego::Outcome;

#[test]
fn a_request_is_read_as_in_version_3() {
    let context = auth::AttributeContext {
        source: Some(auth::attribute_context::Peer {
            principal: "spiffe://td/a".to_owned(),
            address: Some(core::Address { address: None }),
            ..auth::attribute_context::Peer::default()
        }),
        request: Some(auth::attribute_context::Request {
            time: None,
            http: Some(auth::attribute_context::HttpRequest {
                method: "GET".to_owned(),
                path: "/a".to_owned(),
                size: -1,
                headers: [("a".to_owned(), "b".to_owned())].into(),
                ..auth::attribute_context::HttpRequest::default()
            }),
        }),
        ..auth::AttributeContext::default()
    };
    let bytes = auth::CheckRequest {
        attributes: Some(context),
    };
    let bytes = bytes.encode_to_vec();
    let mut newer = request::decode(&bytes.clone().into()).unwrap();
    newer.version = ProtocolVersion::V2;
    assert_eq!(legacy::decode(bytes.into()), Ok(newer));

    let nothing = legacy::decode(bytes::Bytes::new()).unwrap();
    assert!(!nothing.given);
    assert_eq!(nothing.version, ProtocolVersion::V2);
    assert!(legacy::decode(bytes::Bytes::from_static(b"\xff")).is_err());
}

fn reply(decision: Decision, replies: Replies) -> CheckResponse {
    let answer = Answer {
        decision: Arc::new(decision),
        id: Uuid::from_u128(1),
        revision: 7,
        cached: false,
        lookalikes: vec!["x_user".to_owned()],
        pending: None,
    };
    legacy::reply(&answer, replies).unwrap()
}

/// What cannot be removed is overwritten with nothing, or a client's own would get through.
#[test]
fn a_reply_has_nothing_that_version_2_lacks() {
    let text = |text: &str| text.to_owned();
    let decision = conclude(Grounds {
        authenticated: Authenticated {
            set_headers: vec![(text("x-user"), text("alice"))],
            remove_headers: [text("x-role")].into_iter().collect(),
            ..Authenticated::default()
        },
        rego: vec![(
            Outcome {
                allowed: true,
                headers: vec![(text("x-a"), text("1"))],
                request_headers_to_remove: vec![text("x-gone")],
                response_headers_to_add: vec![(text("c"), text("d"))],
                query_parameters_to_remove: vec![text("q")],
                query_parameters_to_set: vec![(text("p"), text("1"))],
                ..Outcome::default()
            },
            "a/b",
        )],
        ..Grounds::default()
    });
    let rows: [(Replies, &[(&str, &str)]); 2] = [
        (
            Replies::Doorward,
            &[
                ("x-user", "alice"),
                ("x-a", "1"),
                ("x-role", ""),
                ("x-gone", ""),
                ("x_user", ""),
            ],
        ),
        (
            Replies::Plugin,
            &[
                ("x-user", "alice"),
                ("x-a", "1"),
                ("x-role", ""),
                ("x_user", ""),
            ],
        ),
    ];
    for (replies, expected) in rows {
        let mut reply = reply(decision.clone(), replies);
        assert_eq!(reply.dynamic_metadata, None);
        let Some(HttpResponse::OkResponse(response)) = &mut reply.http_response else {
            panic!("{reply:?}");
        };
        let headers = std::mem::take(&mut response.headers);
        assert_eq!(*response, Default::default());
        let shown = headers.iter().map(|header| {
            assert_eq!((header.append, header.append_action), (Some(false), 0));
            let header = header.header.as_ref().unwrap();
            (header.key.as_str(), header.value.as_str())
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
