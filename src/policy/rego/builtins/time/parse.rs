//! Times read by Go's layouts. What a layout says nothing of is the year's or day's beginning, in UTC.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::layout::{MONTHS, Offset, Part, next};

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// What was read so far.
#[derive(Default)]
struct Fields {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    /// Whether it is after noon, if a half of the day was told.
    afternoon: Option<bool>,
    /// Seconds east of Greenwich.
    offset: i64,
}

pub(super) fn parse(layout: &str, text: &str) -> Option<Timestamp> {
    let mut fields = Fields::default();
    let (mut layout, mut rest) = (layout, text);
    loop {
        let (before, found) = next(layout);
        rest = skip(rest, before)?;
        let Some((part, behind)) = found else { break };
        rest = fields.read(part, rest, behind)?;
        layout = behind;
    }
    rest.is_empty().then_some(())?;
    fields.timestamp()
}

/// Rule: what is in no part stands there as it is, but any number of spaces for some.
fn skip<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let (mut text, mut literal) = (text, literal);
    while let Some(first) = literal.chars().next() {
        if first == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            text = text.trim_start_matches(' ');
            literal = literal.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(first)?;
            literal = literal.get(first.len_utf8()..)?;
        }
    }
    Some(text)
}

impl Fields {
    /// Reads a part; gives what is behind it. `layout` is what follows the part.
    fn read<'t>(&mut self, part: Part, text: &'t str, layout: &str) -> Option<&'t str> {
        let rest;
        match part {
            Part::LongMonth => (self.month, rest) = month(text, usize::MAX)?,
            Part::Month => (self.month, rest) = month(text, 3)?,
            Part::NumMonth | Part::ZeroMonth => {
                let number;
                (number, rest) = digits(text, part == Part::ZeroMonth, 1, 12)?;
                self.month = Some(number);
            }
            Part::LongWeekday => (_, rest) = lookup(&WEEKDAYS, text, usize::MAX)?,
            Part::Weekday => (_, rest) = lookup(&WEEKDAYS, text, 3)?,
            Part::Day | Part::UnderDay | Part::ZeroDay => {
                let text = match part {
                    Part::UnderDay => text.strip_prefix(' ').unwrap_or(text),
                    _ => text,
                };
                let number;
                (number, rest) = digits(text, part == Part::ZeroDay, 0, 99)?;
                self.day = Some(number);
            }
            Part::UnderYearDay | Part::ZeroYearDay => {
                rest = self.read_day_of_year(part, text)?;
            }
            Part::Hour => (self.hour, rest) = digits(text, false, 0, 23)?,
            Part::Hour12 | Part::ZeroHour12 => {
                (self.hour, rest) = digits(text, part == Part::ZeroHour12, 0, 12)?;
            }
            Part::Minute | Part::ZeroMinute => {
                (self.minute, rest) = digits(text, part == Part::ZeroMinute, 0, 59)?;
            }
            Part::Second | Part::ZeroSecond => {
                let behind;
                (self.second, behind) = digits(text, part == Part::ZeroSecond, 0, 59)?;
                // Rule: a fraction may follow though the layout has none.
                let is_next = matches!(next(layout), ("", Some((Part::Fraction { .. }, _))));
                rest = match fraction(behind) {
                    Some((nanosecond, behind)) if !is_next => {
                        self.nanosecond = nanosecond;
                        behind
                    }
                    _ => behind,
                };
            }
            Part::LongYear => {
                let year = all_digits(text.get(..4)?)?;
                self.year = year.parse().ok()?;
                rest = text.get(4..)?;
            }
            Part::Year => {
                let year: i16 = all_digits(text.get(..2)?)?.parse().ok()?;
                self.year = year + if year >= 69 { 1900 } else { 2000 };
                rest = text.get(2..)?;
            }
            Part::UpperPm | Part::LowerPm => {
                self.afternoon = Some(match (part, text.get(..2)?) {
                    (Part::UpperPm, "PM") | (Part::LowerPm, "pm") => true,
                    (Part::UpperPm, "AM") | (Part::LowerPm, "am") => false,
                    _ => return None,
                });
                rest = text.get(2..)?;
            }
            Part::Abbreviation => (self.offset, rest) = abbreviation(text)?,
            Part::Offset(form) => (self.offset, rest) = offset(text, form)?,
            Part::Fraction {
                digits, trimmed, ..
            } => rest = self.read_fraction(text, digits, trimmed)?,
        }
        Some(rest)
    }

    fn read_day_of_year<'t>(&mut self, part: Part, text: &'t str) -> Option<&'t str> {
        let is_fixed = part == Part::ZeroYearDay;
        let spaces = text
            .bytes()
            .take(2)
            .take_while(|byte| *byte == b' ')
            .count();
        let text = text.get(if is_fixed { 0 } else { spaces }..)?;
        let length = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
        if length == 0 || (is_fixed && length != 3) {
            return None;
        }
        self.day_of_year = Some(text.get(..length)?.parse().ok()?);
        text.get(length..)
    }

    /// Rule: zeros want as many digits, nines take what is there.
    fn read_fraction<'t>(
        &mut self,
        text: &'t str,
        digits: usize,
        trimmed: bool,
    ) -> Option<&'t str> {
        if trimmed {
            let Some((nanosecond, rest)) = fraction(text) else {
                return Some(text);
            };
            self.nanosecond = nanosecond;
            return Some(rest);
        }
        let (fixed, rest) = (text.get(..1 + digits)?, text.get(1 + digits..)?);
        let (nanosecond, behind) = fraction(fixed)?;
        self.nanosecond = nanosecond;
        behind.is_empty().then_some(rest)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        let hour = match (self.afternoon, self.hour) {
            (Some(true), hour @ ..12) => hour + 12,
            (Some(false), 12) => 0,
            (_, hour) => hour,
        };
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let utc = TimeZone::UTC.to_timestamp(DateTime::from_parts(self.date()?, time));
        let offset = jiff::SignedDuration::from_secs(self.offset);
        utc.ok()?.checked_sub(offset).ok()
    }

    /// Rule: a day of the year must fit the month and the day that were told.
    fn date(&self) -> Option<Date> {
        let Some(day_of_year) = self.day_of_year else {
            return Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok();
        };
        let first = Date::new(self.year, 1, 1).ok()?;
        let date = first.with().day_of_year(day_of_year).build().ok()?;
        let fits = |told: Option<i8>, is: i8| told.is_none_or(|told| told == is);
        (fits(self.month, date.month()) && fits(self.day, date.day())).then_some(date)
    }
}

