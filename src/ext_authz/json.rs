//! A `CheckRequest` in protobuf's JSON, the form in which people keep and send one. It goes through
//! the same bytes as one from a proxy, so that both are read in one way.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use super::request;
use crate::attributes::Attributes;

/// Full name of the message.
const MESSAGE: &str = "envoy.service.auth.v3.CheckRequest";

static DESCRIPTOR: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(doorward_proto::DESCRIPTORS).ok()?;
    pool.get_message_by_name(MESSAGE)
});

/// Reads the input document that Rego has of a request, such as the decision log keeps. What is not in it
/// as it was sent, certificates and typed metadata, is not there.
pub fn from_input(input: &Value) -> Result<Attributes, String> {
    if input
        .pointer("/version/ext_authz")
        .is_some_and(|version| version != "v3")
    {
        return Err("only documents of version 3 of the protocol can be read".to_owned());
    }
    let mut attributes = input.get("attributes").cloned();
    let attributes = attributes.get_or_insert_with(|| json!({}));
    for context in ["/metadataContext", "/routeMetadataContext"] {
        if let Some(Value::Object(context)) = attributes.pointer_mut(context) {
            context.remove("typedFilterMetadata");
        }
    }
    // Rule: a time is in parts there, and a text in protobuf's JSON.
    if let Some(time) = attributes.pointer_mut("/request/time") {
        let parts = time.as_object();
        let part = |name: &str| parts?.get(name).map_or(Some(0), Value::as_i64);
        let seconds = part("seconds");
        let nanos = part("nanos").and_then(|nanos| i32::try_from(nanos).ok());
        let read = seconds
            .zip(nanos)
            .and_then(|(seconds, nanos)| jiff::Timestamp::new(seconds, nanos).ok());
        let read = read.ok_or("`attributes.request.time` is no time")?;
        *time = read.to_string().into();
    }
    from_json(&json!({ "attributes": attributes }))
}

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
