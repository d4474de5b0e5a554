//! From a check's message to its reply, with everything that can go wrong in between. How messages
//! come and replies go is left to `connection`.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::timeout;
use tonic::Status;

use crate::attributes::{Attributes, ProtocolVersion};
use crate::ext_authz::{Replies, legacy, request, response, written};
use crate::external::Outside;
use crate::pdp::{Answer, Effort, Pdp};
use crate::telemetry::{Arrival, Metrics, unix_nanos};
use crate::traces::{Carriers, TraceContext};

/// Answers checks.
#[derive(Debug)]
pub(super) struct Checks {
    pub pdp: Arc<Pdp>,
    pub outside: Arc<Outside>,
    pub metrics: Arc<Metrics>,
    /// A larger message is denied.
    pub max_message_bytes: usize,
    /// A check that has waited so long for its turn is denied without looking.
    pub deadline: Duration,
    pub replies: Replies,
}

/// What becomes of a check: a reply with its prefix, or a gRPC error.
pub(super) type Reply = Result<Bytes, Status>;

/// A check that takes longer than a thread which reads others should be held up.
#[derive(Debug)]
pub(super) enum Longer {
    Undecided(Undecided),
    /// Decided, and its record waits for room in the decision log.
    Unrecorded(Answer, ProtocolVersion, Instant),
}

/// A check that is still to be decided.
#[derive(Debug)]
pub(super) struct Undecided {
    pub attributes: Box<Attributes>,
    pub needs: Effort,
    pub version: ProtocolVersion,
    /// The trace that it is for.
    pub caller: TraceContext,
    /// Nanoseconds since 1970.
    pub now_ns: i64,
    pub started: Instant,
}

impl Checks {
    /// From a message's bytes to the reply. Whatever is wrong with a request denies it, a panic of
    /// our own included: a connection that breaks off is an error to a proxy.
    pub(super) fn check(
        &self,
        message: Bytes,
        version: ProtocolVersion,
        caller: TraceContext,
    ) -> Result<Reply, Longer> {
        let begin = || self.begin(message, version, caller);
        catch_unwind(AssertUnwindSafe(begin)).unwrap_or_else(|_| {
            self.metrics.panics.inc();
            Ok(failed())
        })
    }

    /// The trace that a call with these headers is for, if anybody wants to know.
    pub(super) fn caller(&self, headers: &HeaderMap) -> TraceContext {
        if !self.pdp.is_tracing() {
            return TraceContext::default();
        }
        let lines = headers.iter();
        Carriers::of(lines.map(|(name, value)| (name.as_str(), value.as_bytes()))).context()
    }

    fn begin(
        &self,
        message: Bytes,
        version: ProtocolVersion,
        caller: TraceContext,
    ) -> Result<Reply, Longer> {
        let started = Instant::now();
        let now_ns = unix_nanos();
        let arrival = Arrival::measured(now_ns, started).called_for(caller);
        let answer = match self.read(message, version) {
            Ok(attributes) => {
                let decided = self.pdp.check_within(Effort::Little, &attributes, arrival);
                decided.map_err(|needs| {
                    Longer::Undecided(Undecided {
                        attributes,
                        needs,
                        version,
                        caller,
                        now_ns,
                        started,
                    })
                })?
            }
            Err(why) => self.pdp.refuse(why, arrival),
        };
        match answer.pending {
            Some(_) => Err(Longer::Unrecorded(answer, version, started)),
            None => Ok(self.reply(&answer, version, started)),
        }
    }

    /// What is asked, or why that cannot be told.
    fn read(&self, message: Bytes, version: ProtocolVersion) -> Result<Box<Attributes>, String> {
        if message.len() > self.max_message_bytes {
            return Err(format!(
                "the check is larger than {} bytes",
                self.max_message_bytes
            ));
        }
        let decoded = match version {
            ProtocolVersion::V3 => request::decode(&message),
            ProtocolVersion::V2 => legacy::decode(message),
        };
        decoded.map_err(|error| {
            self.metrics.undecodable.inc();
            format!("the check cannot be decoded: {error}")
        })
    }

    /// Finishes a check that may take long, or may have to wait. A panic denies it here too, wherever
    /// it comes from: that no thread can be had is one.
    pub(super) async fn finish(&self, longer: Longer) -> Reply {
        let mut answering = std::pin::pin!(self.answer(longer));
        std::future::poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context)));
            polled.unwrap_or_else(|_| {
                self.metrics.panics.inc();
                Poll::Ready(failed())
            })
        })
        .await
    }

    async fn answer(&self, longer: Longer) -> Reply {
        let (mut answer, version, started) = match longer {
            Longer::Unrecorded(answer, version, started) => (answer, version, started),
            Longer::Undecided(check) => {
                let (version, started) = (check.version, check.started);
                (self.decide(check).await, version, started)
            }
        };
        if let Some(pending) = answer.pending.take() {
            // Rule: a record that finds no room in the check's time is counted as lost.
            let left = self.deadline.saturating_sub(started.elapsed());
            drop(timeout(left, pending.settle()).await);
        }
        self.reply(&answer, version, started)
    }

    async fn decide(&self, check: Undecided) -> Answer {
        let Undecided {
            attributes,
            needs,
            caller,
            now_ns,
            started,
            ..
        } = check;
        let arrival = Arrival::measured(now_ns, started).called_for(caller);
        if started.elapsed() >= self.deadline {
            let why = "the check's time was up before its turn came".to_owned();
            return self.pdp.crowded_out(&attributes, why, arrival);
        }
        let decided = match needs {
            Effort::Wait => Err(needs),
            needs => self.pdp.check_within(needs, &attributes, arrival.clone()),
        };
        // Policy may have become another since, so that it takes more now.
        match decided {
            Ok(answer) => answer,
            Err(_) => self.wait(attributes, arrival).await,
        }
    }

    /// Has a check run where it may wait for what policies ask of others.
    async fn wait(&self, attributes: Box<Attributes>, arrival: Arrival) -> Answer {
        match self.outside.place() {
            Ok(place) => {
                let pdp = Arc::clone(&self.pdp);
                let now_ns = arrival.now_ns;
                let answer = place.run(move || pdp.check(*attributes, arrival)).await;
                answer.unwrap_or_else(|| self.pdp.failed(&Attributes::default(), now_ns))
            }
            Err(crowded) => self
                .pdp
                .crowded_out(&attributes, crowded.to_string(), arrival),
        }
    }

    /// Denies a check that there is no room to read.
    pub(super) fn crowd_out(&self, version: ProtocolVersion) -> Reply {
        let why = "the connection holds too many unfinished messages".to_owned();
        let nothing = Attributes::default();
        let answer = self.pdp.crowded_out(&nothing, why, unix_nanos());
        self.reply(&answer, version, Instant::now())
    }

    fn reply(&self, answer: &Answer, version: ProtocolVersion, started: Instant) -> Reply {
        let reply = written::reply(answer, self.replies, version);
        let error = || response::error_of(&answer.decision.reason);
        self.metrics.check_took(started.elapsed(), error);
        reply
    }
}

/// The reply when deciding or replying failed by a fault of ours.
fn failed() -> Reply {
    Ok(written::framed(&response::failed()))
}
