//! The gRPC server: checks, health, and reflection if wanted, on one listener. Decoding is done
//! here and not by the framework, so that a message that cannot be decoded is denied, not failed.

mod check;
mod connection;
mod message;
mod services;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::Replies;
use super::written::PREFIX;
use crate::attributes::ProtocolVersion;
use crate::external::Outside;
use crate::listen::{Address, Connections, Listener, Opening, Steady};
use crate::pdp::Pdp;
use crate::telemetry::Metrics;
use crate::tls::{self, Tls};
use crate::traces::TraceContext;
use crate::units::{Size, Span};
use check::Checks;
use connection::Door;
use services::Services;

/// Name of the service in Envoy's API.
const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// Bytes by which every HTTP/2 client begins (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// How long a peer may keep a connection waiting. One that is idle and alive is kept, as long as it
/// answers pings.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the preface.
    opening: Duration,
    /// With what it is sent.
    write: Duration,
    /// For the message of a call.
    message: Duration,
    /// Between two pings, and for the answer to one.
    pings: Duration,
    pong: Duration,
}

const PATIENCE: Patience = Patience {
    opening: Duration::from_secs(10),
    write: Duration::from_secs(30),
    message: Duration::from_secs(30),
    pings: Duration::from_secs(30),
    pong: Duration::from_secs(10),
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

/// The door, ready to be served.
pub struct Server {
    checks: Checks,
    services: Services,
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
        let (services, health) = Services::new(config.reflection);
        health.set(false).await;
        let checks = Checks {
            pdp,
            outside,
            metrics,
            max_message_bytes: config.max_message_bytes.as_usize(),
            deadline: config.deadline.0,
            replies: config.replies,
        };
        (Self { checks, services }, health)
    }

    /// The bytes of the reply to those of a check, as a connection would get them; nothing if that
    /// is an error, or has to wait for others. What a check costs can be measured here.
    pub fn answer(&self, message: Bytes) -> Option<Bytes> {
        let nobody = TraceContext::default();
        let reply = match self.checks.check(message, ProtocolVersion::V3, nobody) {
            Ok(reply) => reply,
            Err(longer) => {
                let mut finish = pin!(self.checks.finish(longer));
                match finish
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                {
                    Poll::Ready(reply) => reply,
                    Poll::Pending => return None,
                }
            }
        };
        Some(reply.ok()?.split_off(PREFIX))
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
        let door = Arc::new(Door {
            checks: self.checks,
            services: self.services,
            patience,
        });
        let connections = Connections::default();
        listener
            .run(stop, |stream| {
                let (door, tls) = (Arc::clone(&door), tls.clone());
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
                    let drain = async {
                        tokio::select! {
                            () = draining.told() => {}
                            () = authorities.changed() => {}
                        }
                    };
                    if let Err(error) = door.serve(stream, drain).await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                });
            })
            .await;
        if !connections.end(grace).await {
            tracing::warn!("checks were still running when the grace period ended");
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
