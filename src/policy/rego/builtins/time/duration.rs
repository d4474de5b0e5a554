//! Durations as Go writes them: `1h15m30.5s`.

/// Rule: an optional sign; numbers with a unit each, perhaps with a point; or `0` alone.
pub(super) fn parse(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let mut rest = unsigned;
    let mut total = 0u64;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (part, behind) = match behind.strip_prefix('.') {
            Some(behind) => digits(behind),
            None => ("", behind),
        };
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let is_number = |next: char| next == '.' || next.is_ascii_digit();
        let end = behind.find(is_number).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        total = total.checked_add(amount(whole, part, nanoseconds(unit)?)?)?;
        rest = behind;
    }
    if unsigned.is_empty() {
        return None;
    }
    // Rule: the smallest of all has no positive counterpart.
    match text.starts_with('-') {
        true => 0i64.checked_sub_unsigned(total),
        false => i64::try_from(total).ok(),
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|next: char| !next.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn amount(whole: &str, part: &str, unit: u64) -> Option<u64> {
    let whole = match whole {
        "" => 0,
        whole => whole.parse::<u64>().ok()?,
    };
    // More digits than these say nothing of nanoseconds.
    let part = part.get(..part.len().min(18)).unwrap_or_default();
    let scale = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = match part {
        "" => 0,
        part => part.parse::<u128>().ok()?,
    };
    let part = u64::try_from(part.checked_mul(unit.into())? / scale).ok()?;
    whole.checked_mul(unit)?.checked_add(part)
}
