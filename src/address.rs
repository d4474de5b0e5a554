//! Which addresses are never asked, by whoever fetches something: policy may come from people who may
//! not reach what this process can, and where clouds hand out credentials must not become reachable
//! through a URL of theirs. Rules hold for the address that is connected to, after names are resolved.

mod home;
mod resolver;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

pub use home::{AtHome, Home, OwnPorts, names_loopback, sends_from_elsewhere};
pub use resolver::{BLOCKING_THREADS, CheckedResolver};

/// An address that is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("address {0} is link-local, a cloud's metadata service or nobody's")]
pub struct RefusedAddress(pub IpAddr);

/// A block of addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Block(IpNet);

/// What may be asked besides what always may and never may.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// May be asked, whatever else is said.
    pub allowed: Vec<Block>,
    /// May not be asked, besides those that never may.
    pub refused: Vec<Block>,
}

/// Metadata services outside of the link-local range: Alibaba's, Oracle's older, Azure's.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Where clouds hand out credentials to what runs on their machines: Amazon's, Google's and Azure's metadata
/// services, and Amazon's for containers and pods.
const CREDENTIALS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
];
/// Beginnings of IPv6 addresses that hold them: Amazon's `fd00:ec2::/32`, Google's `fd20:ce::/32`.
const METADATA_V6: [[u16; 2]; 2] = [[0xfd00, 0x0ec2], [0xfd20, 0x00ce]];

/// Rule: link-local and metadata addresses are refused, also where an IPv6 address only wraps them,
/// and so is what is no single host's. Loopback and private ones are where clusters live.
fn is_never_asked(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_refused_v4(address),
        IpAddr::V6(address) => is_refused_v6(address),
    }
}

fn is_refused_v4(address: Ipv4Addr) -> bool {
    address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_unspecified()
        || METADATA_V4.contains(&address)
}

fn is_refused_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    address.is_unicast_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || METADATA_V6.contains(&[first, second])
        || wrapped(address).is_some_and(is_refused_v4)
}

/// The IPv4 address that packets to this one end up at.
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        // Mapped (RFC 4291 section 2.5.5.2), compatible (2.5.5.1), translated (RFC 7915). The second
        // holds `::1` as well, which is no link-local address in any reading.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(join(high, low)).filter(|address| address.to_bits() > 1)
        }
        // NAT64 (RFC 6052), with the prefix for local use (RFC 8215); 6to4 (RFC 3056).
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] | [0x2002, high, low, ..] => {
            Some(join(high, low))
        }
        _ => None,
    }
}

// === impl Rules ===

impl Rules {
    /// For a request whose answer nobody but this process sees: the machine's own credentials may be asked
    /// for.
    pub fn for_credentials() -> Self {
        let blocks = CREDENTIALS.map(|address| Block(IpNet::from(IpAddr::from(address))));
        Self {
            allowed: blocks.to_vec(),
            refused: Vec::new(),
        }
    }

    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let address = address.to_canonical();
        let inner = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(outer) => wrapped(outer).map(IpAddr::V4),
        };
        let among = |blocks: &[Block], address: &IpAddr| {
            let mut blocks = blocks.iter();
            blocks.any(|block| block.0.contains(address))
        };
        if among(&self.allowed, &address) {
            return Ok(());
        }
        let mut ends = [Some(address), inner].into_iter().flatten();
        if is_never_asked(address) || ends.any(|end| among(&self.refused, &end)) {
            return Err(RefusedAddress(address));
        }
        Ok(())
    }

    /// Checks a host that is an address and so is never resolved.
    pub fn check_host(&self, url: &Url) -> Result<(), RefusedAddress> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// The addresses that may be asked, or the first that may not if there is no other.
    pub fn filter(
        &self,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, RefusedAddress> {
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if allowed.is_empty() => Err(error),
            _ => Ok(allowed),
        }
    }
}

// === impl Block ===

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let block = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>(),
        };
        block
            .map(|block| Self(block.trunc()))
            .map_err(|_| format!("`{text}` is no block of addresses such as `10.0.0.0/8`"))
    }
}

impl From<Block> for String {
    fn from(block: Block) -> Self {
        block.0.to_string()
    }
}
