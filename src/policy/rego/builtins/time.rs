//! `time.*` where the interpreter's calendar differs from Go's. The clock is in the table's file.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use regorus::Value;

use super::{Answer, Builtin, Failure, any, of_interpreter, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("time.add_date", 4, add_date),
    Builtin::pure("time.parse_rfc3339_ns", 1, parse_rfc3339_ns),
];

/// Rule: years, months and days are added to the date's numbers, and what is too much for a month
/// goes on into the next: January 31st and a month is March 2nd or 3rd.
fn add_date(arguments: &[Value]) -> Answer {
    let number = |index| {
        let number = any(arguments, index)?.as_i64();
        number.map_err(|_| Failure::Failed("an operand is not an integer"))
    };
    // A time with its zone is left to the interpreter, which has the table of zones.
    let Value::Number(_) = any(arguments, 0)? else {
        return of_interpreter("time.add_date", arguments);
    };
    let added = added(number(0)?, number(1)?, number(2)?, number(3)?);
    added
        .map(Value::from)
        .ok_or(Failure::Failed("time outside of valid range"))
}

fn added(nanoseconds: i64, years: i64, months: i64, days: i64) -> Option<i64> {
    let time = Timestamp::from_nanosecond(nanoseconds.into()).ok()?;
    let time = TimeZone::UTC.to_datetime(time);
    let month = i64::from(time.month()) - 1;
    let months = month.checked_add(months)?;
    let year = i64::from(time.year()).checked_add(years)?;
    let year = year.checked_add(months.div_euclid(12))?;
    let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
    let first = Date::new(i16::try_from(year).ok()?, month, 1).ok()?;
    let days = days.checked_add(i64::from(time.day()) - 1)?;
    let days = jiff::Span::new().try_days(days).ok()?;
    let date = first.checked_add(days).ok()?;
    let time = DateTime::from_parts(date, time.time());
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Rule: `T` and `Z` are capitals, and nothing else is in their place.
fn parse_rfc3339_ns(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    let ends_well = text.ends_with('Z') || text.ends_with(|end: char| end.is_ascii_digit());
    if text.as_bytes().get(10) != Some(&b'T') || !ends_well {
        return Err(Failure::Failed("not a time as RFC 3339 writes it"));
    }
    of_interpreter("time.parse_rfc3339_ns", arguments)
}
