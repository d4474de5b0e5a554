//! Looks names up for clients that fetch in the background, and leaves out what is refused.

use reqwest::dns::{Name, Resolve, Resolving};
use std::net::ToSocketAddrs as _;
use tokio::sync::Semaphore;

use super::{Home, Rules};

/// Threads of the runtime on which names are looked up: the system's resolver takes one each.
pub const BLOCKING_THREADS: usize = 16;
/// Shared by all clients.
static PLACES: Semaphore = Semaphore::const_new(BLOCKING_THREADS);

/// Resolves names as the system does, and leaves out what is refused. What it returns is what is
/// connected to: the name is not resolved a second time.
#[derive(Debug, Clone, Default)]
pub struct CheckedResolver {
    home: Home,
}

impl CheckedResolver {
    /// For clients that may reach this of the machine.
    #[must_use]
    pub fn at(home: Home) -> Self {
        Self { home }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let home = self.home;
        Box::pin(async move {
            let place = PLACES.acquire().await?;
            let found = tokio::task::spawn_blocking(move || {
                // Held until the system is done, whoever still waits for it.
                let _place = place;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok::<_, std::io::Error>(found.collect::<Vec<_>>())
            });
            let found = found.await??.into_iter();
            let allowed = home.filter(Rules::default().filter(found)?)?;
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
