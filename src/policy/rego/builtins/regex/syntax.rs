//! Patterns in Go's syntax (RE2), read as Go reads them and written in that of the `regex` crate. What is
//! no pattern to Go is none here, whatever the crate would make of it.

use super::classes::{POSIX, ascii, unicode};

/// Rule: most times that something is repeated, also by repetitions within repetitions.
const MAX_REPEAT: u64 = 1_000;

/// Not a pattern to Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Invalid;

/// A pattern as the crate has it.
pub(super) fn rewritten(pattern: &str) -> Result<String, Invalid> {
    let mut reader = Reader {
        rest: pattern,
        written: String::with_capacity(pattern.len() + pattern.len() / 2),
        groups: vec![Group::default()],
        is_repeated: false,
    };
    reader.read()?;
    Ok(reader.written)
}

/// A group that is open, or the whole.
#[derive(Default)]
struct Group {
    /// How often the innermost of it is repeated by counts, at most.
    most: u64,
    /// The same for what stands last.
    last: u64,
}

impl Group {
    /// Something new stands last.
    fn push(&mut self, repeated: u64) {
        self.most = self.most.max(self.last);
        self.last = repeated;
    }
}

struct Reader<'p> {
    rest: &'p str,
    written: String,
    groups: Vec<Group>,
    /// Whether a repetition stands last.
    is_repeated: bool,
}

