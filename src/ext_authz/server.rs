//! The gRPC server: checks, health, and reflection if wanted, on one listener. Decoding is done
//! here and not by the framework, so that a message that cannot be decoded is denied, not failed.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use doorward_proto::envoy::service::auth::v3::CheckResponse;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio_util::either::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use super::{Replies, legacy, request, response};
use crate::attributes::{Attributes, ProtocolVersion};
use crate::external::Outside;
use crate::listen::{self, Address, Connections, Listener, Opening, Steady};
use crate::pdp::{Answer, Pdp};
use crate::telemetry::{Metrics, unix_nanos};
use crate::tls::{self, Tls};
use crate::units::{Size, Span};

/// Name of the service in Envoy's API.
const SERVICE: &str = "envoy.service.auth.v3.Authorization";
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// The same in version 2 of the API.
const LEGACY_CHECK: &str = "/envoy.service.auth.v2.Authorization/Check";
const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/";
/// A message of up to so many times the limit is read, to be denied; a larger one is an error.
const READ_FACTOR: usize = 4;
/// HTTP/2 limits of a connection.
const MAX_STREAMS: u32 = 1_000;
const MAX_HEADER_LIST: u32 = 64 * 1024;
const MAX_LOCAL_RESETS: usize = 256;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const WINDOW: u32 = 1 << 20;
/// Bytes by which every HTTP/2 client begins (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// Longest that checks may take which are running when a connection is to end.
const DRAIN: Duration = Duration::from_secs(60);

/// How long a peer may keep a connection waiting. One that is idle and alive is kept, as long as it
/// answers pings.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the preface.
    opening: Duration,
    /// With what it is sent.
    write: Duration,
}

const PATIENCE: Patience = Patience {
    opening: Duration::from_secs(10),
    write: Duration::from_secs(30),
};

/// Section `ext_authz` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `IP:PORT`, or `unix:///PATH`.
    pub listen: Address,
    /// Longest a check may take; evaluation ends by then.
    pub deadline: Span,
    /// Largest request that is looked at; a larger one is denied.
    pub max_message_bytes: Size,
    /// Whether clients may ask which services there are.
    pub reflection: bool,
    pub replies: Replies,
    /// Encryption, and with an authority for clients whose connections are taken.
    pub tls: Option<tls::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Address::loopback(9191),
            deadline: Span::from_millis(150),
            max_message_bytes: Size::from_mib(4),
            reflection: false,
            replies: Replies::default(),
            tls: None,
        }
    }
}

type Boxed = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// The door, ready to be served.
pub struct Server {
    check: CheckService,
    health: Boxed,
    reflection: Option<Boxed>,
}

/// Tells gRPC health checks whether the door is open.
#[derive(Clone)]
pub struct Health(HealthReporter);

// === impl Server ===

impl Server {
    /// Puts the services together. Health says NOT_SERVING until told otherwise.
    pub async fn new(
        config: &Config,
        pdp: Arc<Pdp>,
        outside: Arc<Outside>,
        metrics: Arc<Metrics>,
    ) -> (Self, Health) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let health_handle = Health(reporter);
        health_handle.set(false).await;
        let reflection = config.reflection.then(reflection).flatten();
        let server = Self {
            check: CheckService {
                pdp,
                outside,
                metrics,
                max_message_bytes: config.max_message_bytes.as_usize(),
                replies: config.replies,
                version: ProtocolVersion::V3,
            },
            health: BoxCloneSyncService::new(health),
            reflection,
        };
        (server, health_handle)
    }

    /// The bytes of the reply to those of a check, as a connection would get them; nothing if that
    /// is an error, or may have to wait for others. What a check costs can be measured here.
    pub fn answer(&self, message: Bytes) -> Option<Bytes> {
        let reply = self.check.check(message).ok()?.ok()?;
        Some(reply.encode_to_vec().into())
    }

    /// Serves connections until told to stop, then lets running checks end, for `grace` at most.
    pub async fn run(
        self,
        listener: Listener,
        tls: Option<Arc<Tls>>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) {
        self.serve(listener, tls, stop, grace, PATIENCE).await;
    }

    async fn serve(
        self,
        listener: Listener,
        tls: Option<Arc<Tls>>,
        stop: impl Future<Output = ()>,
        grace: Duration,
        patience: Patience,
    ) {
        let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let connections = Connections::default();
        let server = Arc::new(self);
        listener
            .run(stop, |stream| {
                let (server, tls, http2) = (Arc::clone(&server), tls.clone(), http2.clone());
                let mut draining = connections.begin();
                tokio::spawn(async move {
                    let stream = Steady::new(stream, patience.write);
                    let mut authorities = tls::follow_authorities(tls.as_deref());
                    let stream = match tls::open(tls.as_deref(), stream).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(%error, "a handshake failed");
                            return;
                        }
                    };
                    let stream = Opening::new(stream, PREFACE, patience.opening);
                    let service = service_fn(move |request| Arc::clone(&server).route(request));
                    let connection = http2.serve_connection(TokioIo::new(stream), service);
                    let drain = async {
                        tokio::select! {
                            () = draining.told() => {}
                            () = authorities.changed() => {}
                        }
                    };
                    if let Err(error) = listen::drive(connection, drain, DRAIN).await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                });
            })
            .await;
        if !connections.end(grace).await {
            tracing::warn!("checks were still running when the grace period ended");
        }
    }

    /// Rule: paths match exactly; one without its leading slash is no method.
    async fn route(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path();
        if path == CHECK {
            return Ok(self.check.clone().unary(request).await);
        }
        if path == LEGACY_CHECK {
            let check = CheckService {
                version: ProtocolVersion::V2,
                ..self.check.clone()
            };
            return Ok(check.unary(request).await);
        }
        if path.starts_with(HEALTH) {
            return self.health.clone().oneshot(request).await;
        }
        match &self.reflection {
            Some(reflection) if path.starts_with(REFLECTION) => {
                reflection.clone().oneshot(request).await
            }
            _ => Ok(Status::unimplemented("unknown method").into_http()),
        }
    }
}

