//! `units.*`: amounts with a unit, told to be numbers by Go's arithmetic.

use regorus::Value;

use super::{Answer, Builtin, Failure, text};

/// Longest text of an amount, in bytes.
const MAX_TEXT: usize = 1_024;
/// Largest exponent of an amount, either way.
const MAX_EXPONENT: u32 = 400;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("units.parse", 1, parse),
    Builtin::pure("units.parse_bytes", 1, parse_bytes),
];

/// A unit: a number times 1024 or 1000 so often, or a thousandth.
#[derive(Clone, Copy)]
enum Unit {
    Binary(u32),
    Decimal(i32),
}

const STEPS: &str = "kmgtpe";

/// Rule: what is behind the first letter has no case; only `m` and `M` differ, and there is no `Mi`
/// for a thousandth.
fn parse(arguments: &[Value]) -> Answer {
    let text = amount_text(arguments)?;
    let (number, unit) = split(&text)?;
    let unit = match unit {
        "" => Unit::Decimal(0),
        "m" => Unit::Decimal(-3),
        unit => known(unit, "").ok_or(Failure::Failed("unit not recognized"))?,
    };
    let number = amount(number, unit)?;
    match number.as_f64() {
        // Rule: ten digits behind the point.
        Ok(double) if !is_integer(&number) => numeric(&format!("{double:.10}")),
        _ => Ok(number),
    }
}

/// Rule: no case at all, a `b` may follow, and parts of a byte are none.
fn parse_bytes(arguments: &[Value]) -> Answer {
    let text = amount_text(arguments)?.to_lowercase();
    let (number, unit) = split(&text)?;
    let unit = match unit {
        "" => Unit::Decimal(0),
        unit => known(unit, "b").ok_or(Failure::Failed("byte unit not recognized"))?,
    };
    let number = amount(number, unit)?;
    match number.as_f64() {
        Ok(double) if !is_integer(&number) => numeric(&format!("{:.0}", double.trunc())),
        _ => Ok(number),
    }
}

fn is_integer(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.is_integer())
}

/// Rule: quotes are not seen, spaces refused.
fn amount_text(arguments: &[Value]) -> Result<String, Failure> {
    let text = text(arguments, 0)?;
    if text.len() > MAX_TEXT {
        return Err(Failure::Limit(
            "a number of this size is refused".to_owned(),
        ));
    }
    if text.contains(' ') {
        return Err(Failure::Failed("spaces not allowed in resource strings"));
    }
    Ok(text.replace('"', ""))
}

/// Rule: the unit begins with the first character that is in no number, or with an `e` that begins
/// no exponent.
fn split(text: &str) -> Result<(&str, &str), Failure> {
    let mut characters = text.char_indices().peekable();
    let mut end = text.len();
    while let Some((at, character)) = characters.next() {
        let is_exponent = matches!(character, 'e' | 'E')
            && characters
                .next_if(|(_, next)| next.is_ascii_digit() || matches!(next, '+' | '-'))
                .is_some();
        let is_number = character.is_ascii_digit() || matches!(character, '.' | '+' | '-');
        if !is_exponent && !is_number {
            end = at;
            break;
        }
    }
    match text.split_at(end) {
        ("", _) => Err(Failure::Failed("no amount provided")),
        parts => Ok(parts),
    }
}

fn known(unit: &str, suffix: &str) -> Option<Unit> {
    let first = unit.chars().next()?.to_ascii_lowercase();
    let step = STEPS.find(first)? + 1;
    let rest = unit.get(1..)?.to_ascii_lowercase();
    let is_suffix = |rest: &str| rest.is_empty() || rest == suffix;
    match rest.strip_prefix('i') {
        Some(rest) if is_suffix(rest) => Some(Unit::Binary(10 * u32::try_from(step).ok()?)),
        None if is_suffix(&rest) => Some(Unit::Decimal(3 * i32::try_from(step).ok()?)),
        _ => None,
    }
}

/// The number a unit makes of one.
fn amount(number: &str, unit: Unit) -> Answer {
    let bad = Failure::Failed("could not parse amount to a number");
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || whole.len() + part.len() == 0 {
        return Err(bad);
    }
    let exponent: i32 = exponent.parse().map_err(|_| bad.clone())?;
    if exponent.unsigned_abs() > MAX_EXPONENT {
        return Err(Failure::Limit(
            "a number of this size is refused".to_owned(),
        ));
    }
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let places = i32::try_from(part.len()).map_err(|_| bad.clone())?;
    let (digits, power) = match unit {
        Unit::Decimal(power) => (format!("{whole}{part}"), exponent + power - places),
        Unit::Binary(bits) => {
            let digits: Option<u128> = format!("{whole}{part}").parse().ok();
            let digits = digits.and_then(|digits| digits.checked_mul(1 << bits));
            let digits = digits.ok_or_else(|| bad.clone())?;
            (digits.to_string(), exponent - places)
        }
    };
    numeric(&format!("{sign}{}", shifted(&digits, power)))
}

/// Digits with the point moved, so that a whole number has none.
fn shifted(digits: &str, power: i32) -> String {
    let zeros = |count: usize| "0".repeat(count);
    match usize::try_from(power) {
        Ok(power) => format!("{digits}{}", zeros(power)),
        Err(_) => {
            let places = usize::try_from(power.unsigned_abs()).unwrap_or(usize::MAX);
            let digits = format!(
                "{}{digits}",
                zeros((places + 1).saturating_sub(digits.len()))
            );
            let (whole, part) = digits.split_at(digits.len() - places);
            match part.trim_end_matches('0') {
                "" => whole.to_owned(),
                part => format!("{whole}.{part}"),
            }
        }
    }
}

fn numeric(text: &str) -> Answer {
    Value::from_numeric_string(text).map_err(|_| Failure::Failed("not a number"))
}
