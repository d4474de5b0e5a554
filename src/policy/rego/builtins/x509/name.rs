//! Distinguished names and times, and the strings that names are made of.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use regorus::Value;

use super::super::Failure;
use super::super::der::{
    BMP_STRING, Element, GENERALIZED_TIME, IA5_STRING, MALFORMED, NUMERIC_STRING, Oid,
    PRINTABLE_STRING, Reader, SET, T61_STRING, UTC_TIME, UTF8_STRING,
};
use super::super::go_json::{list, object, oid, strings, text};

/// A distinguished name.
#[derive(Default)]
pub(super) struct Name {
    attributes: Vec<Attribute>,
}

/// One attribute of a name.
struct Attribute {
    kind: Oid,
    value: Value,
}

/// A point in time, and how it was written.
#[derive(Clone)]
pub(super) struct Time {
    pub(super) seconds: i64,
    text: String,
}

// === impl Name ===

impl Name {
    /// Reads the content of a name; `value` reads what an attribute holds.
    pub(super) fn parse<'a>(
        mut name: Reader<'a>,
        value: fn(Element<'a>) -> Result<Value, Failure>,
    ) -> Result<Self, Failure> {
        let mut attributes = Vec::new();
        while !name.is_empty() {
            let mut set = name.inside(SET)?;
            while !set.is_empty() {
                let mut attribute = set.sequence()?;
                attributes.push(Attribute {
                    kind: attribute.oid()?,
                    value: value(attribute.any()?)?,
                });
            }
        }
        Ok(Self { attributes })
    }

    /// The strings of the attributes of one kind (X.520).
    fn all(&self, number: u32) -> Vec<String> {
        let of_kind = self
            .attributes
            .iter()
            .filter(|attribute| attribute.kind == [2, 5, 4, number]);
        of_kind
            .filter_map(|attribute| match &attribute.value {
                Value::String(text) => Some(text.as_ref().to_owned()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn to_value(&self) -> Value {
        let last = |number| Value::from(self.all(number).pop().unwrap_or_default());
        let all = |number| strings(&self.all(number));
        let attribute = |attribute: &Attribute| {
            object([
                ("Type", oid(&attribute.kind)),
                ("Value", attribute.value.clone()),
            ])
        };
        object([
            ("CommonName", last(3)),
            ("SerialNumber", last(5)),
            ("Country", all(6)),
            ("Locality", all(7)),
            ("Province", all(8)),
            ("StreetAddress", all(9)),
            ("Organization", all(10)),
            ("OrganizationalUnit", all(11)),
            ("PostalCode", all(17)),
            ("Names", list(&self.attributes, attribute)),
            ("ExtraNames", Value::Null),
        ])
    }
}

// === Strings ===

/// A string of an attribute; nothing else is one.
pub(super) fn string(element: Element<'_>) -> Result<Value, Failure> {
    let content = element.content;
    let only = |allowed: fn(u8) -> bool| {
        let fits = content.iter().all(|byte| allowed(*byte));
        fits.then(|| text(content))
    };
    let text = match element.tag {
        // Rule: what was T.61 is taken for ISO 8859-1.
        T61_STRING => Some(Value::from(
            content
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>(),
        )),
        PRINTABLE_STRING => only(is_printable),
        UTF8_STRING => str::from_utf8(content).ok().map(Value::from),
        IA5_STRING => only(|byte| byte.is_ascii()),
        NUMERIC_STRING => only(|byte| byte.is_ascii_digit() || byte == b' '),
        BMP_STRING => bmp(content).map(Value::from),
        _ => None,
    };
    text.ok_or(Failure::Failed("an attribute is not a string"))
}

/// Rule: `*` and `&` are let pass, which certificates use although they may not.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte)
}

/// Rule: UTF-16 without surrogates and noncharacters, and without a zero at its end.
fn bmp(content: &[u8]) -> Option<String> {
    let (units, []) = content.as_chunks::<2>() else {
        return None;
    };
    let units = units.strip_suffix(&[[0, 0]]).unwrap_or(units);
    let characters = units.iter().map(|unit| {
        let point = u16::from_be_bytes(*unit);
        let reserved = matches!(point, 0xfffe | 0xffff | 0xfdd0..=0xfdef);
        char::from_u32(u32::from(point)).filter(|_| !reserved)
    });
    characters.collect()
}

// === impl Time ===

impl Time {
    pub(super) fn parse(element: Element<'_>) -> Result<Self, Failure> {
        let text = str::from_utf8(element.content).map_err(|_| MALFORMED)?;
        let time = match element.tag {
            UTC_TIME => Self::of_utc(text),
            GENERALIZED_TIME => text
                .split_at_checked(4)
                .and_then(|(year, rest)| Self::of(number(year)?, rest)),
            _ => None,
        };
        time.ok_or(Failure::Failed("malformed time"))
    }

    /// Rule: two digits of the year, from 1950 to 2049; seconds may be left out.
    fn of_utc(text: &str) -> Option<Self> {
        let (year, rest) = text.split_at_checked(2)?;
        let year = match number(year)? {
            year @ ..50 => 2000 + year,
            year => 1900 + year,
        };
        let zone = rest.find(|character: char| !character.is_ascii_digit())?;
        let (digits, zone) = rest.split_at_checked(zone)?;
        match digits.len() {
            8 => Self::of(year, &format!("{digits}00{zone}")),
            _ => Self::of(year, rest),
        }
    }

    /// Month, day, hour, minute and second with two digits each, and a zone: `Z` or an offset.
    fn of(year: i16, rest: &str) -> Option<Self> {
        let (digits, zone) = rest.split_at_checked(10)?;
        let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let mut parts = pairs
            .iter()
            .map(|pair| i8::try_from(number(str::from_utf8(pair).ok()?)?).ok());
        let mut next = || parts.next().flatten();
        let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
        let local = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        let (offset, zone) = offset(zone)?;
        let time = TimeZone::UTC.to_timestamp(local).ok()?;
        Some(Self {
            seconds: time.as_second().checked_sub(offset)?,
            text: format!("{local}{zone}"),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        Value::from(self.text.as_str())
    }

    pub(super) fn nanoseconds(&self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000
    }
}

fn number(digits: &str) -> Option<i16> {
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

/// Seconds a zone is ahead, and how RFC 3339 writes it. Rule: an offset of nothing is `Z`.
fn offset(zone: &str) -> Option<(i64, String)> {
    if zone == "Z" {
        return Some((0, zone.to_owned()));
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_at_checked(2)?;
    let (written, (hours, minutes)) = (
        format!("{}{hours}:{minutes}", zone.get(..1)?),
        (number(hours)?, number(minutes)?),
    );
    let fits = zone.len() == 5 && hours < 24 && minutes < 60 && (hours, minutes) != (0, 0);
    let seconds = sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60);
    fits.then_some((seconds, written))
}
