//! How connections come to their end: each is told to take nothing new, finishes what runs, and is cut
//! off if that takes too long.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;

/// The connections of a port.
#[derive(Debug)]
pub struct Connections(watch::Sender<bool>);

/// What one of them is told by. While it is there, so is the connection.
#[derive(Debug)]
pub struct Draining(watch::Receiver<bool>);

impl Default for Connections {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Connections {
    pub fn begin(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Has all of them end and waits for that, for `grace` at most. Tells whether all did.
    pub async fn end(self, grace: Duration) -> bool {
        self.0.send_replace(true);
        tokio::time::timeout(grace, self.0.closed()).await.is_ok()
    }
}

impl Draining {
    /// Ends when the port is to be closed.
    pub async fn told(&mut self) {
        drop(self.0.wait_for(|told| *told).await);
    }
}

/// Serves a connection to its end. From `drain` on it takes nothing new, and what is running then has
/// `grace`.
pub async fn drive<C: GracefulConnection>(
    connection: C,
    drain: impl Future<Output = ()>,
    grace: Duration,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = drain => connection.as_mut().graceful_shutdown(),
    }
    tokio::time::timeout(grace, connection)
        .await
        .unwrap_or(Ok(()))
}
