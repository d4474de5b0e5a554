//! Places for connections: so many at once, and of them a share for whoever connects, so that nobody
//! alone can take them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::Peer;

/// How often it is told at most that there was no place.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Whom connections are counted by: who has one address of it has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    V4(Ipv4Addr),
    /// The network of 64 bits.
    V6([u16; 4]),
    Unix,
}

/// The places of a port.
#[derive(Debug)]
pub struct Places {
    most: usize,
    share: usize,
    taken: Mutex<Taken>,
}

/// One of them, free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    source: Source,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Full {
    #[error("there are {0} connections")]
    Port(usize),
    #[error("there are {0} connections from where it came")]
    Source(usize),
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_source: HashMap<Source, usize>,
    told: Option<Instant>,
    untold: u64,
}

// === impl Source ===

impl From<Peer> for Source {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Unix => Self::Unix,
            Peer::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(address) => Self::V4(address),
                IpAddr::V6(address) => {
                    let [a, b, c, d, ..] = address.segments();
                    Self::V6([a, b, c, d])
                }
            },
        }
    }
}

// === impl Places ===

impl Places {
    pub fn new(most: usize, share: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            share,
            taken: Mutex::default(),
        })
    }

    pub fn take(self: &Arc<Self>, peer: Peer) -> Result<Place, Full> {
        let source = Source::from(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            return Err(Full::Port(self.most));
        }
        let of_source = taken.by_source.entry(source).or_default();
        if *of_source >= self.share {
            return Err(Full::Source(self.share));
        }
        *of_source += 1;
        taken.all += 1;
        Ok(Place {
            places: Arc::clone(self),
            source,
        })
    }

    /// How many were refused since that was last told, if it is time to tell it.
    pub fn refused(&self, now: Instant) -> Option<u64> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.untold += 1;
        let is_recent = |told| now.saturating_duration_since(told) < TOLD_EVERY;
        if taken.told.is_some_and(is_recent) {
            return None;
        }
        taken.told = Some(now);
        Some(std::mem::take(&mut taken.untold))
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let taken = self.places.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_source) = taken.by_source.get_mut(&self.source) {
            *of_source = of_source.saturating_sub(1);
            if *of_source == 0 {
                taken.by_source.remove(&self.source);
            }
        }
    }
}
