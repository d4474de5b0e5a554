//! What is read again while the server runs: certificates, the file of tokens, and policy. Looked at
//! every few seconds and on SIGHUP; on any error what was read before stays in use.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::activation::Activation;
use crate::config::WatchConfig;
use crate::management::Access;
use crate::telemetry::Metrics;
use crate::tls::Tls;

/// How often files are looked at. Short enough to end a token soon, long enough to cost nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// What can be read again.
pub(super) struct Reloads {
    pub(super) access: Arc<Access>,
    pub(super) ext_authz: Option<Arc<Tls>>,
    pub(super) management: Option<Arc<Tls>>,
}

/// Whether something else is in use now, or why it cannot be.
type Outcome = Result<bool, String>;

/// The signal that has files looked at now. From here on it does not end the process.
pub(super) fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Goes on until aborted.
pub(super) async fn run(reloads: Reloads, mut hangup: Signal, metrics: Arc<Metrics>) {
    let reloads = Arc::new(reloads);
    reloads.tell_expiry(&metrics);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reports =
        ["management.tokens_file", "ext_authz.tls", "management.tls"].map(Report::new);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // The next look is a whole interval away: files may be half replaced at this one.
            _ = hangup.recv() => ticks.reset(),
        }
        let reading = Arc::clone(&reloads);
        let read = tokio::task::spawn_blocking(move || reading.read()).await;
        for (report, outcome) in reports.iter_mut().zip(read.into_iter().flatten()) {
            report.tell(outcome, &metrics);
        }
        reloads.tell_expiry(&metrics);
    }
}

/// Has policy of files looked at, until aborted.
pub(super) async fn watch_policy(
    activation: Arc<Activation>,
    config: WatchConfig,
    mut hangup: Signal,
) {
    let mut ticks = tokio::time::interval(config.interval.0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let at_once = tokio::select! {
            _ = ticks.tick(), if config.enabled => false,
            _ = hangup.recv() => true,
        };
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

    fn tell_expiry(&self, metrics: &Metrics) {
        for (port, tls) in [
            ("ext_authz", &self.ext_authz),
            ("management", &self.management),
        ] {
            if let Some(tls) = tls {
                metrics.certificate_expires(port, tls.expires());
            }
        }
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
