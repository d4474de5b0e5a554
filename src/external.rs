//! What policies ask of others while a check waits: `http.send` and `net.lookup_ip_addr`. Checks that
//! can wait run on threads of their own, a bounded number at once and each until its deadline, so that
//! no other check waits with them. One request is made in `exchange`, by a client of `client`; answers
//! that hold for longer are kept in `responses`.

mod client;
mod exchange;
mod responses;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::address::{Block, Home, OwnPorts, Rules};
use crate::policy::rego::external::{
    External, ExternalError, HttpRequest, HttpResponse, Reach, Remember,
};
use crate::telemetry::Metrics;
use crate::units::{Size, Span};
use client::Clients;
use responses::Responses;

/// Most names that are looked up at once: the system's resolver takes a thread each.
const MAX_LOOK_UPS: usize = 64;
/// Most checks that may be allowed to wait at once: they share the runtime's threads.
const MAX_CHECKS: usize = 384;
/// Threads of the runtime on which checks wait, and names are looked up.
pub const BLOCKING_THREADS: usize = MAX_CHECKS + MAX_LOOK_UPS;
const MAX_DEADLINE: Span = Span::from_secs(600);

/// Section `external` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest a check may take that waits for others; `ext_authz.deadline` if not set.
    pub deadline: Option<Span>,
    /// Most checks that wait at once; a further one is denied.
    pub max_checks: usize,
    /// Largest answer.
    pub max_response_bytes: Size,
    /// Memory for answers that hold for later checks; `0B` turns remembering off.
    pub cache_max_bytes: Size,
    /// May be asked although they are link-local or a cloud's metadata service, or refused below.
    pub allowed_addresses: Vec<Block>,
    /// May not be asked.
    pub refused_addresses: Vec<Block>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline: None,
            max_checks: 128,
            max_response_bytes: Size::from_mib(8),
            cache_max_bytes: Size::from_mib(64),
            allowed_addresses: Vec::new(),
            refused_addresses: Vec::new(),
        }
    }
}

impl Config {
    /// Values that parse but cannot be meant.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(1..=MAX_CHECKS).contains(&self.max_checks) {
            let why = format!("{} is not between 1 and {MAX_CHECKS}", self.max_checks);
            problems.push(("external.max_checks", why));
        }
        if let Some(deadline) = self.deadline
            && !(Span::from_millis(1)..=MAX_DEADLINE).contains(&deadline)
        {
            let why = format!("{deadline} is not between 1ms and {MAX_DEADLINE}");
            problems.push(("external.deadline", why));
        }
        problems
    }
}

/// Runs checks that wait for others.
#[derive(Debug)]
pub struct Outside {
    places: Arc<Semaphore>,
    deadline: Duration,
    asking: Arc<Asking>,
}

/// A place for one check.
#[derive(Debug)]
pub struct Place {
    permit: OwnedSemaphorePermit,
    check: Arc<Check>,
    gone: CancellationToken,
}

/// There is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many checks wait for what policies ask of others")]
pub struct Crowded;

/// What all checks ask with.
#[derive(Debug)]
struct Asking {
    clients: Clients,
    responses: Responses,
    resolver: Resolver,
    max_response: usize,
    /// Where this process listens.
    own_ports: OwnPorts,
    metrics: Arc<Metrics>,
    runtime: Handle,
}

/// What one check asks with.
struct Check {
    asking: Arc<Asking>,
    deadline: Instant,
    /// Nobody waits for the check any more.
    gone: CancellationToken,
    /// Whether it takes remembered answers, and leaves its own to others.
    remembers: bool,
}

/// Looks names up as the system does, and leaves out addresses that are not asked.
#[derive(Debug, Clone)]
struct Resolver {
    rules: Arc<Rules>,
    home: Home,
    places: Arc<Semaphore>,
}

// === impl Outside ===

impl Outside {
    /// `deadline` is how long a check may take, `own_ports` are never asked on this machine. Must be
    /// called on a runtime.
    pub fn new(
        config: &Config,
        deadline: Duration,
        own_ports: OwnPorts,
        metrics: Arc<Metrics>,
    ) -> Self {
        let rules = Arc::new(Rules {
            allowed: config.allowed_addresses.clone(),
            refused: config.refused_addresses.clone(),
        });
        let resolver = Resolver {
            rules,
            home: Home::Open,
            places: Arc::new(Semaphore::new(MAX_LOOK_UPS)),
        };
        Self {
            places: Arc::new(Semaphore::new(config.max_checks)),
            deadline,
            asking: Arc::new(Asking {
                clients: Clients::new(resolver.clone()),
                responses: Responses::new(config.cache_max_bytes.0),
                resolver,
                max_response: config.max_response_bytes.as_usize(),
                own_ports,
                metrics,
                runtime: Handle::current(),
            }),
        }
    }

