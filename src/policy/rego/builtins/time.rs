//! `time.*` by Go's calendar, layouts and zones. The clock is in the table's file.

mod duration;
mod layout;
mod parse;

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use regorus::Value;

use super::{Answer, Builtin, Failure, any, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("time.add_date", 4, add_date),
    Builtin::pure("time.clock", 1, clock),
    Builtin::pure("time.date", 1, date),
    Builtin::pure("time.diff", 2, diff),
    Builtin::pure("time.format", 1, format),
    Builtin::pure("time.parse_duration_ns", 1, |arguments| {
        let nanoseconds = duration::parse(text(arguments, 0)?);
        nanoseconds
            .map(Value::from)
            .ok_or(Failure::Failed("invalid duration"))
    }),
    Builtin::pure("time.parse_ns", 2, |arguments| {
        parsed(text(arguments, 0)?, text(arguments, 1)?)
    }),
    Builtin::pure("time.parse_rfc3339_ns", 1, |arguments| {
        parsed("RFC3339", text(arguments, 0)?)
    }),
    Builtin::pure("time.weekday", 1, weekday),
];

const OUT_OF_RANGE: Failure = Failure::Failed("time outside of valid range");

/// The zones that were built in: no file is looked at.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time, where it is looked at.
struct Moment {
    time: Timestamp,
    zone: TimeZone,
}

/// What a clock on the wall and a calendar show.
struct Wall {
    time: DateTime,
    /// Seconds east of Greenwich.
    offset: i32,
    /// What the zone is called at this time.
    abbreviation: String,
}

// === impl Moment ===

impl Moment {
    /// Rule: nanoseconds, or an array of them, a zone and a layout. No zone is UTC, and so is the
    /// server's own.
    fn of(value: &Value) -> Result<(Self, &str), Failure> {
        let bad = || Failure::Failed("operand 1 must be number or [number, string]");
        let (nanoseconds, zone, layout) = match value {
            Value::Array(parts) => {
                let text = |index| match parts.get(index) {
                    None => Ok(""),
                    Some(Value::String(text)) => Ok(&**text),
                    Some(_) => Err(bad()),
                };
                (parts.first().ok_or_else(bad)?, text(1)?, text(2)?)
            }
            value => (value, "", ""),
        };
        let Value::Number(_) = nanoseconds else {
            return Err(bad());
        };
        let nanoseconds = nanoseconds.as_i64();
        let nanoseconds = nanoseconds.map_err(|_| Failure::Failed("timestamp too big"))?;
        let moment = Self {
            time: Timestamp::from_nanosecond(nanoseconds.into()).map_err(|_| OUT_OF_RANGE)?,
            zone: zone_of(zone)?,
        };
        Ok((moment, layout))
    }

    fn wall(&self) -> Wall {
        let info = self.zone.to_offset_info(self.time);
        Wall {
            time: info.offset().to_datetime(self.time),
            offset: info.offset().seconds(),
            abbreviation: info.abbreviation().to_owned(),
        }
    }
}

/// Rule: capitals matter.
fn zone_of(name: &str) -> Result<TimeZone, Failure> {
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    let zone = ZONES.get(name).ok();
    let zone = zone.filter(|zone| zone.iana_name() == Some(name));
    zone.ok_or(Failure::Failed("unknown time zone"))
}

/// Nanoseconds, if there are not too many.
fn nanoseconds(time: Timestamp) -> Answer {
    let nanoseconds = i64::try_from(time.as_nanosecond());
    nanoseconds.map(Value::from).map_err(|_| OUT_OF_RANGE)
}

// === Built-ins ===

fn clock(arguments: &[Value]) -> Answer {
    let time = Moment::of(any(arguments, 0)?)?.0.wall().time;
    Ok(numbers([time.hour(), time.minute(), time.second()]))
}

fn date(arguments: &[Value]) -> Answer {
    let time = Moment::of(any(arguments, 0)?)?.0.wall().time;
    let (year, month, day) = (time.year(), time.month().into(), time.day().into());
    Ok(numbers([year, month, day]))
}

fn numbers<const N: usize, T: Into<i64>>(numbers: [T; N]) -> Value {
    let numbers = numbers.into_iter().map(|number| Value::from(number.into()));
    Value::from(numbers.collect::<Vec<_>>())
}

