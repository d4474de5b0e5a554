//! Checks over gRPC, as Envoy sends them or as nobody should.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use doorward_proto::envoy::config::core::v3::address::Address as AddressKind;
use doorward_proto::envoy::config::core::v3::socket_address::PortSpecifier;
use doorward_proto::envoy::config::core::v3::{Address, SocketAddress};
use doorward_proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use doorward_proto::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse,
};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::service_fn;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// A client on one connection.
#[derive(Clone)]
pub struct Checks(tonic::client::Grpc<Channel>);

/// A reply, taken apart.
#[derive(Debug)]
pub struct Reply {
    pub response: CheckResponse,
}

impl Checks {
    pub async fn connect(address: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        Self(tonic::client::Grpc::new(channel.connect().await.unwrap()))
    }

    /// Over TLS, to a server of this name.
    pub async fn connect_tls(
        address: &str,
        name: &'static str,
        client: Arc<rustls::ClientConfig>,
    ) -> Result<Self, String> {
        let to = address.to_owned();
        let connector = service_fn(move |_| {
            let (to, client) = (to.clone(), Arc::clone(&client));
            async move {
                let stream = tokio::net::TcpStream::connect(to).await?;
                let name = ServerName::try_from(name).unwrap();
                let stream = TlsConnector::from(client).connect(name, stream).await?;
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| error.to_string())?;
        Ok(Self(tonic::client::Grpc::new(channel)))
    }

    /// Sends bytes that may be no message.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<Reply, Status> {
        self.send_to(CHECK, message).await
    }

    pub async fn send_to(
        &self,
        method: &'static str,
        message: impl Into<Bytes>,
    ) -> Result<Reply, Status> {
        let bytes = self.call(method, message).await?;
        let response = CheckResponse::decode(bytes).unwrap();
        Ok(Reply { response })
    }

    /// Calls any method with any bytes.
    pub async fn call(&self, method: &str, message: impl Into<Bytes>) -> Result<Bytes, Status> {
        let mut client = self.0.clone().max_encoding_message_size(64 << 20);
        client
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let request = tonic::Request::new(message.into());
        let path = http::uri::PathAndQuery::try_from(method).unwrap();
        Ok(client.unary(request, path, RawCodec).await?.into_inner())
    }

    pub async fn check(&self, request: &CheckRequest) -> Reply {
        self.send(request.encode_to_vec()).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.check(&http_check("GET", path, &[])).await
    }
}

impl Reply {
    pub fn code(&self) -> Code {
        self.response
            .status
            .as_ref()
            .map_or(Code::Ok, |status| status.code.into())
    }

    pub fn allows(&self) -> bool {
        self.code() == Code::Ok
    }

    /// HTTP status the client gets; 200 for an allow.
    pub fn status(&self) -> i32 {
        if self.allows() {
            return 200;
        }
        self.denial()
            .and_then(|denial| denial.status.as_ref())
            .map_or(403, |status| status.code)
    }

    pub fn denial(&self) -> Option<&DeniedHttpResponse> {
        match self.response.http_response.as_ref()? {
            HttpResponse::DeniedResponse(denial) => Some(denial),
            _ => None,
        }
    }

    /// A member of the dynamic metadata, or of its `doorward` part.
    pub fn metadata(&self, name: &str) -> Option<prost_types::value::Kind> {
        let fields = &self.response.dynamic_metadata.as_ref()?.fields;
        let nested = fields
            .get("doorward")
            .and_then(|value| match value.kind.as_ref()? {
                prost_types::value::Kind::StructValue(nested) => nested.fields.get(name),
                _ => None,
            });
        nested.or_else(|| fields.get(name))?.kind.clone()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        match self.metadata(name)? {
            prost_types::value::Kind::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// The `doorward` part of the metadata as JSON.
    pub fn shown(&self) -> serde_json::Value {
        let fields = self
            .response
            .dynamic_metadata
            .as_ref()
            .and_then(|metadata| metadata.fields.get("doorward"));
        fields.map_or(serde_json::Value::Null, json)
    }

    pub fn revision(&self) -> u64 {
        match self.metadata("revision") {
            Some(prost_types::value::Kind::NumberValue(number)) => number as u64,
            other => panic!("no revision: {other:?}"),
        }
    }

    pub fn cached(&self) -> bool {
        self.metadata("cached") == Some(prost_types::value::Kind::BoolValue(true))
    }
}

fn json(value: &prost_types::Value) -> serde_json::Value {
    use prost_types::value::Kind;
    match &value.kind {
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(number)) => (*number).into(),
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(object)) => object
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect(),
        Some(Kind::NullValue(_)) | None => serde_json::Value::Null,
    }
}

pub fn address(ip: &str, port: u32) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: ip.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port)),
            ..SocketAddress::default()
        })),
    }
}

pub fn peer(ip: &str, port: u32, principal: &str) -> Peer {
    Peer {
        address: Some(address(ip, port)),
        principal: principal.to_owned(),
        ..Peer::default()
    }
}

/// A check of an HTTP request.
pub fn http_check(method: &str, path: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut request = tcp_check("");
    request.attributes.as_mut().unwrap().request = Some(Request {
        time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
        http: Some(HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            host: "web.example".to_owned(),
            scheme: "http".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            headers: headers.collect(),
            ..HttpRequest::default()
        }),
    });
    request
}

/// A check of a TCP connection.
pub fn tcp_check(principal: &str) -> CheckRequest {
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("10.0.0.7", 40_000, principal)),
            destination: Some(peer("10.1.0.9", 8080, "")),
            ..AttributeContext::default()
        }),
    }
}

/// The HTTP part of a check, to change it.
pub fn http_of(request: &mut CheckRequest) -> &mut HttpRequest {
    let attributes = request.attributes.as_mut().unwrap();
    attributes.request.as_mut().unwrap().http.as_mut().unwrap()
}

/// Passes bytes through.
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
