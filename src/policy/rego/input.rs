//! The input document of opa-envoy-plugin, built straight from attributes. Nothing goes through JSON
//! text; a member that is at its default is left out, as in protobuf.

mod body;
mod context;
mod identity;
mod legacy;
mod request;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regorus::Value;
use thiserror::Error;

use super::Data;
use super::json::JsonError;
use super::paths::Paths;
use super::protobuf::{Descriptors, ProtobufError};
use crate::attributes::{
    Attributes, BodyError, HeaderLookup, Metadata, MultipartError, Pairs, PathError,
    ProtocolVersion,
};

pub use identity::Known;
pub use request::RegoRequest;

/// How the document is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputSettings {
    /// Leave bodies out.
    pub skip_body: bool,
    /// What bodies of gRPC are read by; without, they are not.
    pub descriptors: Option<Descriptors>,
    pub lookup: HeaderLookup,
    /// Whether there is a member `doorward` beside those of OPA's plugin.
    pub identity: bool,
}

/// Why a request has no input document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InputError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
}

/// A member name, made once for each thread: cores that count references to the same one would wait for
/// each other.
macro_rules! key {
    ($name:literal) => {{
        thread_local! {
            static KEY: regorus::Value = regorus::Value::from($name);
        }
        KEY.with(Clone::clone)
    }};
}
use key;

/// An object under construction. Members at their default value are left out, as in proto3, and so
/// is what nobody can read.
struct Object<'a> {
    members: BTreeMap<Value, Value>,
    wanted: &'a Paths,
    /// The whole document has a member here, be it wanted or not.
    is_populated: bool,
}

impl<'a> Object<'a> {
    fn of(wanted: &'a Paths) -> Self {
        Self {
            members: BTreeMap::new(),
            wanted,
            is_populated: false,
        }
    }

    /// Adds a member that the whole document has, if anything is wanted of it.
    fn build(&mut self, name: Value, build: impl FnOnce(&'a Paths) -> Value) {
        self.is_populated = true;
        let wanted = name.as_string().ok();
        if let Some(wanted) = wanted.and_then(|name| self.wanted.member(name)) {
            self.members.insert(name, build(wanted));
        }
    }

    fn set(&mut self, name: Value, value: impl Into<Value>) {
        self.build(name, |_| value.into());
    }

    fn text(&mut self, name: Value, text: &str) {
        if !text.is_empty() {
            self.build(name, |_| text.into());
        }
    }

    fn number(&mut self, name: Value, number: i64) {
        if number != 0 {
            self.set(name, number);
        }
    }

    fn bytes(&mut self, name: Value, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.build(name, |_| STANDARD.encode(bytes).into());
        }
    }

    fn pairs(&mut self, name: Value, pairs: &Pairs) {
        let texts = pairs.iter();
        self.texts(
            name,
            texts.map(|(name, value)| (name.as_str(), value.as_str())),
        );
    }

    fn texts<'t>(&mut self, name: Value, texts: impl ExactSizeIterator<Item = (&'t str, &'t str)>) {
        if texts.len() > 0 {
            self.build(name, |wanted| {
                let members = texts.filter(|(name, _)| wanted.member(name).is_some());
                let members = members.map(|(name, value)| (name.into(), value.into()));
                Value::from(members.collect::<BTreeMap<_, _>>())
            });
        }
    }

    fn optional<T>(&mut self, name: Value, part: Option<&T>, build: fn(&T, &Paths) -> Value) {
        if let Some(part) = part {
            self.build(name, |wanted| build(part, wanted));
        }
    }
}

impl From<Object<'_>> for Value {
    fn from(object: Object<'_>) -> Self {
        Self::from(object.members)
    }
}

/// Builds as much of the document as is wanted. Whether there is one at all depends on all of it.
pub(super) fn build(
    request: &RegoRequest<'_>,
    settings: &InputSettings,
    wanted: &Paths,
) -> Result<Value, InputError> {
    let attributes = request.attributes;
    let parsed = request.parsed(settings)?;
    let mut input = begun(attributes, wanted);
    if let Some((body, truncated)) = &parsed.body {
        input.set(key!("parsed_body"), body.clone());
        input.set(key!("truncated_body"), *truncated);
    }
    input.build(key!("parsed_path"), |_| parsed.path());
    input.build(key!("parsed_query"), |_| parsed.query());
    input.text(key!("source_principal"), attributes.source_principal());
    if let Some(known) = request.known.as_ref().filter(|_| settings.identity) {
        input.build(key!("doorward"), |wanted| identity::members(known, wanted));
    }
    Ok(input.into())
}

/// The whole document, certificates and all, as somebody sees it who evaluates nothing. It fails with what
/// there is of one, where path, query or body cannot be read.
pub fn document(attributes: &Attributes, settings: &InputSettings) -> Result<Data, Data> {
    let request = RegoRequest::new(attributes, None);
    let document = build(&request, settings, Paths::everything());
    let partly = |_| Data(begun(attributes, Paths::everything()).into());
    document.map(Data).map_err(partly)
}

/// What every document has, whatever is wrong with the request.
fn begun<'a>(attributes: &Attributes, wanted: &'a Paths) -> Object<'a> {
    let mut input = Object::of(wanted);
    if let Some(wanted) = wanted.member("attributes") {
        let members = match attributes.version {
            ProtocolVersion::V3 => context::members(attributes, wanted),
            ProtocolVersion::V2 => legacy::members(attributes, wanted),
        };
        if attributes.given || members.is_populated {
            input.set(key!("attributes"), members);
        }
    }
    input.build(key!("version"), |_| match attributes.version {
        ProtocolVersion::V3 => version("v3", "protojson"),
        ProtocolVersion::V2 => version("v2", "encoding/json"),
    });
    input
}

fn version(protocol: &str, encoding: &str) -> Value {
    let mut version = Object::of(Paths::everything());
    version.set(key!("ext_authz"), protocol);
    version.set(key!("encoding"), encoding);
    version.into()
}

/// Metadata that is JSON, by the name of the filter that left it.
fn filter_metadata(metadata: &Metadata, wanted: &Paths) -> Value {
    let filters = metadata.filter.iter();
    let filters = filters.filter(|(name, _)| wanted.member(name).is_some());
    let filters = filters.map(|(name, fields)| {
        let fields = serde_json::Value::Object(fields.clone());
        (Value::from(name.as_str()), Value::from(fields))
    });
    Value::from(filters.collect::<BTreeMap<_, _>>())
}

fn multimap(values: &BTreeMap<String, Vec<String>>) -> Value {
    let members = values.iter().map(|(name, values)| {
        let values: Vec<_> = values.iter().map(|value| value.as_str().into()).collect();
        (Value::from(name.as_str()), Value::from(values))
    });
    Value::from(members.collect::<BTreeMap<_, _>>())
}
