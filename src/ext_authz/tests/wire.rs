//! Decoding by hand beside `prost`'s: whatever bytes come, both read the same, or neither reads them.

use bytes::Bytes;
use doorward_proto::envoy::service::auth::v3 as auth;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::super::wire::Undecodable;
use super::super::{legacy, request};
use super::requests::full;
use crate::attributes::{Attributes, Headers, Peer, ProtocolVersion};

/// One change of a message's bytes.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    /// The same again, which protobuf merges.
    Repeat,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        // Small numbers are keys and lengths.
        4 => (any::<usize>(), 0_u8..0x70).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        1 => any::<usize>().prop_map(Edit::Remove),
        1 => Just(Edit::Repeat),
    ];
    vec(edit, 0..4)
}

fn edited(edits: &[Edit]) -> Vec<u8> {
    let mut bytes = full().encode_to_vec();
    for edit in edits {
        let length = bytes.len();
        match *edit {
            Edit::Set(at, byte) => bytes[at % length] = byte,
            Edit::Insert(at, byte) => bytes.insert(at % length, byte),
            Edit::Remove(at) => drop(bytes.remove(at % length)),
            Edit::Repeat => bytes.extend_from_within(..),
        }
    }
    bytes
}

/// What both versions of the protocol have and say alike.
fn common(mut attributes: Attributes) -> Attributes {
    attributes.version = ProtocolVersion::V3;
    attributes.sni = None;
    attributes.route_metadata = None;
    if let Some(metadata) = &mut attributes.metadata {
        metadata.typed.clear();
    }
    for peer in [&mut attributes.source, &mut attributes.destination]
        .into_iter()
        .flatten()
    {
        *peer = Peer {
            address: None,
            ..peer.clone()
        };
    }
    if let Some(http) = attributes.request.as_mut().and_then(|it| it.http.as_mut()) {
        http.raw_body = Bytes::new();
        let merged = http.headers.merged().iter();
        let merged = merged.map(|(name, value)| (name.to_owned(), value.to_owned()));
        http.headers = Headers::new(merged.collect(), None);
    }
    attributes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn both_read_the_same(edits in edits()) {
        let bytes = Bytes::from(edited(&edits));
        let by_hand = request::decode(&bytes);
        let by_prost = auth::CheckRequest::decode(bytes.clone());
        match (&by_hand, &by_prost) {
            (Ok(read), Ok(message)) => {
                // Version 2 is read by `prost`, from the same bytes.
                let legacy = legacy::decode(bytes).unwrap();
                prop_assert_eq!(common((**read).clone()), common(*legacy));
                // What only version 3 has.
                let read = (**read).clone();
                let again = request::decode(&message.encode_to_vec().into()).unwrap();
                prop_assert_eq!(read, *again);
            }
            // Groups, which no version of the message has, are skipped by `prost`, and it does not look
            // at the type of a map.
            (Err(_), Err(_)) | (Err(Undecodable::Group | Undecodable::Type), Ok(_)) => {}
            _ => prop_assert!(false, "by hand {by_hand:?}, by prost {by_prost:?}"),
        }
    }
}
