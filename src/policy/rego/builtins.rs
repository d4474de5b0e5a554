//! Built-ins of our own: those whose library form allocates as much as a request asks for, and the
//! clock, which the caller gives. Each is a plain function over values; the table says its purity.

use std::cell::Cell;
use std::net::IpAddr;

use anyhow::{Result, bail};
use ipnet::IpNet;
use regorus::Value;

/// Most elements a built-in makes in one call.
const MAX_ELEMENTS: i64 = 1_000_000;

/// Whether a built-in's value depends on its arguments alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purity {
    Pure,
    /// Time, random numbers, the surroundings.
    Volatile,
}

/// A built-in of ours.
struct Builtin {
    name: &'static str,
    arity: u8,
    function: fn(&[Value]) -> Result<Value>,
}

const OWN: &[Builtin] = &[
    Builtin {
        name: "time.now_ns",
        arity: 0,
        function: now_ns,
    },
    Builtin {
        name: "numbers.range",
        arity: 2,
        function: numbers_range,
    },
    Builtin {
        name: "numbers.range_step",
        arity: 3,
        function: numbers_range_step,
    },
    Builtin {
        name: "net.cidr_expand",
        arity: 1,
        function: cidr_expand,
    },
];

/// Names whose value is not a matter of arguments, ours and the interpreter's.
const VOLATILE: &[&str] = &["time.now_ns", "rand.intn", "uuid.rfc4122", "opa.runtime"];

/// Purity of a known built-in, `None` for a name that is none.
pub(super) fn purity(name: &str) -> Option<Purity> {
    if VOLATILE.contains(&name) {
        return Some(Purity::Volatile);
    }
    let own = OWN.iter().any(|builtin| builtin.name == name);
    let known = own || name == "print" || regorus::unstable::BUILTINS.contains_key(name);
    known.then_some(Purity::Pure)
}

/// Puts our built-ins in front of the interpreter's.
pub(super) fn register(engine: &mut regorus::Engine) -> Result<()> {
    for builtin in OWN {
        let function = builtin.function;
        engine.add_extension(
            builtin.name.to_owned(),
            builtin.arity,
            Box::new(move |arguments: Vec<Value>| function(&arguments)),
        )?;
    }
    Ok(())
}

thread_local! {
    static NOW_NS: Cell<i64> = const { Cell::new(0) };
}

/// The time an evaluation on this thread sees, until it is dropped.
pub(super) struct Clock(());

impl Clock {
    pub(super) fn set(now_ns: i64) -> Self {
        NOW_NS.set(now_ns);
        Self(())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        NOW_NS.set(0);
    }
}

fn now_ns(_: &[Value]) -> Result<Value> {
    Ok(Value::from(NOW_NS.get()))
}

/// Rule: from the first to the last, down if the first is larger.
fn numbers_range(arguments: &[Value]) -> Result<Value> {
    let [from, to] = arguments else {
        return Ok(Value::Undefined);
    };
    range(from, to, 1)
}

/// Rule: as `numbers.range`, by a step greater than zero.
fn numbers_range_step(arguments: &[Value]) -> Result<Value> {
    let [from, to, step] = arguments else {
        return Ok(Value::Undefined);
    };
    match step.as_i64() {
        Ok(step) if step > 0 => range(from, to, step),
        _ => Ok(Value::Undefined),
    }
}

fn range(from: &Value, to: &Value, step: i64) -> Result<Value> {
    let (Ok(from), Ok(to)) = (from.as_i64(), to.as_i64()) else {
        return Ok(Value::Undefined);
    };
    let distance = from.abs_diff(to) / step.unsigned_abs();
    if distance >= MAX_ELEMENTS.unsigned_abs() {
        bail!("a range of more than {MAX_ELEMENTS} numbers is refused");
    }
    let count = i64::try_from(distance).unwrap_or(MAX_ELEMENTS);
    let direction = if from <= to { step } else { -step };
    // A step may overflow on the way; the sum, which lies between both ends, is right all the same.
    let number = |index: i64| from.wrapping_add(index.wrapping_mul(direction));
    let numbers = (0..=count).map(|index| Value::from(number(index)));
    Ok(Value::from(numbers.collect::<Vec<_>>()))
}

/// Rule: the set of all addresses of a block, as strings.
fn cidr_expand(arguments: &[Value]) -> Result<Value> {
    let Some(Ok(text)) = arguments.first().map(Value::as_string) else {
        return Ok(Value::Undefined);
    };
    let Ok(block) = text.parse::<IpNet>() else {
        return Ok(Value::Undefined);
    };
    let bits = u32::from(block.max_prefix_len() - block.prefix_len());
    if bits >= MAX_ELEMENTS.ilog2() {
        bail!("expanding `{text}` to 2^{bits} addresses is refused");
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
    Ok(Value::from(
        addresses.collect::<std::collections::BTreeSet<_>>(),
    ))
}
