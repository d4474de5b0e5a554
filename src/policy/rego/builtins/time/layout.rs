//! Go's layouts: how January 2nd of 2006, 15:04:05, would be written says how a time is.

use super::{Wall, name_of};

/// A part of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    /// `MST`
    Abbreviation,
    Offset(Offset),
    /// So many digits, behind a point or comma.
    Fraction {
        digits: usize,
        separator: char,
        trimmed: bool,
    },
}

/// How an offset is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// `Z` for none.
    pub(super) z: bool,
    pub(super) colon: bool,
    pub(super) minutes: bool,
    pub(super) seconds: bool,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What a layout's name stands for.
pub(super) fn named(layout: &str) -> &str {
    match layout {
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822" => "02 Jan 06 15:04 MST",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339" => "2006-01-02T15:04:05Z07:00",
        "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
        other => other,
    }
}

/// A layout's first part, with the text before and the layout behind it.
pub(super) fn next(layout: &str) -> (&str, Option<(Part, &str)>) {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..).unwrap_or_default();
        if let Some((part, length)) = part(rest) {
            // Rule: `_2006` is an underscore and a year.
            let at = at + usize::from(part == Part::LongYear && rest.starts_with('_'));
            let before = layout.get(..at).unwrap_or_default();
            let behind = layout.get(at + length..).unwrap_or_default();
            return (before, Some((part, behind)));
        }
    }
    (layout, None)
}

/// The part a layout begins with, and its length.
fn part(layout: &str) -> Option<(Part, usize)> {
    // The longer before the shorter.
    const NAMES: &[(&str, Part)] = &[
        ("January", Part::LongMonth),
        ("Monday", Part::LongWeekday),
        ("MST", Part::Abbreviation),
        ("002", Part::ZeroYearDay),
        ("01", Part::ZeroMonth),
        ("02", Part::ZeroDay),
        ("03", Part::ZeroHour12),
        ("04", Part::ZeroMinute),
        ("05", Part::ZeroSecond),
        ("06", Part::Year),
        ("15", Part::Hour),
        ("1", Part::NumMonth),
        ("2006", Part::LongYear),
        ("2", Part::Day),
        ("__2", Part::UnderYearDay),
        ("3", Part::Hour12),
        ("4", Part::Minute),
        ("5", Part::Second),
        ("PM", Part::UpperPm),
        ("pm", Part::LowerPm),
    ];
    if layout.starts_with("_2006") {
        return Some((Part::LongYear, 4));
    }
    if layout.starts_with("_2") {
        return Some((Part::UnderDay, 2));
    }
    let named = NAMES.iter().find(|(name, _)| layout.starts_with(name));
    if let Some((name, part)) = named {
        return Some((*part, name.len()));
    }
    // Rule: a short name that goes on in small letters is none.
    let short = |name| {
        let behind = layout.strip_prefix(name)?;
        (!behind.starts_with(|next: char| next.is_ascii_lowercase())).then_some(())
    };
    if short("Jan").is_some() {
        return Some((Part::Month, 3));
    }
    if short("Mon").is_some() {
        return Some((Part::Weekday, 3));
    }
    offset(layout).or_else(|| fraction(layout))
}

fn offset(layout: &str) -> Option<(Part, usize)> {
    let z = match layout.chars().next()? {
        'Z' => true,
        '-' => false,
        _ => return None,
    };
    const FORMS: &[(&str, bool, bool, bool)] = &[
        ("070000", false, true, true),
        ("07:00:00", true, true, true),
        ("0700", false, true, false),
        ("07:00", true, true, false),
        ("07", false, false, false),
    ];
    let rest = layout.get(1..)?;
    let form = FORMS.iter().find(|(form, ..)| rest.starts_with(form))?;
    let &(form, colon, minutes, seconds) = form;
    let offset = Offset {
        z,
        colon,
        minutes,
        seconds,
    };
    Some((Part::Offset(offset), 1 + form.len()))
}

/// Rule: zeros or nines behind a point or comma, and no digit behind them.
fn fraction(layout: &str) -> Option<(Part, usize)> {
    let separator = layout.chars().next().filter(|next| ".,".contains(*next))?;
    let rest = layout.get(1..)?;
    let digit = rest.chars().next().filter(|next| "09".contains(*next))?;
    let behind = rest.trim_start_matches(digit);
    if behind.starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    let digits = rest.len() - behind.len();
    let part = Part::Fraction {
        digits,
        separator,
        trimmed: digit == '9',
    };
    Some((part, 1 + digits))
}

/// Writes a time by a layout.
pub(super) fn format(wall: &Wall, layout: &str) -> String {
    let mut text = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    loop {
        let (before, found) = next(rest);
        text.push_str(before);
        let Some((part, behind)) = found else {
            return text;
        };
        text.push_str(&written(wall, part));
        rest = behind;
    }
}

fn written(wall: &Wall, part: Part) -> String {
    let time = wall.time;
    let month = usize::from(time.month().unsigned_abs()).saturating_sub(1);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let short = |name: &str| name.chars().take(3).collect();
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = |upper: &str, lower: &str| match time.hour() {
        12.. => upper.to_owned(),
        _ => lower.to_owned(),
    };
    match part {
        Part::LongMonth => month.to_owned(),
        Part::Month => short(month),
        Part::NumMonth => time.month().to_string(),
        Part::ZeroMonth => format!("{:02}", time.month()),
        Part::LongWeekday => name_of(time.weekday()).to_owned(),
        Part::Weekday => short(name_of(time.weekday())),
        Part::Day => time.day().to_string(),
        Part::UnderDay => format!("{:2}", time.day()),
        Part::ZeroDay => format!("{:02}", time.day()),
        Part::UnderYearDay => format!("{:3}", time.day_of_year()),
        Part::ZeroYearDay => format!("{:03}", time.day_of_year()),
        Part::Hour => format!("{:02}", time.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => time.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", time.minute()),
        Part::Second => time.second().to_string(),
        Part::ZeroSecond => format!("{:02}", time.second()),
        Part::LongYear => format!("{:04}", time.year()),
        Part::Year => format!("{:02}", time.year() % 100),
        Part::UpperPm => half("PM", "AM"),
        Part::LowerPm => half("pm", "am"),
        Part::Abbreviation => wall.abbreviation.clone(),
        Part::Offset(form) => written_offset(wall.offset, form),
        Part::Fraction {
            digits,
            separator,
            trimmed,
        } => {
            let nanoseconds = format!("{:09}", time.subsec_nanosecond());
            let fraction = nanoseconds.get(..digits.min(9)).unwrap_or_default();
            match trimmed {
                true => match fraction.trim_end_matches('0') {
                    "" => String::new(),
                    fraction => format!("{separator}{fraction}"),
                },
                false => format!("{separator}{fraction}"),
            }
        }
    }
}

fn written_offset(offset: i32, form: Offset) -> String {
    if form.z && offset == 0 {
        return "Z".to_owned();
    }
    let size = offset.unsigned_abs();
    let sign = if offset < 0 { '-' } else { '+' };
    let colon = if form.colon { ":" } else { "" };
    let mut text = format!("{sign}{:02}", size / 3_600);
    if form.minutes {
        text.push_str(&format!("{colon}{:02}", size / 60 % 60));
    }
    if form.seconds {
        text.push_str(&format!("{colon}{:02}", size % 60));
    }
    text
}
