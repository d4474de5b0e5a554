//! Serving the API: HTTP/1 with a limit on connections and on how slowly a caller may write.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::access::Shown;
use super::error::ApiError;
use crate::listen::{Listener, Peer};
use crate::tls::{self, Tls};

/// Most connections at once; further ones are closed.
const MAX_CONNECTIONS: usize = 256;
/// Longest a caller may take for a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest a call may take, the sending of its body included.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Ends calls that take too long. A push that was read whole goes on to its end all the same.
pub(super) async fn limit_time(request: Request, next: Next) -> Result<Response, ApiError> {
    let answer = tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await;
    answer.map_err(|_| {
        let message = format!("the call took longer than {}s", CALL_TIMEOUT.as_secs());
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
    let mut http1 = hyper::server::conn::http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    listener
        .run(stop, |stream| {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("a management connection was closed: there are {MAX_CONNECTIONS}");
                return;
            };
            let Ok(peer) = Peer::of(&stream) else {
                return;
            };
            let (router, http1) = (router.clone(), http1.clone());
            let (tls, watcher) = (tls.clone(), graceful.watcher());
            tokio::spawn(async move {
                let _place = place;
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
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "a management connection ended early");
                }
            });
        })
        .await;
    if tokio::time::timeout(grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("management calls were still running when the grace period ended");
    }
}
