//! What of this machine is not asked: ports of this process at any of its addresses, and loopback where
//! a server of elsewhere sends on to it. Other addresses are `address`'s to refuse.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr, UdpSocket};

use thiserror::Error;
use url::{Host, Url};

/// An address of this machine that is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("address {0} is this machine's, which may not be asked there")]
pub(super) struct AtHome(IpAddr);

/// Which addresses of this machine a request may go to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Home {
    #[default]
    Open,
    NoLoopback,
    Closed,
}

// === impl Home ===

impl Home {
    pub(super) fn check(self, address: IpAddr) -> Result<(), AtHome> {
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
    pub(super) fn check_host(self, url: &Url) -> Result<(), AtHome> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// The addresses that may be asked, or the first that may not if there is no other.
    pub(super) fn filter(self, mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AtHome> {
        let first = found.iter().find_map(|found| self.check(found.ip()).err());
        found.retain(|found| self.check(found.ip()).is_ok());
        match first {
            Some(refused) if found.is_empty() => Err(refused),
            _ => Ok(found),
        }
    }
}

/// Whether a URL says by itself that it leads to this machine.
pub(super) fn names_loopback(url: &Url) -> bool {
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
