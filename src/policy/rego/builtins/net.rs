//! `net.*`: address blocks. What asks a name server is not here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use regorus::Value;

use super::{Answer, Builtin, Failure, text};

/// Blocks of more bits than these are not expanded.
const MAX_EXPANDED_BITS: u32 = 18;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("net.cidr_expand", 1, cidr_expand)];

/// Rule: the set of all addresses of a block, as strings.
fn cidr_expand(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    let block = text
        .parse::<IpNet>()
        .map_err(|_| Failure::Failed("not an address block"))?;
    let bits = u32::from(block.max_prefix_len() - block.prefix_len());
    if bits > MAX_EXPANDED_BITS {
        return Err(Failure::Limit(format!(
            "expanding `{text}` to 2^{bits} addresses is refused"
        )));
    }
    let first = match block.network() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    let is_v4 = matches!(block, IpNet::V4(_));
    let addresses = (0..1u128 << bits).map(|offset| {
        let number = first + offset;
        let address = match u32::try_from(number) {
            Ok(number) if is_v4 => IpAddr::from(number.to_be_bytes()),
            _ => IpAddr::from(number.to_be_bytes()),
        };
        Value::from(address.to_string())
    });
    Ok(Value::from(addresses.collect::<BTreeSet<_>>()))
}