fn reflection() -> Option<Boxed> {
    let service = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(doorward_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match service {
        Ok(service) => Some(BoxCloneSyncService::new(service)),
        Err(error) => {
            tracing::error!(%error, "reflection is off: the descriptors cannot be used");
            None
        }
    }
}

// === impl Health ===

impl Health {
    /// Sets what health checks are told, for the server as a whole and for the service.
    pub async fn set(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in ["", SERVICE] {
            self.0.set_service_status(name, status).await;
        }
    }
}

/// Answers checks.
#[derive(Debug, Clone)]
struct CheckService {
    pdp: Arc<Pdp>,
    outside: Arc<Outside>,
    metrics: Arc<Metrics>,
    max_message_bytes: usize,
    replies: Replies,
    version: ProtocolVersion,
}

/// What becomes of a check: a reply, or a gRPC error.
type Reply = Result<CheckResponse, Status>;

/// A check that may have to wait for what policies ask of others.
struct Waiting {
    attributes: Box<Attributes>,
    now_ns: i64,
    started: Instant,
}

type Replied = Result<tonic::Response<CheckResponse>, Status>;

impl CheckService {
    async fn unary(self, request: Request<Incoming>) -> Response<Body> {
        let limit = self.max_message_bytes.saturating_mul(READ_FACTOR);
        let mut grpc = Grpc::new(RawCodec).max_decoding_message_size(limit);
        grpc.unary(self, request).await
    }

    /// From a message's bytes to the reply. Whatever is wrong with a request denies it, a panic of
    /// our own included: a connection that breaks off is an error to a proxy.
    fn check(&self, message: Bytes) -> Result<Reply, Waiting> {
        catch_unwind(AssertUnwindSafe(|| self.begin(message))).unwrap_or_else(|_| {
            self.metrics.panics.inc();
            Ok(Ok(response::failed()))
        })
    }

    fn begin(&self, message: Bytes) -> Result<Reply, Waiting> {
        let started = Instant::now();
        let now_ns = unix_nanos();
        let answer = if message.len() > self.max_message_bytes {
            let why = format!("the check is larger than {} bytes", self.max_message_bytes);
            self.pdp.refuse(why, now_ns)
        } else {
            let decoded = match self.version {
                ProtocolVersion::V3 => request::decode(message),
                ProtocolVersion::V2 => legacy::decode(message),
            };
            match decoded {
                Ok(attributes) => match self.pdp.check_at_once(attributes, now_ns) {
                    Ok(answer) => answer,
                    Err(attributes) => {
                        return Err(Waiting {
                            attributes,
                            now_ns,
                            started,
                        });
                    }
                },
                Err(error) => {
                    self.metrics.undecodable.inc();
                    let why = format!("the check cannot be decoded: {error}");
                    self.pdp.refuse(why, now_ns)
                }
            }
        };
        Ok(self.reply(&answer, started))
    }

    /// Has a check run where it may wait. A panic denies it here too, wherever it comes from: that no
    /// thread can be had is one.
    async fn wait(self, waiting: Waiting) -> Reply {
        let mut answering = std::pin::pin!(self.answer(waiting));
        std::future::poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context)));
            polled.unwrap_or_else(|_| {
                self.metrics.panics.inc();
                Poll::Ready(Ok(response::failed()))
            })
        })
        .await
    }

    async fn answer(&self, waiting: Waiting) -> Reply {
        let Waiting {
            attributes,
            now_ns,
            started,
        } = waiting;
        let answer = match self.outside.place() {
            Ok(place) => {
                let pdp = Arc::clone(&self.pdp);
                let answer = place.run(move || pdp.check(*attributes, now_ns)).await;
                answer.unwrap_or_else(|| self.pdp.failed(&Attributes::default(), now_ns))
            }
            Err(crowded) => self
                .pdp
                .crowded_out(&attributes, crowded.to_string(), now_ns),
        };
        self.reply(&answer, started)
    }

    fn reply(&self, answer: &Answer, started: Instant) -> Reply {
        let reply = match self.version {
            ProtocolVersion::V3 => response::reply(answer, self.replies),
            ProtocolVersion::V2 => legacy::reply(answer, self.replies),
        };
        let error = || response::error_of(&answer.decision.reason);
        self.metrics.check_took(started.elapsed(), error);
        reply
    }
}

impl Service<tonic::Request<Bytes>> for CheckService {
    type Response = tonic::Response<CheckResponse>;
    type Error = Status;
    type Future = Either<Ready<Replied>, Pin<Box<dyn Future<Output = Replied> + Send>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        match self.check(request.into_inner()) {
            Ok(reply) => Either::Left(ready(reply.map(tonic::Response::new))),
            Err(waiting) => {
                let wait = self.clone().wait(waiting);
                Either::Right(Box::pin(async { wait.await.map(tonic::Response::new) }))
            }
        }
    }
}

/// Requests as bytes, to be decoded by us; replies as messages.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = CheckResponse;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = CheckResponse;
    type Error = Status;

    fn encode(&mut self, reply: CheckResponse, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        reply
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
