//! What is read again while the server runs: the file of tokens. Looked at every few seconds and on
//! SIGHUP; on any error what was read before stays in use.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::management::Access;
use crate::telemetry::Metrics;

/// How often files are looked at. Short enough to end a token soon, long enough to cost nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// What can be read again.
pub(super) struct Reloads {
    pub(super) access: Arc<Access>,
}

/// The signal that has files looked at now. From here on it does not end the process.
pub(super) fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Goes on until aborted.
pub(super) async fn run(reloads: Reloads, mut hangup: Signal, metrics: Arc<Metrics>) {
    let reloads = Arc::new(reloads);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Said::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = hangup.recv() => {}
        }
        let reloads = Arc::clone(&reloads);
        let outcome = tokio::task::spawn_blocking(move || reloads.access.reload()).await;
        if let Ok(outcome) = outcome {
            let outcome = outcome.map_err(|error| error.to_string());
            last.tell("tokens", outcome, &metrics);
        }
    }
}

/// The error that was told last: one that stays is told once.
#[derive(Debug, Default)]
struct Said(Option<String>);

impl Said {
    fn tell(&mut self, what: &'static str, outcome: Result<bool, String>, metrics: &Metrics) {
        match outcome {
            Ok(false) => {}
            Ok(true) => {
                metrics.reloaded(what, "success");
                tracing::info!(what, "read again: the new content is in use");
            }
            Err(error) if self.0.as_ref() == Some(&error) => return,
            Err(error) => {
                metrics.reloaded(what, "failure");
                tracing::error!(
                    what,
                    error,
                    "cannot be read again: what was read before stays in use"
                );
                self.0 = Some(error);
                return;
            }
        }
        self.0 = None;
    }
}
