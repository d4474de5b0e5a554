//! `net.*`: address blocks. What asks a name server is not here.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use regorus::Value;

use super::{Answer, Builtin, Failure, any, text};

/// Blocks of more bits than these are not expanded.
const MAX_EXPANDED_BITS: u32 = 18;
/// Most blocks that are merged.
const MAX_MERGED: usize = 100_000;
/// Most pairs of a block and an address that are compared in one call.
const MAX_PAIRS: usize = 1_000_000;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("net.cidr_contains", 2, cidr_contains),
    Builtin::pure("net.cidr_contains_matches", 2, cidr_contains_matches),
    Builtin::pure("net.cidr_expand", 1, cidr_expand),
    Builtin::pure("net.cidr_intersects", 2, cidr_intersects),
    Builtin::pure("net.cidr_is_valid", 1, cidr_is_valid),
    Builtin::pure("net.cidr_merge", 1, cidr_merge),
    // The old name of `net.cidr_contains`.
    Builtin::pure("net.cidr_overlap", 2, cidr_contains),
];

/// Rule: address and length in decimal; a number with a leading zero is none.
fn block(text: &str) -> Result<IpNet, Failure> {
    let parse = || {
        let (address, length) = text.split_once('/')?;
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let length = is_number.then(|| length.parse().ok())??;
        let block = IpNet::new(address.parse().ok()?, length).ok()?;
        Some(unmapped(block.trunc()))
    };
    parse().ok_or(Failure::Failed("not an address block"))
}

/// Rule: IPv4 within IPv6 (`::ffff:10.0.0.1`) is IPv4.
fn unmapped(block: IpNet) -> IpNet {
    let IpNet::V6(six) = block else {
        return block;
    };
    let length = six.prefix_len().checked_sub(96);
    let four = six.network().to_ipv4_mapped().zip(length);
    let four = four.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    four.unwrap_or(block)
}

/// A block, or an address as the block of itself alone.
fn block_or_address(text: &str) -> Result<IpNet, Failure> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(unmapped(IpNet::from(address))),
        Err(_) => block(text),
    }
}

/// Rule: whether a block holds an address, or the whole of another block.
fn cidr_contains(arguments: &[Value]) -> Answer {
    let (outer, inner) = (
        block(text(arguments, 0)?)?,
        block_or_address(text(arguments, 1)?)?,
    );
    Ok(Value::from(outer.contains(&inner)))
}

/// Rule: whether two blocks have an address in common.
fn cidr_intersects(arguments: &[Value]) -> Answer {
    let (one, other) = (block(text(arguments, 0)?)?, block(text(arguments, 1)?)?);
    Ok(Value::from(one.contains(&other) || other.contains(&one)))
}

/// Rule: anything but a block is not valid, whatever its type.
fn cidr_is_valid(arguments: &[Value]) -> Answer {
    Ok(Value::from(text(arguments, 0).and_then(block).is_ok()))
}

/// Rule: the set of pairs of a block's key and an address's key where the block holds the address.
fn cidr_contains_matches(arguments: &[Value]) -> Answer {
    let (blocks, inner) = (keyed(any(arguments, 0)?)?, keyed(any(arguments, 1)?)?);
    if blocks.len().saturating_mul(inner.len()) > MAX_PAIRS {
        return Err(Failure::Limit(format!(
            "comparing more than {MAX_PAIRS} pairs of address blocks is refused"
        )));
    }
    let mut inner_blocks = Vec::with_capacity(inner.len());
    for (key, text) in inner {
        inner_blocks.push((key, block_or_address(text)?));
    }
    let mut matches = BTreeSet::new();
    for (outer_key, text) in blocks {
        let outer = block(text)?;
        for (key, inner) in &inner_blocks {
            if outer.contains(inner) {
                matches.insert(Value::from(vec![outer_key.clone(), key.clone()]));
            }
        }
    }
    Ok(Value::from(matches))
}

/// The texts of an argument with what they are called by: index, key, or the element itself.
fn keyed(value: &Value) -> Result<Vec<(Value, &str)>, Failure> {
    match value {
        Value::String(text) => Ok(vec![(value.clone(), text.as_ref())]),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| Ok((Value::from(index), element(item)?)))
                .collect()
        }
        Value::Set(items) => items
            .iter()
            .map(|item| Ok((item.clone(), element(item)?)))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, item)| Ok((key.clone(), element(item)?)))
            .collect(),
        _ => Err(Failure::Failed("not a collection of address blocks")),
    }
}

/// Rule: an element is a string, or an array that begins with one.
fn element(value: &Value) -> Result<&str, Failure> {
    let value = match value {
        Value::Array(items) => items.iter().next(),
        value => Some(value),
    };
    match value {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Failure::Failed("element must be string or non-empty array")),
    }
}

/// Rule: the smallest set of blocks that holds the same addresses. An IPv4 address without a length
/// stands for the block of its class, as it does for OPA.
fn cidr_merge(arguments: &[Value]) -> Answer {
    let texts = match any(arguments, 0)? {
        Value::Array(items) => items.iter().map(text_of).collect::<Result<Vec<_>, _>>(),
        Value::Set(items) => items.iter().map(text_of).collect(),
        _ => Err(Failure::Failed("not an array or set of address blocks")),
    }?;
    if texts.len() > MAX_MERGED {
        return Err(Failure::Limit(format!(
            "merging more than {MAX_MERGED} address blocks is refused"
        )));
    }
    let mut blocks = Vec::with_capacity(texts.len());
    for text in texts {
        blocks.push(match text.parse::<IpAddr>() {
            Ok(address) => block(&format!("{address}/{}", class_length(address)?))?,
            Err(_) => block(text)?,
        });
    }
    // In the order of addresses, larger blocks first.
    blocks.sort_by(|one, other| match one.network().cmp(&other.network()) {
        Ordering::Equal => one.prefix_len().cmp(&other.prefix_len()),
        order => order,
    });
    let mut merged: Vec<IpNet> = Vec::with_capacity(blocks.len());
    for block in blocks {
        if merged.last().is_some_and(|last| last.contains(&block)) {
            continue;
        }
        merged.push(block);
        join_last(&mut merged);
    }
    let merged = merged.iter().map(|block| Value::from(block.to_string()));
    Ok(Value::from(merged.collect::<BTreeSet<_>>()))
}

/// Joins the last blocks as long as they are the halves of a larger one.
fn join_last(merged: &mut Vec<IpNet>) {
    while let [.., one, other] = merged.as_slice() {
        let whole = match (one.supernet(), other.supernet()) {
            (Some(whole), Some(same)) if whole == same && one != other => whole,
            _ => return,
        };
        merged.truncate(merged.len() - 2);
        merged.push(whole);
    }
}

fn text_of(value: &Value) -> Result<&str, Failure> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Failure::Failed("not a string")),
    }
}

/// Length of the network part by the class of an address (RFC 791 section 2.3).
fn class_length(address: IpAddr) -> Result<u8, Failure> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [0..=127, ..] => Ok(8),
            [128..=191, ..] => Ok(16),
            [192..=223, ..] => Ok(24),
            _ => Err(Failure::Failed("an address without a class")),
        },
        IpAddr::V6(_) => Err(Failure::Failed("IPv6 invalid: needs prefix length")),
    }
}

/// Rule: the set of all addresses of a block, as strings.
fn cidr_expand(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    let block = block(text)?;
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