impl<'p> Reader<'p> {
    fn read(&mut self) -> Result<(), Invalid> {
        while let Some(first) = self.peek() {
            let was_repeated = std::mem::take(&mut self.is_repeated);
            match first {
                '*' | '+' | '?' => {
                    self.next();
                    self.written.push(first);
                    self.repeated(was_repeated)?;
                }
                '{' => self.brace(was_repeated)?,
                '(' => self.open()?,
                ')' => self.close(),
                '|' => {
                    self.next();
                    self.written.push('|');
                    self.atom();
                }
                '[' => self.class()?,
                '\\' => self.escape()?,
                other => {
                    self.next();
                    self.written.push(other);
                    self.atom();
                }
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn eat(&mut self, begin: &str) -> bool {
        let rest = self.rest.strip_prefix(begin);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Something that can be repeated was written.
    fn atom(&mut self) {
        self.group(|group| group.push(1));
    }

    fn group(&mut self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.last_mut() {
            change(group);
        }
    }

    // === Repetitions ===

    /// Rule: no repetition stands behind another; `?` behind one belongs to it.
    fn repeated(&mut self, was_repeated: bool) -> Result<(), Invalid> {
        if was_repeated {
            return Err(Invalid);
        }
        if self.eat("?") {
            self.written.push('?');
        }
        self.is_repeated = true;
        Ok(())
    }

    /// Rule: a brace that begins no repetition is itself.
    fn brace(&mut self, was_repeated: bool) -> Result<(), Invalid> {
        let Some((least, most, length)) = counts(self.rest) else {
            self.next();
            self.written.push_str("\\{");
            self.atom();
            return Ok(());
        };
        let is_valid =
            least <= MAX_REPEAT && most.is_none_or(|most| (least..=MAX_REPEAT).contains(&most));
        if !is_valid {
            return Err(Invalid);
        }
        let (counts, rest) = self.rest.split_at_checked(length).ok_or(Invalid)?;
        self.written.push_str(counts);
        self.rest = rest;
        let factor = most.unwrap_or(least);
        let mut is_too_often = false;
        self.group(|group| {
            let times = match factor {
                0 => 1,
                factor => group.last.max(1) * factor,
            };
            is_too_often = times > MAX_REPEAT && (least >= 2 || factor >= 2);
            // Without an upper count nothing is zero times.
            group.last = match (factor, most) {
                (0, None) => group.last,
                _ => times,
            };
        });
        match is_too_often {
            true => Err(Invalid),
            false => self.repeated(was_repeated),
        }
    }

    // === Groups ===

    fn open(&mut self) -> Result<(), Invalid> {
        if !self.eat("(?") {
            self.next();
            self.written.push('(');
            self.groups.push(Group::default());
            return Ok(());
        }
        if self.eat("P<") || self.eat("<") {
            let (name, rest) = self.rest.split_once('>').ok_or(Invalid)?;
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if name.is_empty() || !is_name {
                return Err(Invalid);
            }
            self.rest = rest;
            self.written.push_str(&format!("(?P<{name}>"));
            self.groups.push(Group::default());
            return Ok(());
        }
        self.flags()
    }

    /// Rule: `i`, `m`, `s` and `U`, those behind `-` are off; `:` begins a group.
    fn flags(&mut self) -> Result<(), Invalid> {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        let mut is_off = false;
        loop {
            match self.next().ok_or(Invalid)? {
                flag @ ('i' | 'm' | 's' | 'U') => {
                    let (to, from) = match is_off {
                        true => (&mut off, &mut on),
                        false => (&mut on, &mut off),
                    };
                    from.retain(|known| *known != flag);
                    if !to.contains(&flag) {
                        to.push(flag);
                    }
                }
                '-' if !is_off && self.peek().is_some_and(|next| next.is_ascii_alphabetic()) => {
                    is_off = true;
                }
                end @ (':' | ')') => {
                    self.write_flags(&on, &off, end);
                    return Ok(());
                }
                _ => return Err(Invalid),
            }
        }
    }

    fn write_flags(&mut self, on: &[char], off: &[char], end: char) {
        let on: String = on.iter().collect();
        let off: String = off.iter().collect();
        let off = if off.is_empty() {
            off
        } else {
            format!("-{off}")
        };
        match (on.is_empty() && off.is_empty(), end) {
            (true, ')') => {}
            _ => self.written.push_str(&format!("(?{on}{off}{end}")),
        }
        if end == ':' {
            self.groups.push(Group::default());
        }
    }

    /// One too many is for the crate to refuse.
    fn close(&mut self) {
        self.next();
        self.written.push(')');
        if self.groups.len() > 1
            && let Some(group) = self.groups.pop()
        {
            let most = group.most.max(group.last).max(1);
            self.group(|outer| outer.push(most));
        }
    }

    // === Escapes ===

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<(), Invalid> {
        let (_, behind) = self.rest.split_at_checked(1).ok_or(Invalid)?;
        match behind.chars().next().ok_or(Invalid)? {
            // Rule: boundaries of words know ASCII only.
            'b' => self.simple("(?-u:\\b)"),
            'B' => self.simple("(?-u:\\B)"),
            'A' => self.simple("\\A"),
            'z' => self.simple("\\z"),
            // Rule: text up to `\E` is itself.
            'Q' => {
                let (_, behind) = behind.split_at_checked(1).ok_or(Invalid)?;
                let (literal, rest) = behind.split_once("\\E").unwrap_or((behind, ""));
                self.written.push_str(&regex::escape(literal));
                self.rest = rest;
            }
            _ => match self.class_of_escape()? {
                Some((members, true)) => self.written.push_str(&format!("[^{members}]")),
                Some((members, false)) => self.written.push_str(&format!("[{members}]")),
                None => {
                    let character = self.escaped()?;
                    self.written.push_str(&written(character));
                }
            },
        }
        self.atom();
        Ok(())
    }

    fn simple(&mut self, written: &str) {
        self.next();
        self.next();
        self.written.push_str(written);
    }

    /// What a class holds that an escape names, and whether it stands for all else.
    fn class_of_escape(&mut self) -> Result<Option<(String, bool)>, Invalid> {
        let letter = self.rest.chars().nth(1).ok_or(Invalid)?;
        if let Some(members) = ascii(letter) {
            self.next();
            self.next();
            return Ok(Some((members.to_owned(), letter.is_ascii_uppercase())));
        }
        if !matches!(letter, 'p' | 'P') {
            return Ok(None);
        }
        self.next();
        self.next();
        let name = match self.next().ok_or(Invalid)? {
            '{' => {
                let (name, rest) = self.rest.split_once('}').ok_or(Invalid)?;
                self.rest = rest;
                name.to_owned()
            }
            one => one.to_string(),
        };
        let (name, is_not) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        Ok(Some((unicode(name)?, is_not != (letter == 'P'))))
    }

    /// A character behind a backslash.
    fn escaped(&mut self) -> Result<char, Invalid> {
        self.next();
        let octal = |digit: Option<char>| digit.and_then(|digit| digit.to_digit(8));
        match self.next().ok_or(Invalid)? {
            // Rule: one digit alone would be what a group matched, which there is not.
            '1'..='7' if octal(self.peek()).is_none() => Err(Invalid),
            first @ '0'..='7' => {
                let mut value = first.to_digit(8).ok_or(Invalid)?;
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek()) else {
                        break;
                    };
                    self.next();
                    value = value * 8 + digit;
                }
                char::from_u32(value).ok_or(Invalid)
            }
            'x' => self.hexadecimal(),
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Ok(other),
            _ => Err(Invalid),
        }
    }

    /// Rule: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<char, Invalid> {
        let digits = if self.eat("{") {
            let (digits, rest) = self.rest.split_once('}').ok_or(Invalid)?;
            self.rest = rest;
            digits
        } else {
            let (digits, rest) = self.rest.split_at_checked(2).ok_or(Invalid)?;
            self.rest = rest;
            digits
        };
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Invalid);
        }
        let digits = match digits.trim_start_matches('0') {
            "" if !digits.is_empty() => "0",
            digits => digits,
        };
        let value = u32::from_str_radix(digits, 16).map_err(|_| Invalid)?;
        char::from_u32(value).ok_or(Invalid)
    }

    // === Classes ===

    /// A class in brackets.
    fn class(&mut self) -> Result<(), Invalid> {
        self.next();
        self.written.push('[');
        if self.eat("^") {
            self.written.push('^');
        }
        let mut is_first = true;
        loop {
            let first = self.peek().ok_or(Invalid)?;
            // Rule: a bracket that comes first is itself.
            if first == ']' && !is_first {
                break;
            }
            is_first = false;
            if self.posix()? {
                continue;
            }
            if first == '\\'
                && let Some((members, is_not)) = self.class_of_escape()?
            {
                let not = if is_not { "^" } else { "" };
                self.written.push_str(&format!("[{not}{members}]"));
                continue;
            }
            self.range()?;
        }
        self.next();
        self.written.push(']');
        self.atom();
        Ok(())
    }

    /// `[:alpha:]` and the like. Rule: there are no others.
    fn posix(&mut self) -> Result<bool, Invalid> {
        let Some(behind) = self.rest.strip_prefix("[:") else {
            return Ok(false);
        };
        let Some((name, rest)) = behind.split_once(":]") else {
            return Ok(false);
        };
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(Invalid);
        }
        self.written.push_str(&format!("[:{name}:]"));
        self.rest = rest;
        Ok(true)
    }

    /// A character, or all from one to another.
    fn range(&mut self) -> Result<(), Invalid> {
        let from = self.member()?;
        self.written.push_str(&written(from));
        let mut behind = self.rest.chars();
        // Rule: in front of the end a hyphen is itself.
        if behind.next() == Some('-') && behind.next().is_some_and(|next| next != ']') {
            self.next();
            let to = self.member()?;
            if to < from {
                return Err(Invalid);
            }
            self.written.push_str(&format!("-{}", written(to)));
        }
        Ok(())
    }

    fn member(&mut self) -> Result<char, Invalid> {
        match self.peek().ok_or(Invalid)? {
            '\\' => self.escaped(),
            other => {
                self.next();
                Ok(other)
            }
        }
    }
}

/// `{1}`, `{1,}` or `{1,2}` at the beginning of a text: least, most, and its length. Rule: a number does
/// not begin with a zero; one that is too long is too much.
fn counts(text: &str) -> Option<(u64, Option<u64>, usize)> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let has_zero = digits.len() > 1 && digits.starts_with('0');
        (is_number && !has_zero).then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let length = inner.len() + 2;
    match inner.split_once(',') {
        None => number(inner).map(|count| (count, Some(count), length)),
        Some((least, "")) => Some((number(least)?, None, length)),
        Some((least, most)) => Some((number(least)?, Some(number(most)?), length)),
    }
}

/// A character as it is written inside and outside of classes.
fn written(character: char) -> String {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_string(),
        other => format!("\\x{{{:x}}}", u32::from(other)),
    }
}
