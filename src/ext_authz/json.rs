//! A `CheckRequest` in protobuf's JSON, the form in which people keep and send one. It goes through
//! the same bytes as one from a proxy, so that both are read in one way.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

use super::request;
use crate::attributes::Attributes;

/// Full name of the message.
const MESSAGE: &str = "envoy.service.auth.v3.CheckRequest";

static DESCRIPTOR: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(doorward_proto::DESCRIPTORS).ok()?;
    pool.get_message_by_name(MESSAGE)
});

/// Reads a request; members that the message does not have are refused.
pub fn from_json(json: &Value) -> Result<Attributes, String> {
    let descriptor = DESCRIPTOR.clone();
    let descriptor = descriptor.ok_or_else(|| format!("`{MESSAGE}` is not known"))?;
    let message =
        DynamicMessage::deserialize(descriptor, json).map_err(|error| error.to_string())?;
    let decoded = request::decode(&message.encode_to_vec().into());
    decoded
        .map(|attributes| *attributes)
        .map_err(|error| error.to_string())
}
