//! Numbers with digits behind the point, added and multiplied as they are written: OPA's numbers are
//! wider than a double, so that tenths add up there. Integers are left to the interpreter's numbers.

use regorus::Value;

/// A number as it is written: so many times a power of ten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    digits: i128,
    /// Digits behind the point.
    scale: u32,
}

/// Most digits behind the point.
const MAX_SCALE: u32 = 60;

// === impl Decimal ===

impl Decimal {
    /// `None` for what is no number, or one of too many digits.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let text = match value {
            Value::Number(number) => number.format_decimal(),
            _ => return None,
        };
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        Some(Self {
            digits: format!("{whole}{part}").parse().ok()?,
            scale: u32::try_from(part.len()).ok()?,
        })
    }

    pub(super) fn sum(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let digits = self.to_scale(scale)?.checked_add(other.to_scale(scale)?)?;
        (scale <= MAX_SCALE).then_some(Self { digits, scale })
    }

    pub(super) fn difference(self, other: Self) -> Option<Self> {
        let digits = other.digits.checked_neg()?;
        self.sum(Self { digits, ..other })
    }

    pub(super) fn product(self, other: Self) -> Option<Self> {
        let scale = self.scale + other.scale;
        let digits = self.digits.checked_mul(other.digits)?;
        (scale <= MAX_SCALE).then_some(Self { digits, scale })
    }

    /// The number that is nearest.
    pub(super) fn value(self) -> Option<Value> {
        let text = format!("{}e-{}", self.digits, self.scale);
        Value::from_numeric_string(&text).ok()
    }

    fn to_scale(self, scale: u32) -> Option<i128> {
        let power = 10i128.checked_pow(scale.checked_sub(self.scale)?)?;
        self.digits.checked_mul(power)
    }
}
