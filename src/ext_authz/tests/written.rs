//! A reply that is written once and sent again says what one written anew would say.

use std::sync::Arc;

use doorward_proto::envoy::service::auth::v3::CheckResponse;
use prost::Message as _;
use serde_json::json;
use uuid::Uuid;

use super::super::written::{PREFIX, Template, reply};
use super::super::{Replies, legacy, response};
use crate::attributes::ProtocolVersion;
use crate::decision::{Decision, Grounds, Memo, Reason, ReasonKind, conclude};
use crate::pdp::Answer;
use crate::policy::native::Authenticated;
use crate::policy::rego::Outcome;

const ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn decisions() -> Vec<Decision> {
    let text = |text: &str| text.to_owned();
    let outcome = |metadata: serde_json::Value| Outcome {
        allowed: true,
        headers: vec![(text("x-a"), text("1"))],
        dynamic_metadata: metadata.as_object().cloned(),
        ..Outcome::default()
    };
    let allowed = |metadata| {
        conclude(Grounds {
            rego: vec![(outcome(metadata), "a/b")],
            ..Grounds::default()
        })
    };
    let native = conclude(Grounds {
        authenticated: Authenticated {
            set_headers: vec![(text("x-user"), text("alice"))],
            ..Authenticated::default()
        },
        ..Grounds::default()
    });
    let reason = Reason::new(ReasonKind::InvalidRequest, "no");
    vec![
        native,
        allowed(json!({})),
        // The policy says what could be taken for the id.
        allowed(json!({"id": ID.to_string()})),
        allowed(json!({"a": "x".repeat(20_000)})),
        Decision::fail(400, reason),
    ]
}

fn anew(answer: &Answer, replies: Replies, version: ProtocolVersion) -> CheckResponse {
    match version {
        ProtocolVersion::V3 => response::reply(answer, replies),
        ProtocolVersion::V2 => legacy::reply(answer, replies),
    }
    .unwrap()
}

#[test]
fn a_repeated_reply_is_as_one_written_anew() {
    use ProtocolVersion::{V2, V3};
    use Replies::{Doorward, Plugin};
    let styles = [(Doorward, V3), (Plugin, V3), (Doorward, V2), (Plugin, V2)];
    for first in styles {
        for decision in decisions() {
            let decision = Arc::new(decision);
            check(&decision, first);
            let written = decision.memo.get::<Template>();
            assert!(written.is_some(), "{first:?}: {decision:?}");
            // What was written for one is not taken for another.
            for other in styles {
                check(&decision, other);
            }
        }
    }
}

fn check(decision: &Arc<Decision>, (replies, version): (Replies, ProtocolVersion)) {
    let answer = |id: Uuid, cached, revision, lookalikes: &[&str]| Answer {
        decision: Arc::clone(decision),
        id,
        revision,
        cached,
        lookalikes: lookalikes.iter().map(ToString::to_string).collect(),
        pending: None,
    };
    let other = Uuid::from_u128(7);
    let answers = [
        answer(ID, false, 1, &[]),
        answer(ID, true, 1, &[]),
        answer(other, true, 1, &[]),
        answer(other, true, 2, &[]),
        answer(other, true, 1, &["x_user"]),
        answer(ID, true, 1, &[]),
        answer(other, false, 1, &[]),
    ];
    for answer in &answers {
        let mut sent = reply(answer, replies, version).unwrap();
        let message = sent.split_off(PREFIX);
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        assert_eq!((sent[0], &sent[1..]), (0, &length[..]));
        let sent = CheckResponse::decode(message).unwrap();
        assert_eq!(sent, anew(answer, replies, version), "{answer:?}");
    }
}

/// Equal decisions need not have been written alike.
#[test]
fn what_is_kept_is_no_part_of_a_decision() {
    let memo = Memo::default();
    memo.set(1_u8);
    memo.set(2_u8);
    assert_eq!((memo.get::<u8>(), memo.get::<u16>()), (Some(&1), None));
    assert_eq!(memo, Memo::default());
    assert_eq!(memo.clone().get::<u8>(), None);
}
