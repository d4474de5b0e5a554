//! Version 2 of the protocol: its `CheckRequest` to attributes, and replies without what it does not
//! have. What it shares with version 3 on the wire is read and written there.

use doorward_proto::envoy::config::core::v3::HeaderValueOption;
use doorward_proto::envoy::service::auth::v2 as auth;
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use doorward_proto::envoy::service::auth::v3::{CheckResponse, OkHttpResponse};
use prost::Message as _;
use tonic::Status;

use super::request::{address, metadata};
use super::response::{self, Replies};
use super::wire::Undecodable;
use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, Metadata, Peer, ProtocolVersion, Request,
    SocketAddress, Timestamp,
};
use crate::decision::Mutations;
use crate::pdp::Answer;

/// Decodes a request. An absent or empty message is legal and becomes empty attributes.
pub(super) fn decode(bytes: bytes::Bytes) -> Result<Box<Attributes>, Undecodable> {
    let auth::CheckRequest { attributes } = auth::CheckRequest::decode(bytes)?;
    let attributes = attributes.map(attribute_context);
    Ok(Box::new(attributes.unwrap_or_else(|| Attributes {
        version: ProtocolVersion::V2,
        ..Attributes::default()
    })))
}

fn attribute_context(context: auth::AttributeContext) -> Attributes {
    let auth::AttributeContext {
        source,
        destination,
        request,
        context_extensions,
        metadata_context,
    } = context;
    Attributes {
        version: ProtocolVersion::V2,
        given: true,
        source: source.map(peer),
        destination: destination.map(peer),
        request: request.map(|auth::attribute_context::Request { time, http }| Request {
            time: time.map(|time| Timestamp {
                seconds: time.seconds,
                nanos: time.nanos,
            }),
            http: http.map(http_request),
        }),
        context_extensions: context_extensions.into_iter().collect(),
        // Typed metadata came with version 3.
        metadata: metadata_context.map(|context| Metadata {
            typed: Vec::new(),
            ..metadata(context)
        }),
        route_metadata: None,
        sni: None,
    }
}

fn peer(peer: auth::attribute_context::Peer) -> Peer {
    let auth::attribute_context::Peer {
        address: from,
        service,
        labels,
        principal,
        certificate,
    } = peer;
    // So did addresses inside the proxy, and network namespaces.
    let from = from.map(|from| match from.address.map_or(Address::Empty, address) {
        Address::EnvoyInternal { .. } => Address::Empty,
        Address::Socket(socket) => Address::Socket(SocketAddress {
            network_namespace_filepath: String::new(),
            ..socket
        }),
        other => other,
    });
    Peer {
        address: from,
        service,
        labels: labels.into_iter().collect(),
        principal,
        certificate,
    }
}

fn http_request(http: auth::attribute_context::HttpRequest) -> HttpRequest {
    let auth::attribute_context::HttpRequest {
        id,
        method,
        headers,
        path,
        host,
        scheme,
        query,
        fragment,
        size,
        protocol,
        body,
    } = http;
    HttpRequest {
        id,
        method,
        headers: Headers::new(headers.into_iter().collect(), None),
        path,
        host,
        scheme,
        query,
        fragment,
        size,
        protocol,
        body,
        raw_body: bytes::Bytes::new(),
    }
}

/// The reply to a check. Rule: of headers to the upstream, it can say what they are and nothing else.
pub(super) fn reply(answer: &Answer, replies: Replies) -> Result<CheckResponse, Status> {
    let mut reply = response::reply(answer, replies)?;
    reply.dynamic_metadata = None;
    match &mut reply.http_response {
        Some(HttpResponse::OkResponse(response)) => {
            let emptied = answer.decision.reply().map(|mutations| {
                emptied(mutations, &answer.lookalikes, replies)
                    .map(|name| response::header(&(name.clone(), String::new()), Some(false)))
                    .collect::<Vec<_>>()
            });
            let mut headers = std::mem::take(&mut response.headers);
            headers.extend(emptied.unwrap_or_default());
            *response = OkHttpResponse {
                headers: without_action(headers),
                ..OkHttpResponse::default()
            };
        }
        Some(HttpResponse::DeniedResponse(response) | HttpResponse::ErrorResponse(response)) => {
            response.headers = without_action(std::mem::take(&mut response.headers));
        }
        None => {}
    }
    Ok(reply)
}

/// Headers that are overwritten with nothing, since they cannot be removed: a client's own copy must
/// not get through. Rule: opa-envoy-plugin leaves them; what Rego wants removed it may leave here.
fn emptied<'a>(
    mutations: &'a Mutations,
    lookalikes: &'a [String],
    replies: Replies,
) -> impl Iterator<Item = &'a String> {
    let count = match replies {
        Replies::Plugin => mutations.removed_by_native,
        Replies::Doorward => mutations.remove_headers.len(),
    };
    mutations
        .remove_headers
        .iter()
        .take(count)
        .chain(lookalikes)
}

fn without_action(headers: Vec<HeaderValueOption>) -> Vec<HeaderValueOption> {
    let headers = headers.into_iter();
    let plain = headers.map(|header| HeaderValueOption {
        append_action: 0,
        ..header
    });
    plain.collect()
}