    /// A place for a proxy's check that may wait, if one is free. Its time begins.
    pub fn place(&self) -> Result<Place, Crowded> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_| Crowded)?;
        let gone = CancellationToken::new();
        Ok(Place {
            check: self.external(gone.clone(), true),
            gone,
            permit,
        })
    }

    /// What an evaluation asks with that is no proxy's: it takes none of their places. Its time begins,
    /// and ends when its caller is gone. Where it does not remember, it neither takes answers that others
    /// have got nor leaves its own to them.
    pub fn aside(&self, gone: CancellationToken, remembers: bool) -> Arc<dyn External> {
        self.external(gone, remembers)
    }

    /// What one check asks with, on a thread that may wait: for callers without others to delay.
    pub fn for_one_check(&self) -> Arc<dyn External> {
        self.external(CancellationToken::new(), true)
    }

    fn external(&self, gone: CancellationToken, remembers: bool) -> Arc<Check> {
        Arc::new(Check {
            asking: Arc::clone(&self.asking),
            deadline: Instant::now() + self.deadline,
            gone,
            remembers,
        })
    }
}

// === impl Place ===

impl Place {
    /// Runs a check on a thread that may wait; `None` if it does not come to its end. When the caller
    /// goes away, the check waits no longer.
    pub async fn run<T: Send + 'static>(
        self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _left = self.gone.drop_guard();
        let (permit, external) = (self.permit, self.check);
        let run = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let _reach = Reach::through(external);
            check()
        });
        run.await.ok()
    }
}

// === impl Check ===

impl External for Check {
    fn send(&self, request: &HttpRequest, now_ns: i64) -> Result<HttpResponse, ExternalError> {
        let answer = match self.remembers {
            true => self.wait(self.asking.send(request, now_ns)),
            false => self.wait(self.asking.send_apart(request)),
        };
        if let Err(error) = &answer {
            let result = match error {
                ExternalError::TimeUp => "timeout",
                ExternalError::Network(_) | ExternalError::Request(_) => "failure",
            };
            self.asking.metrics.external(result);
        }
        answer
    }

    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ExternalError> {
        let found = self.wait(async {
            let found = self.asking.resolver.look_up(name.to_owned()).await;
            found.map_err(|error| ExternalError::Network(error.to_string()))
        })?;
        Ok(found.into_iter().map(|address| address.ip()).collect())
    }
}

impl Check {
    /// Waits on this thread, until the deadline.
    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, ExternalError>>,
    ) -> Result<T, ExternalError> {
        if Instant::now() >= self.deadline {
            return Err(ExternalError::TimeUp);
        }
        self.asking.runtime.block_on(async {
            tokio::select! {
                () = self.gone.cancelled() => Err(ExternalError::TimeUp),
                done = tokio::time::timeout_at(self.deadline, work) => {
                    done.unwrap_or(Err(ExternalError::TimeUp))
                }
            }
        })
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Check");
        shown
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

// === impl Asking ===

impl Asking {
    /// Answers from what is remembered, or asks.
    async fn send(
        &self,
        request: &HttpRequest,
        now_ns: i64,
    ) -> Result<HttpResponse, ExternalError> {
        if request.remember != Remember::No
            && let Some(response) = self.remembered(request, now_ns).await?
        {
            return Ok(response);
        }
        let response = self.send_apart(request).await?;
        self.responses.keep(request, &response, now_ns);
        Ok(response)
    }

    /// Asks, whatever is remembered, and remembers nothing.
    async fn send_apart(&self, request: &HttpRequest) -> Result<HttpResponse, ExternalError> {
        let response = self.ask(request, &[]).await?;
        self.metrics.external("answer");
        Ok(response)
    }

    /// Rule: an answer holds until it expires; then its server is asked whether it still does, if it
    /// says how.
    async fn remembered(
        &self,
        request: &HttpRequest,
        now_ns: i64,
    ) -> Result<Option<HttpResponse>, ExternalError> {
        let Some(stored) = self.responses.get(&request.key) else {
            return Ok(None);
        };
        if stored.is_fresh(now_ns) {
            self.metrics.external("remembered");
            return Ok(Some(stored.response.clone()));
        }
        self.responses.forget(&request.key);
        let conditions = stored.conditions();
        if conditions.is_empty() {
            return Ok(None);
        }
        let answer = self.ask(request, &conditions).await?;
        let response = match answer.status {
            200 => answer,
            304 => stored.updated_by(&answer),
            _ => return Ok(None),
        };
        self.metrics.external("revalidated");
        self.responses.keep(request, &response, now_ns);
        Ok(Some(response))
    }
}

// === impl Resolver ===

impl Resolver {
    /// Every address of a name.
    async fn look_up(&self, name: String) -> std::io::Result<Vec<SocketAddr>> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(std::io::Error::other)?;
        let found = tokio::task::spawn_blocking(move || {
            // Held until the system is done, whoever still waits for it.
            let _place = place;
            Ok((name.as_str(), 0).to_socket_addrs()?.collect())
        });
        found.await.map_err(std::io::Error::other)?
    }
}
