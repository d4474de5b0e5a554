//! Replies as they are sent: a gRPC message with its prefix. That of a remembered decision is written
//! once; after that only the decision's id is put into a copy.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use tonic::Status;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{Replies, legacy, response};
use crate::attributes::ProtocolVersion;
use crate::pdp::Answer;
use doorward_proto::envoy::service::auth::v3::CheckResponse;

/// What stands before a message: whether it is compressed, and its length in four bytes.
pub(super) const PREFIX: usize = 5;

/// A reply to a remembered decision.
pub(super) struct Template {
    /// For whom it was written.
    style: Style,
    bytes: Bytes,
    /// Where the decision's id stands, if it does.
    id_at: Option<usize>,
}

/// How a reply is written, and of which revision it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Style {
    replies: Replies,
    version: ProtocolVersion,
    revision: u64,
}

/// The reply to a check: a message with its prefix, or a gRPC error where the operator chose that.
pub(super) fn reply(
    answer: &Answer,
    replies: Replies,
    version: ProtocolVersion,
) -> Result<Bytes, Status> {
    let style = Style {
        replies,
        version,
        revision: answer.revision,
    };
    // Of what a reply says, the decision and the style tell all but the id, and the client's headers.
    let is_repeated = answer.cached && answer.lookalikes.is_empty();
    let memo = &answer.decision.memo;
    if is_repeated
        && let Some(template) = memo.get::<Template>()
        && template.style == style
        && let Some(bytes) = template.with(answer.id)
    {
        return Ok(bytes);
    }
    let message = match version {
        ProtocolVersion::V3 => response::reply(answer, replies),
        ProtocolVersion::V2 => legacy::reply(answer, replies),
    }?;
    let bytes = framed(&message);
    if is_repeated && let Some(template) = Template::of(style, &bytes, answer.id) {
        memo.set(template);
    }
    Ok(bytes)
}

/// A message with its prefix.
pub(super) fn framed(message: &CheckResponse) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

impl Template {
    /// `None` if it cannot be told where the id stands: a policy could say it too.
    fn of(style: Style, bytes: &Bytes, id: Uuid) -> Option<Self> {
        let mut text = Uuid::encode_buffer();
        let id = id.hyphenated().encode_lower(&mut text).as_bytes();
        let places = bytes.windows(id.len()).enumerate();
        let mut places = places.filter(|(_, place)| *place == id);
        let id_at = places.next().map(|(at, _)| at);
        places.next().is_none().then(|| Self {
            style,
            bytes: bytes.clone(),
            id_at,
        })
    }

    /// The reply with another id.
    fn with(&self, id: Uuid) -> Option<Bytes> {
        let Some(at) = self.id_at else {
            return Some(self.bytes.clone());
        };
        let mut bytes = BytesMut::from(&self.bytes[..]);
        let place = bytes.get_mut(at..at + Hyphenated::LENGTH)?;
        id.hyphenated().encode_lower(place);
        Some(bytes.freeze())
    }
}
