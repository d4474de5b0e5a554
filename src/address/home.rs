//! What of this machine is not asked: ports of this process at any of its addresses, and loopback where
//! a server of elsewhere sends on to it. Other addresses are `Rules`' to refuse.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;
use url::{Host, Url};

/// An address of this machine that is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("address {0} is this machine's, which may not be asked there")]
pub struct AtHome(pub IpAddr);

/// Which addresses of this machine a request may go to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Home {
    #[default]
    Open,
    NoLoopback,
    Closed,
}

/// Ports at which this process listens, as they become known. All copies are one.
#[derive(Debug, Clone, Default)]
pub struct OwnPorts(Arc<RwLock<Vec<u16>>>);

// === impl OwnPorts ===

impl OwnPorts {
    /// From now on it listens there, or will.
    pub fn add(&self, ports: impl IntoIterator<Item = u16>) {
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        own.extend(ports);
    }

    /// What a request to a URL may reach of this machine. Rule: the management API takes whoever comes
    /// from this machine for its operator, which those who write policy are not, and still less those who
    /// answer what it asks. `is_from_elsewhere`: a server of another machine sent the request there.
    pub fn home(&self, url: &Url, is_from_elsewhere: bool) -> Home {
        let own = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let port = url.port_or_known_default();
        match port.is_some_and(|port| own.contains(&port)) {
            true => Home::Closed,
            false if is_from_elsewhere => Home::NoLoopback,
            false => Home::Open,
        }
    }
}

/// Whether a server sends on as one of another machine: away from itself, and it is not loopback.
pub fn sends_from_elsewhere(from: &Url, to: &Url) -> bool {
    from.origin() != to.origin() && !names_loopback(from)
}

// === impl Home ===

impl Home {
    pub fn check(self, address: IpAddr) -> Result<(), AtHome> {
        let address = address.to_canonical();
        let is_loopback = address.is_loopback() || address.is_unspecified();
        let is_refused = match self {
            Self::Open => false,
            Self::NoLoopback => is_loopback,
            Self::Closed => is_loopback || is_here(address),
        };
        if is_refused {
            return Err(AtHome(address));
        }
        Ok(())
    }

    /// Checks a host that is an address and so is never resolved.
    pub fn check_host(self, url: &Url) -> Result<(), AtHome> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// The addresses that may be asked, or the first that may not if there is no other.
    pub fn filter(self, mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AtHome> {
        let first = found.iter().find_map(|found| self.check(found.ip()).err());
        found.retain(|found| self.check(found.ip()).is_ok());
        match first {
            Some(refused) if found.is_empty() => Err(refused),
            _ => Ok(found),
        }
    }
}

/// Whether a URL says by itself that it leads to this machine.
pub fn names_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Only addresses of this machine can be bound to.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
