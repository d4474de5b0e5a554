//! `regex.globs_match`: whether some text matches both of two globs, which are patterns of
//! characters, `.`, sets like `[a-z]`, and `+` and `*` behind one of them.

use std::iter::Peekable;
use std::str::Chars;

use regorus::Value;

use super::{Answer, Builtin, Failure, text};

/// Longest glob, in characters.
const MAX_GLOB: usize = 4_096;
/// Most pairs of characters and ranges that are compared.
const MAX_STEPS: usize = 1_000_000;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("regex.globs_match", 2, globs_match)];

fn globs_match(arguments: &[Value]) -> Answer {
    let (one, other) = (tokens(text(arguments, 0)?)?, tokens(text(arguments, 1)?)?);
    let Some((one, other)) = trim(&one, &other) else {
        return Ok(Value::from(false));
    };
    let mut search = Search { steps: 0 };
    search.normal(one, other).map(Value::from)
}

// === Tokens ===

/// What one character may be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Character(char),
    Any,
    /// Ranges of characters, both ends within.
    Set(Vec<(char, char)>),
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Once,
    /// `+`
    Some,
    /// `*`
    Many,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    kind: Kind,
    flag: Flag,
}

impl Token {
    fn meets(&self, other: &Self) -> bool {
        let overlap =
            |one: &(char, char), other: &(char, char)| one.0 <= other.1 && other.0 <= one.1;
        match (&self.kind, &other.kind) {
            (Kind::Any, _) | (_, Kind::Any) => true,
            (Kind::Character(one), Kind::Character(other)) => one == other,
            (Kind::Character(one), Kind::Set(set)) | (Kind::Set(set), Kind::Character(one)) => {
                set.iter().any(|range| overlap(range, &(*one, *one)))
            }
            (Kind::Set(one), Kind::Set(other)) => one
                .iter()
                .any(|range| other.iter().any(|other| overlap(range, other))),
        }
    }

    /// How many comparisons it takes to tell whether tokens meet.
    fn pairs(&self, other: &Self) -> usize {
        let ranges = |token: &Self| match &token.kind {
            Kind::Set(ranges) => ranges.len().max(1),
            _ => 1,
        };
        ranges(self) * ranges(other)
    }

    fn is_plain(&self) -> bool {
        self.flag == Flag::Once
    }
}

type Rest<'a> = Peekable<Chars<'a>>;

