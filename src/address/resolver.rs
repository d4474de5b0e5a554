//! Looks names up for clients that fetch in the background, and leaves out what is refused.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use reqwest::dns::{Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::{Home, Rules};

/// Most names that are looked up at once: the system's resolver takes a thread each, of those that checks
/// may wait on.
const MAX_LOOK_UPS: usize = 16;

/// Resolves names as the system does, and leaves out what is refused. What it returns is what is
/// connected to: the name is not resolved a second time.
#[derive(Debug, Clone)]
pub struct CheckedResolver {
    home: Home,
    places: Arc<Semaphore>,
}

impl Default for CheckedResolver {
    fn default() -> Self {
        Self {
            home: Home::default(),
            places: Arc::new(Semaphore::new(MAX_LOOK_UPS)),
        }
    }
}

impl CheckedResolver {
    /// The same for clients that may reach this of the machine. All of them share their places.
    #[must_use]
    pub fn at(&self, home: Home) -> Self {
        Self {
            home,
            places: Arc::clone(&self.places),
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { home, places } = self.clone();
        Box::pin(async move {
            let place = places.acquire_owned().await?;
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
