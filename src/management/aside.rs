//! Work on answers that takes a while, such as writing or compressing a long one: done aside from the
//! threads on which proxies are served, a little of it at once.

use tokio::sync::Semaphore;

use super::error::{ApiError, internal};

/// Most of it at once; what is more waits.
pub(super) const MAX_RUNNING: usize = 4;
static PLACES: Semaphore = Semaphore::const_new(MAX_RUNNING);

pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let place = PLACES.acquire().await;
    let place = place.map_err(|error| internal(error.to_string()))?;
    let task = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    task.await.map_err(|error| internal(error.to_string()))
}
