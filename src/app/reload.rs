//! What is read again while the server runs: certificates, the file of tokens, and policy. Looked at
//! every few seconds and on SIGHUP; on any error what was read before stays in use.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::activation::Activation;
use crate::management::{Access, Ends};
use crate::telemetry::Metrics;
use crate::tls::Tls;

/// How often certificates and tokens are looked at. Short enough to end a token soon, long enough to
/// cost nothing.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// Most tokens that are named in one line of the log.
const MAX_NAMED: usize = 10;

/// When to look: every so often, and on SIGHUP.
pub(super) struct Looks {
    ticks: Option<Interval>,
    hangup: Signal,
}

impl Looks {
    /// Without an interval only on SIGHUP, which from here on does not end the process.
    pub(super) fn new(every: Option<Duration>) -> io::Result<Self> {
        let ticks = every.map(|every| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { ticks, hangup })
    }

    /// Waits for the next one and tells whether it is on SIGHUP. The one after that is a whole interval
    /// away: files may be half replaced at this one.
    async fn next(&mut self) -> bool {
        let tick = async {
            match &mut self.ticks {
                Some(ticks) => drop(ticks.tick().await),
                None => pending().await,
            }
        };
        let is_told = tokio::select! {
            () = tick => false,
            _ = self.hangup.recv() => true,
        };
        if let Some(ticks) = self.ticks.as_mut().filter(|_| is_told) {
            ticks.reset();
        }
        is_told
    }
}

/// What can be read again.
pub(super) struct Reloads {
    pub(super) access: Arc<Access>,
    pub(super) ext_authz: Option<Arc<Tls>>,
    pub(super) management: Option<Arc<Tls>>,
}

/// Whether something else is in use now, or why it cannot be.
type Outcome = Result<bool, String>;

/// Has certificates and tokens looked at, until aborted.
pub(super) async fn run(reloads: Reloads, mut looks: Looks, metrics: Arc<Metrics>) {
    let reloads = Arc::new(reloads);
    let mut ends = Ends::default();
    reloads.tell_ends(&mut ends, &metrics);
    let mut reports =
        ["management.tokens_file", "ext_authz.tls", "management.tls"].map(Report::new);
    loop {
        looks.next().await;
        let reading = Arc::clone(&reloads);
        let read = tokio::task::spawn_blocking(move || reading.read()).await;
        for (report, outcome) in reports.iter_mut().zip(read.into_iter().flatten()) {
            report.tell(outcome, &metrics);
        }
        reloads.tell_ends(&mut ends, &metrics);
    }
}

/// Has policy of files looked at, until aborted.
pub(super) async fn watch_policy(activation: Arc<Activation>, mut looks: Looks) {
    loop {
        let at_once = looks.next().await;
        activation.look_at_files(at_once).await;
    }
}

impl Reloads {
    fn read(&self) -> [Outcome; 3] {
        let tls = |tls: &Option<Arc<Tls>>| {
            let reload = |tls: &Arc<Tls>| tls.reload().map_err(|error| error.to_string());
            tls.as_ref().map_or(Ok(false), reload)
        };
        let tokens = self.access.reload().map_err(|error| error.to_string());
        [tokens, tls(&self.ext_authz), tls(&self.management)]
    }

    /// Tells when certificates and tokens end, of tokens what is not told yet.
    fn tell_ends(&self, told: &mut Ends, metrics: &Metrics) {
        for (port, tls) in [
            ("ext_authz", &self.ext_authz),
            ("management", &self.management),
        ] {
            if let Some(tls) = tls {
                metrics.certificate_expires(port, tls.expires());
            }
        }
        let ends = self.access.ends(Timestamp::now());
        if ends.next != told.next {
            let next = ends.next.as_ref();
            metrics.token_expires(next.map(|(name, end)| (name.as_str(), end.as_second())));
        }
        if ends.never != told.never && !ends.never.is_empty() {
            let named: Vec<_> = ends.never.iter().take(MAX_NAMED).cloned().collect();
            tracing::warn!(
                tokens = named.join(", "),
                count = ends.never.len(),
                "tokens of the management API have no `expires`: one that gets lost is good for ever"
            );
        }
        *told = ends;
    }
}

/// Tells what became of one of them. An error counts once it is seen twice in a row: files are
/// replaced one after the other, and half of them is no error yet. One that stays is told once.
struct Report {
    what: &'static str,
    error: Option<String>,
    is_told: bool,
}

impl Report {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            error: None,
            is_told: false,
        }
    }

    fn tell(&mut self, outcome: Outcome, metrics: &Metrics) {
        let what = self.what;
        let error = match outcome {
            Ok(is_new) => {
                if is_new {
                    metrics.reloaded(what, "success");
                    tracing::info!(what, "was read again and is in use");
                }
                *self = Self::new(what);
                return;
            }
            Err(error) => error,
        };
        if self.error.as_ref() != Some(&error) {
            self.is_told = false;
        } else if !self.is_told {
            metrics.reloaded(what, "failure");
            tracing::error!(
                what,
                error,
                "cannot be read again: what was read before stays in use"
            );
            self.is_told = true;
        }
        self.error = Some(error);
    }
}
