//! Versions and UUIDs as OPA's libraries read them.

use std::cmp::Ordering;

use regorus::Value;

use super::{Answer, Builtin, Failure, of_interpreter, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("semver.compare", 2, compare),
    Builtin::pure("semver.is_valid", 1, |arguments| {
        let version = text(arguments, 0).ok().and_then(Version::parse);
        Ok(Value::from(version.is_some()))
    }),
    Builtin::pure("uuid.parse", 1, uuid),
];

/// A version without what is behind `+`, which is not compared.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    numbers: [i64; 3],
    /// Parts of what is behind `-`.
    pre_release: Vec<&'a str>,
}

impl<'a> Version<'a> {
    /// Rule: three numbers, which may begin with zeros; then perhaps `-` and perhaps `+`, each with
    /// identifiers behind it or nothing.
    fn parse(version: &'a str) -> Option<Self> {
        let (version, metadata) = version.split_once('+').unwrap_or((version, ""));
        let (version, pre_release) = version.split_once('-').unwrap_or((version, ""));
        if !is_identifiers(metadata) || !is_identifiers(pre_release) {
            return None;
        }
        let mut numbers = version.splitn(3, '.').map(|number| {
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            number.parse().ok().filter(|_| is_number)
        });
        let numbers = [numbers.next()??, numbers.next()??, numbers.next()??];
        let pre_release = match pre_release {
            "" => Vec::new(),
            some => some.split('.').collect(),
        };
        Some(Self {
            numbers,
            pre_release,
        })
    }

    /// Rule: a version without a pre-release is the later one.
    fn compare(&self, other: &Self) -> Ordering {
        let by_numbers = self.numbers.cmp(&other.numbers);
        by_numbers.then_with(|| match (&*self.pre_release, &*other.pre_release) {
            ([], []) => Ordering::Equal,
            ([], _) => Ordering::Greater,
            (_, []) => Ordering::Less,
            (one, other) => compare_parts(one, other),
        })
    }
}

/// Rule: numbers are before names; of equal beginnings the shorter is first.
fn compare_parts(one: &[&str], other: &[&str]) -> Ordering {
    for (one, other) in one.iter().zip(other) {
        let ordering = match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => one.cmp(other),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    one.len().cmp(&other.len())
}

fn is_identifiers(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !part.is_empty() && part.bytes().all(is_character)
    };
    text.is_empty() || text.split('.').all(is_part)
}

fn compare(arguments: &[Value]) -> Answer {
    let version = |index| {
        let version = Version::parse(text(arguments, index)?);
        version.ok_or(Failure::Failed("not a valid SemVer"))
    };
    let ordering = version(0)?.compare(&version(1)?);
    Ok(Value::from(ordering as i64))
}

/// Rule: only versions 1 and 2 tell a time.
fn uuid(arguments: &[Value]) -> Answer {
    let mut parsed = of_interpreter("uuid.parse", arguments)?;
    let Ok(members) = parsed.as_object_mut() else {
        return Err(Failure::Failed("not a UUID"));
    };
    let version = members.get(&Value::from("version"));
    if !version.is_some_and(|version| [1, 2].map(Value::from).contains(version)) {
        members.remove(&Value::from("time"));
    }
    let variant = Value::from("variant");
    if members.get(&variant) == Some(&Value::from("NCS")) {
        members.insert(variant, Value::from("Reserved"));
    }
    Ok(parsed)
}