/// One or two digits, or two, of a number in a range.
fn digits(text: &str, two: bool, least: i8, most: i8) -> Option<(i8, &str)> {
    let length = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if length == 0 || (two && length < 2) {
        return None;
    }
    let number = text.get(..length)?.parse().ok()?;
    let rest = text.get(length..)?;
    (least..=most).contains(&number).then_some((number, rest))
}

fn all_digits(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

/// Rule: names have no case.
fn lookup<'t>(names: &[&str], text: &'t str, letters: usize) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = name.get(..letters.min(name.len()))?;
        let found = text.get(..name.len())?;
        let rest = text.get(name.len()..)?;
        found.eq_ignore_ascii_case(name).then_some((index, rest))
    })
}

fn month(text: &str, letters: usize) -> Option<(Option<i8>, &str)> {
    let (index, rest) = lookup(&MONTHS, text, letters)?;
    Some((Some(i8::try_from(index + 1).ok()?), rest))
}

/// A point or comma and digits, of which nine count.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let behind = text.strip_prefix(['.', ','])?;
    let length = behind.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = behind.split_at(length);
    if digits.is_empty() {
        return None;
    }
    let digits = digits.get(..length.min(9))?;
    Some((format!("{digits:0<9}").parse().ok()?, rest))
}

/// Rule: as the layout writes it; a zone may be off by a day.
fn offset(text: &str, form: Offset) -> Option<(i64, &str)> {
    if form.z
        && let Some(rest) = text.strip_prefix('Z')
    {
        return Some((0, rest));
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, mut rest) = digits(text.get(1..)?, true, 0, 24)?;
    let mut seconds = 3_600 * i64::from(hours);
    for (is_wanted, size) in [(form.minutes, 60), (form.seconds, 1)] {
        if is_wanted {
            if form.colon {
                rest = rest.strip_prefix(':')?;
            }
            let number;
            (number, rest) = digits(rest, true, 0, 60)?;
            seconds += size * i64::from(number);
        }
    }
    Some((sign * seconds, rest))
}

/// Rule: three letters, or four or five that end in `T`; `GMT` may have hours behind it. What zone
/// they stand for is not known: only those hours count.
fn abbreviation(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix("UTC") {
        return Some((0, rest));
    }
    for name in ["ChST", "MeST"] {
        if let Some(rest) = text.strip_prefix(name) {
            return Some((0, rest));
        }
    }
    if let Some(behind) = text.strip_prefix("GMT") {
        return Some(match hours(behind) {
            Some((hours, rest)) => (3_600 * hours, rest),
            None => (0, behind),
        });
    }
    if text.starts_with(['+', '-']) {
        return hours(text).map(|(_, rest)| (0, rest));
    }
    let letters = text
        .bytes()
        .take(6)
        .take_while(u8::is_ascii_uppercase)
        .count();
    let name = text.get(..letters)?;
    let is_name = match letters {
        3 => true,
        4 => name.ends_with('T') || name == "WITA",
        5 => name.ends_with('T'),
        _ => false,
    };
    is_name.then_some((0, text.get(letters..)?))
}

/// A sign and hours, 23 at most.
fn hours(text: &str) -> Option<(i64, &str)> {
    let behind = text.strip_prefix(['+', '-'])?;
    let length = behind.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = behind.split_at(length);
    let hours: i64 = digits.parse().ok()?;
    let hours = if text.starts_with('-') { -hours } else { hours };
    (hours.abs() <= 23).then_some((hours, rest))
}