fn tokens(glob: &str) -> Result<Vec<Token>, Failure> {
    if glob.chars().count() > MAX_GLOB {
        return Err(Failure::Limit("a glob of this size is refused".to_owned()));
    }
    let mut rest = glob.chars().peekable();
    let mut tokens: Vec<Token> = Vec::new();
    while let Some((character, escaped)) = next(&mut rest)? {
        let kind = match character {
            _ if escaped => Kind::Character(character),
            '.' => Kind::Any,
            '[' => Kind::Set(set(&mut rest)?),
            ']' => return Err(Failure::Failed("set-close ']' with no preceding '['")),
            '+' | '*' => return Err(Failure::Failed("a flag must be preceded by a non-flag")),
            other => Kind::Character(other),
        };
        let flag = match rest.next_if(|next| matches!(next, '+' | '*')) {
            Some('+') => Flag::Some,
            Some(_) => Flag::Many,
            None => Flag::Once,
        };
        let token = Token { kind, flag };
        // Rule: of the same token with the same flag again, one is left.
        if token.is_plain() || tokens.last() != Some(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// The next character, and whether it was escaped.
fn next(rest: &mut Rest<'_>) -> Result<Option<(char, bool)>, Failure> {
    match rest.next() {
        Some('\\') => match rest.next() {
            Some(escaped) => Ok(Some((escaped, true))),
            None => Err(Failure::Failed("input ends with an escape character")),
        },
        Some(character) => Ok(Some((character, false))),
        None => Ok(None),
    }
}

/// What stands behind `[`.
fn set(rest: &mut Rest<'_>) -> Result<Vec<(char, char)>, Failure> {
    let mut ranges = Vec::new();
    // The character that a range may begin with.
    let mut first = None;
    while let Some((character, escaped)) = next(rest)? {
        match character {
            ']' if !escaped => return Ok(ranges),
            '-' if !escaped => {
                let from: char = first.take().ok_or(Failure::Failed(
                    "range character '-' must be preceded by a character",
                ))?;
                let to = match next(rest)? {
                    Some((']' | '-', false)) | None => None,
                    Some((to, _)) => Some(to),
                };
                match to {
                    Some(to) if from <= to => ranges.push((from, to)),
                    _ => return Err(Failure::Failed("a range is broken or out of order")),
                }
            }
            character => {
                first = Some(character);
                ranges.push((character, character));
            }
        }
    }
    Err(Failure::Failed("found [ without matching ]"))
}

// === Intersection ===

/// Rule: plain tokens at both beginnings and both ends must meet, and are then of no interest, but for
/// one on each side.
fn trim<'t>(one: &'t [Token], other: &'t [Token]) -> Option<(&'t [Token], &'t [Token])> {
    let plain = |pair: &(&Token, &Token)| pair.0.is_plain() && pair.1.is_plain();
    let meet = |pair: (&Token, &Token)| pair.0.meets(pair.1);
    let same = one.iter().zip(other).take_while(plain).count();
    if !one.iter().zip(other).take(same).all(meet) {
        return None;
    }
    let same = same.saturating_sub(1);
    let (one, other) = (one.get(same..)?, other.get(same..)?);
    let ends = || one.iter().rev().zip(other.iter().rev());
    let same = ends().take_while(plain).count();
    if !ends().take(same).all(meet) {
        return None;
    }
    let same = same.saturating_sub(1);
    Some((
        one.get(..one.len() - same)?,
        other.get(..other.len() - same)?,
    ))
}

struct Search {
    steps: usize,
}

impl Search {
    fn step(&mut self, pairs: usize) -> Result<(), Failure> {
        self.steps += pairs;
        match self.steps > MAX_STEPS {
            true => Err(Failure::Limit("globs like these are refused".to_owned())),
            false => Ok(()),
        }
    }

    fn normal(&mut self, mut one: &[Token], mut other: &[Token]) -> Result<bool, Failure> {
        while let (Some((first, rest)), Some((second, more))) =
            (one.split_first(), other.split_first())
        {
            self.step(first.pairs(second))?;
            if first.is_plain() && second.is_plain() {
                if !first.meets(second) {
                    return Ok(false);
                }
                (one, other) = (rest, more);
                continue;
            }
            let (flagged, plain, token) = match first.is_plain() {
                true => (other, one, second),
                false => (one, other, first),
            };
            return match (token.flag, plain.split_first()) {
                (Flag::Some, Some((next, rest))) => {
                    Ok(token.meets(next) && self.repeated(flagged, rest)?)
                }
                _ => self.repeated(flagged, plain),
            };
        }
        Ok(one.is_empty() && other.is_empty())
    }

    /// Rule: the repeated token takes what meets it; what meets the token behind it is tried as that
    /// first. When there is nothing left to take, nothing may stand behind it.
    fn repeated(&mut self, repeated: &[Token], other: &[Token]) -> Result<bool, Failure> {
        let Some((token, behind)) = repeated.split_first() else {
            return Ok(false);
        };
        let mut rest = other;
        while let Some((next, more)) = rest.split_first() {
            let pairs = behind.first().map_or(0, |behind| next.pairs(behind));
            self.step(pairs + next.pairs(token))?;
            let ends = behind.first().is_some_and(|behind| next.meets(behind));
            if ends && self.normal(behind, rest)? {
                return Ok(true);
            }
            if !next.meets(token) {
                return Ok(false);
            }
            rest = more;
        }
        Ok(behind.is_empty())
    }
}
