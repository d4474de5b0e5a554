//! Serving the API: HTTP/1 with a limit on connections and on how slowly a caller may write.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tower::ServiceExt as _;

use super::access::Shown;
use super::error::ApiError;
use crate::listen::{self, Connections, Listener, Peer, Places, Steady};
use crate::tls::{self, Tls};

/// Longest a call may take, the sending of its body included.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// What one caller can take of the others' room.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Most connections at once; further ones are closed.
    connections: usize,
    /// Most of them from one address.
    share: usize,
    /// Longest for the header of a request, and so between two of them.
    header: Duration,
    /// Longest that a caller may take nothing of an answer.
    write: Duration,
    /// A connection of this age takes no further call,
    age: Duration,
    /// and ends after this time more, whatever still runs.
    drain: Duration,
}

const LIMITS: Limits = Limits {
    connections: 256,
    share: 64,
    header: Duration::from_secs(10),
    write: Duration::from_secs(10),
    age: Duration::from_secs(300),
    drain: Duration::from_secs(CALL_TIMEOUT.as_secs() + 10),
};

/// Ends calls that take too long. A push that was read whole goes on to its end all the same.
pub(super) async fn limit_time(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    answer.map_err(|_| {
        let message = format!("the call took longer than {limit:?}");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })
}

/// Serves until told to stop, then lets running calls end, for `grace` at most.
pub async fn run(
    router: Router,
    listener: Listener,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    serve(router, listener, tls, stop, grace, LIMITS).await;
}

async fn serve(
    router: Router,
    listener: Listener,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
    grace: Duration,
    limits: Limits,
) {
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header);
    let connections = Connections::default();
    let places = Places::new(limits.connections, limits.share);
    listener
        .run(stop, |stream| {
            let Ok(peer) = Peer::of(&stream) else {
                return;
            };
            let place = match places.take(peer) {
                Ok(place) => place,
                Err(full) => {
                    // Who floods the port must not flood the log.
                    if let Some(count) = places.refused(Instant::now()) {
                        tracing::warn!(%peer, count, "management connections were closed: {full}");
                    }
                    return;
                }
            };
            let (router, http1, tls) = (router.clone(), http1.clone(), tls.clone());
            let mut draining = connections.begin();
            tokio::spawn(async move {
                let _place = place;
                let stream = Steady::new(stream, limits.write);
                let mut authorities = tls::follow_authorities(tls.as_deref());
                let stream = match tls::open(tls.as_deref(), stream).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::debug!(%error, "a handshake failed");
                        return;
                    }
                };
                let shown = Shown::new(tls::client_certificate(&stream));
                let tell = move |mut request: hyper::Request<Incoming>| {
                    request.extensions_mut().insert(peer);
                    request.extensions_mut().insert(shown.clone());
                    request
                };
                let service = TowerToHyperService::new(router.map_request(tell));
                let connection = http1.serve_connection(TokioIo::new(stream), service);
                let drain = async {
                    tokio::select! {
                        () = draining.told() => {}
                        () = authorities.changed() => {}
                        () = tokio::time::sleep(limits.age) => {}
                    }
                };
                if let Err(error) = listen::drive(connection, drain, limits.drain).await {
                    tracing::debug!(%error, "a management connection ended early");
                }
            });
        })
        .await;
    if !connections.end(grace).await {
        tracing::warn!("management calls were still running when the grace period ended");
    }
}
