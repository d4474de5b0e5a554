//! Calls besides checks: gRPC health and, if wanted, reflection. The services are the framework's; here
//! its bodies are carried over HTTP/2 streams.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic_health::server::health_reporter;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::Health;

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/";
/// Most bytes that such a call sends; a question has far fewer.
const MAX_SENT: usize = 64 * 1024;

type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Services by the beginning of their paths.
pub(super) struct Services {
    health: Boxed,
    reflection: Option<Boxed>,
}

impl Services {
    pub(super) fn new(with_reflection: bool) -> (Self, Health) {
        let (reporter, health) = health_reporter();
        let services = Self {
            health: BoxCloneSyncService::new(health),
            reflection: with_reflection.then(reflection).flatten(),
        };
        (services, Health(reporter))
    }

    /// Answers a call to its end, which for one that watches comes once its connection takes nothing
    /// new: it would hold up the end of the process.
    pub(super) async fn call(
        &self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        mut draining: watch::Receiver<bool>,
    ) {
        let request = request.map(|body| {
            Body::new(Received {
                body,
                left: MAX_SENT,
            })
        });
        // A connection that is gone drains nothing any more.
        let mut draining = pin!(async move { drop(draining.wait_for(|is_told| *is_told).await) });
        let answer = tokio::select! {
            biased;
            answer = self.answer(request) => answer,
            () = &mut draining => ended().into_http(),
        };
        if let Err(error) = send(answer, respond, draining).await {
            tracing::debug!(%error, "a call was not answered");
        }
    }

    /// Rule: paths match exactly; one without its leading slash is no method.
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let service = match &self.reflection {
            _ if path.starts_with(HEALTH) => &self.health,
            Some(reflection) if path.starts_with(REFLECTION) => reflection,
            _ => return Status::unimplemented("unknown method").into_http(),
        };
        let Ok(response) = service.clone().oneshot(request).await;
        response
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

/// What a call sends, and how much more it may.
struct Received {
    body: RecvStream,
    left: usize,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let part = ready!(self.body.poll_data(context));
        Poll::Ready(part.map(|part| {
            let broken = |error: h2::Error| Status::cancelled(error.to_string());
            let part = part.map_err(broken)?;
            let left = self.left.checked_sub(part.len());
            self.left =
                left.ok_or_else(|| Status::resource_exhausted("the call sends too much"))?;
            let flow = self.body.flow_control();
            flow.release_capacity(part.len()).map_err(broken)?;
            Ok(Frame::data(part))
        }))
    }
}

/// What ends a call that has no end of its own. Its caller asks again, somewhere else.
fn ended() -> Status {
    Status::unavailable("the connection is closing")
}

/// What there is of an answer.
enum Next {
    Part(Result<Frame<Bytes>, Status>),
    /// All of it was sent, or nobody wants it.
    Nothing,
    /// All that there is now was sent, and the connection is to end.
    Ended,
}

/// Sends an answer part by part, until the other end wants no more of it, or it has none for now and the
/// connection drains.
async fn send(
    response: Response<Body>,
    mut respond: SendResponse<Bytes>,
    mut draining: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), h2::Error> {
    let (head, mut body) = response.into_parts();
    let head = Response::from_parts(head, ());
    if body.is_end_stream() {
        respond.send_response(head, true)?;
        return Ok(());
    }
    let mut stream = respond.send_response(head, false)?;
    let mut is_draining = false;
    loop {
        let next = poll_fn(|context| {
            if stream.poll_reset(context)?.is_ready() {
                return Poll::Ready(Ok::<_, h2::Error>(Next::Nothing));
            }
            // Rule: what there is to say is said before the end.
            if let Poll::Ready(part) = Pin::new(&mut body).poll_frame(context) {
                return Poll::Ready(Ok(part.map_or(Next::Nothing, Next::Part)));
            }
            is_draining = is_draining || draining.as_mut().poll(context).is_ready();
            match is_draining {
                true => Poll::Ready(Ok(Next::Ended)),
                false => Poll::Pending,
            }
        });
        match next.await? {
            Next::Part(Ok(frame)) => match frame.into_data() {
                Ok(part) => send_part(&mut stream, part).await?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return stream.send_trailers(trailers);
                    }
                }
            },
            Next::Part(Err(error)) => {
                tracing::debug!(%error, "a call failed");
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Next::Nothing => return stream.send_data(Bytes::new(), true),
            Next::Ended => {
                let mut trailers = HeaderMap::new();
                if ended().add_header(&mut trailers).is_err() {
                    stream.send_reset(Reason::CANCEL);
                    return Ok(());
                }
                return stream.send_trailers(trailers);
            }
        }
    }
}

/// Sends as much at a time as the other end has room for.
async fn send_part(stream: &mut SendStream<Bytes>, mut part: Bytes) -> Result<(), h2::Error> {
    while !part.is_empty() {
        stream.reserve_capacity(part.len());
        let room = poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(room) = room.transpose()? else {
            return Ok(());
        };
        let now = part.split_to(room.min(part.len()));
        stream.send_data(now, false)?;
    }
    Ok(())
}
