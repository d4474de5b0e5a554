//! Where changes are read and compiled: one at a time, on a thread of low priority, so that the checks
//! of the meantime do not go without a processor.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

use super::{Activation, ActivationError};

/// Policies and documents nest, and what reads them recurses.
const STACK_BYTES: usize = 16 << 20;
/// How far the thread steps back: where checks want a whole core, a tenth of it is left for the change.
const NICENESS: i32 = 10;

/// To read or compile.
#[derive(Debug)]
pub(super) struct Turn(Arc<Semaphore>);

impl Activation {
    /// Runs work that takes a while, after what came before.
    pub(super) async fn in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ActivationError> + Send + 'static,
    ) -> Result<T, ActivationError> {
        self.turn.run(work).await
    }
}

// === impl Turn ===

impl Turn {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Rule: whoever stops waiting, the turn is over when the work is, which nothing can stop.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ActivationError> + Send + 'static,
    ) -> Result<T, ActivationError> {
        let internal = |error: &str| ActivationError::Internal(error.to_owned());
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(|error| internal(&error.to_string()))?;
        let (done, result) = oneshot::channel();
        // Of its own: a thread cannot take back its priority, so that none of a pool will do.
        let thread = std::thread::Builder::new().name("compile".to_owned());
        let thread = thread.stack_size(STACK_BYTES).spawn(move || {
            step_back();
            let result = work();
            drop(turn);
            // Nobody waits for it any more once the server ends.
            drop(done.send(result));
        });
        thread.map_err(|error| internal(&error.to_string()))?;
        let result = result.await;
        result.unwrap_or_else(|_| Err(internal("the thread that compiles has panicked")))
    }
}

/// Frees what takes a while to free. Where there is no thread for it, the caller does.
pub(super) fn free(value: impl Send + 'static) {
    let thread = std::thread::Builder::new().name("free".to_owned());
    drop(thread.spawn(move || drop(value)));
}

/// Lowers the priority of this thread alone, as Linux does it.
fn step_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        // Where a sandbox forbids it, a change costs checks more, and nothing else.
        tracing::debug!(%error, "compiling at the same priority as checks");
    }
}
