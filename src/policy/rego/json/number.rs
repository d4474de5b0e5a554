//! Numbers of a JSON document: whole ones exactly, others as doubles, both within bounds, so that
//! no text of a few bytes makes a number of a million digits.

use std::str::FromStr as _;

use regorus::Value;
use thiserror::Error;

/// Most digits of a whole number.
const MAX_DIGITS: usize = 1_000;
/// Most digits that all exponents of a document together add.
const MAX_ADDED: usize = 1_000_000;
/// Whole numbers of so many digits are exact in a double, and in an `i64`.
const SMALL: usize = 15;
const SHORT: usize = 18;
/// Beyond so many digits before the point there is no double.
const LARGEST_DOUBLE: i64 = 308;

/// A number that is not taken. It is not repeated: it may be long.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::policy::rego) enum NumberError {
    #[error("a number has more than {MAX_DIGITS} digits")]
    Range,
    #[error("numbers with exponents have more than {MAX_ADDED} digits")]
    Total,
    #[error("not a number")]
    Text,
}

/// A value that has no parts, as JSON, whole numbers with all their digits. The interpreter's own way
/// fails for numbers beyond doubles.
pub(in crate::policy::rego) fn scalar_text(value: &Value) -> String {
    let Value::Number(number) = value else {
        return value.to_string();
    };
    // What is exact in neither form is a double.
    match (number.as_big(), number.as_f64()) {
        (None, Some(double)) => double_text(double),
        _ => number.format_decimal(),
    }
}

/// Rule: with an exponent from 10^21 on, and below 10^-6.
pub(super) fn double_text(number: f64) -> String {
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if exponent >= 21 => format!("{mantissa}e+{exponent}"),
            Ok(exponent) if exponent < -5 => format!("{mantissa}e{exponent}"),
            _ => number.to_string(),
        },
        None => text,
    }
}

/// What a document may still spend on exponents.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_ADDED)
    }
}

impl Budget {
    fn spend(&mut self, digits: usize) -> Result<(), NumberError> {
        self.0 = self.0.checked_sub(digits).ok_or(NumberError::Total)?;
        Ok(())
    }
}

/// A number by itself.
pub(in crate::policy::rego) fn number(text: &str) -> Result<Value, NumberError> {
    convert(text, &mut Budget::default())
}

/// The value of a number's text, which is of JSON's form.
pub(super) fn convert(text: &str, budget: &mut Budget) -> Result<Value, NumberError> {
    if text.len() <= SHORT
        && let Ok(number) = i64::from_str(text)
    {
        return Ok(u64::try_from(number).map_or_else(|_| Value::from(number), Value::from));
    }
    let parts = Parts::of(text);
    // Rule: whole numbers are exact, however they are written.
    match parts.whole_digits()? {
        Some(digits) if parts.has_exponent || digits > SMALL => {
            if parts.has_exponent {
                budget.spend(digits)?;
            }
            parts.whole(digits)
        }
        _ => double(text, &parts),
    }
}

/// A number's text, taken apart.
struct Parts<'a> {
    negative: bool,
    /// Before and behind the point.
    digits: (&'a str, &'a str),
    exponent: i64,
    has_exponent: bool,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let unsigned = text.strip_prefix('-');
        let (mantissa, exponent) = match unsigned.unwrap_or(text).split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned.unwrap_or(text), None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent that no `i32` holds is as good as one that it just holds.
        let far = |exponent: &str| match exponent.starts_with('-') {
            true => i64::from(i32::MIN),
            false => i64::from(i32::MAX),
        };
        let limit = |exponent: &str| exponent.parse::<i32>().map(i64::from).ok();
        Self {
            negative: unsigned.is_some(),
            digits: (
                whole.trim_start_matches('0'),
                fraction.trim_end_matches('0'),
            ),
            exponent: exponent.map_or(0, |exponent| {
                limit(exponent).unwrap_or_else(|| far(exponent))
            }),
            has_exponent: exponent.is_some(),
        }
    }

    fn is_zero(&self) -> bool {
        let (whole, fraction) = self.digits;
        whole.is_empty() && fraction.trim_start_matches('0').is_empty()
    }

    /// Digits before the point once the exponent is applied; negative for zeros behind it.
    fn magnitude(&self) -> i64 {
        let (whole, fraction) = self.digits;
        let leading = match whole.is_empty() {
            true => fraction.len() - fraction.trim_start_matches('0').len(),
            false => 0,
        };
        // Lengths of texts in memory fit by far.
        let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX / 4);
        length(whole.len()) - length(leading) + self.exponent
    }

    /// How many digits the number has if it is whole.
    fn whole_digits(&self) -> Result<Option<usize>, NumberError> {
        if self.is_zero() {
            return Ok(Some(1));
        }
        let magnitude = self.magnitude();
        let allowed = i64::try_from(MAX_DIGITS).unwrap_or(i64::MAX);
        if magnitude > allowed {
            return Err(NumberError::Range);
        }
        let fraction = i64::try_from(self.digits.1.len()).unwrap_or(i64::MAX);
        let digits = usize::try_from(magnitude).ok();
        Ok(digits.filter(|_| fraction <= self.exponent))
    }

    /// The number without what is behind the point.
    fn whole(&self, digits: usize) -> Result<Value, NumberError> {
        let (whole, fraction) = self.digits;
        let significant = whole.chars().chain(fraction.chars());
        let significant = significant.skip_while(|digit| *digit == '0');
        let zeros = std::iter::repeat('0');
        let sign = self.negative.then_some('-');
        let text: String = sign
            .into_iter()
            .chain(significant.chain(zeros).take(digits))
            .collect();
        Value::from_numeric_string(&text).map_err(|_| NumberError::Text)
    }
}

/// Rule: a number that is not whole is the nearest double; one that is not zero does not become so,
/// and of one that is too large for a double what is behind the point is dropped.
fn double(text: &str, parts: &Parts<'_>) -> Result<Value, NumberError> {
    if parts.is_zero() {
        return Ok(Value::from(0_u64));
    }
    let magnitude = parts.magnitude();
    if magnitude > LARGEST_DOUBLE {
        let digits = usize::try_from(magnitude).unwrap_or(MAX_DIGITS);
        return parts.whole(digits);
    }
    let number = f64::from_str(text).map_err(|_| NumberError::Text)?;
    let smallest = f64::from_bits(1);
    Ok(Value::from(match number == 0.0 {
        true if parts.negative => -smallest,
        true => smallest,
        false => number,
    }))
}