fn weekday(arguments: &[Value]) -> Answer {
    let time = Moment::of(any(arguments, 0)?)?.0.wall().time;
    Ok(Value::from(name_of(time.weekday())))
}

fn name_of(day: Weekday) -> &'static str {
    match day {
        Weekday::Sunday => "Sunday",
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
    }
}

fn format(arguments: &[Value]) -> Answer {
    let (moment, layout) = Moment::of(any(arguments, 0)?)?;
    let layout = match layout {
        "" => "RFC3339Nano",
        layout => layout,
    };
    Ok(Value::from(layout::format(
        &moment.wall(),
        layout::named(layout),
    )))
}

/// Whether a text is a time by a layout.
pub(super) fn reads(layout: &str, text: &str) -> bool {
    parse::parse(layout::named(layout), text).is_some()
}

fn parsed(layout: &str, text: &str) -> Answer {
    let time = parse::parse(layout::named(layout), text);
    nanoseconds(time.ok_or(Failure::Failed("cannot parse the time by its layout"))?)
}

/// Rule: the differences of the calendar's and the clock's numbers, in the first time's zone, from
/// the earlier to the later; days that are missing are of the earlier's month.
fn diff(arguments: &[Value]) -> Answer {
    let (first, _) = Moment::of(any(arguments, 0)?)?;
    let (second, _) = Moment::of(any(arguments, 1)?)?;
    let second = Moment {
        time: second.time,
        zone: first.zone.clone(),
    };
    let (earlier, later) = match first.time > second.time {
        true => (second.wall().time, first.wall().time),
        false => (first.wall().time, second.wall().time),
    };
    let difference = |of: fn(&DateTime) -> i64| of(&later) - of(&earlier);
    let mut years = difference(|time| time.year().into());
    let mut months = difference(|time| time.month().into());
    let mut days = difference(|time| time.day().into());
    let mut hours = difference(|time| time.hour().into());
    let mut minutes = difference(|time| time.minute().into());
    let mut seconds = difference(|time| time.second().into());
    let borrow = |amount: &mut i64, next: &mut i64, size: i64| {
        if *amount < 0 {
            *amount += size;
            *next -= 1;
        }
    };
    borrow(&mut seconds, &mut minutes, 60);
    borrow(&mut minutes, &mut hours, 60);
    borrow(&mut hours, &mut days, 24);
    borrow(
        &mut days,
        &mut months,
        earlier.date().days_in_month().into(),
    );
    borrow(&mut months, &mut years, 12);
    Ok(numbers([years, months, days, hours, minutes, seconds]))
}

/// Rule: years, months and days are added to the date's numbers, and what is too much for a month
/// goes on into the next: January 31st and a month is March 2nd or 3rd.
fn add_date(arguments: &[Value]) -> Answer {
    let (moment, _) = Moment::of(any(arguments, 0)?)?;
    let number = |index| {
        let number = any(arguments, index)?.as_i64();
        number.map_err(|_| Failure::Failed("an operand is not an integer"))
    };
    let (years, months, days) = (number(1)?, number(2)?, number(3)?);
    let time = moment.wall().time;
    let date = added(time.date(), years, months, days).ok_or(OUT_OF_RANGE)?;
    let time = DateTime::from_parts(date, time.time());
    nanoseconds(absolute(time, &moment.zone).ok_or(OUT_OF_RANGE)?)
}

fn added(date: Date, years: i64, months: i64, days: i64) -> Option<Date> {
    let month = i64::from(date.month()) - 1;
    let months = month.checked_add(months)?;
    let year = i64::from(date.year()).checked_add(years)?;
    let year = year.checked_add(months.div_euclid(12))?;
    let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
    let first = Date::new(i16::try_from(year).ok()?, month, 1).ok()?;
    let days = days.checked_add(i64::from(date.day()) - 1)?;
    let days = jiff::Span::new().try_days(days).ok()?;
    first.checked_add(days).ok()
}

/// Rule: the offset of the zone at that time as if it were UTC's, if that leads to a time at which it
/// holds; else the offset at that time.
fn absolute(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let utc = TimeZone::UTC.to_timestamp(time).ok()?;
    let by = |offset: jiff::tz::Offset| {
        let seconds = jiff::SignedDuration::from_secs(offset.seconds().into());
        utc.checked_sub(seconds).ok()
    };
    let guess = by(zone.to_offset(utc))?;
    by(zone.to_offset(guess))
}
