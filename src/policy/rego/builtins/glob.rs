//! `glob.*`: patterns of text, `*`, `**`, `?`, lists, ranges and alternatives, the way the Go library
//! gobwas/glob, which OPA uses, reads and matches them. The interpreter's are those of paths in a file
//! system: there, `**/a` is found in `a` as well.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Answer, Builtin, Failure, any, text};

/// Longest pattern, in bytes, and its deepest nesting.
const MAX_PATTERN: usize = 4_096;
const MAX_DEPTH: usize = 64;
/// Most steps that matching takes.
const MAX_STEPS: usize = 4_000_000;

/// Characters that stand for themselves only behind a backslash.
const SPECIAL: &[char] = &['*', '?', '\\', '[', ']', '{', '}'];

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("glob.match", 3, matches),
    Builtin::pure("glob.quote_meta", 1, quote_meta),
];

fn matches(arguments: &[Value]) -> Answer {
    let pattern = text(arguments, 0)?;
    let delimiters = delimiters(any(arguments, 1)?)?;
    let subject = text(arguments, 2)?;
    if pattern.len() > MAX_PATTERN {
        return Err(Failure::Limit(
            "a glob pattern of this size is refused".to_owned(),
        ));
    }
    let program = Compiler::compile(pattern)?;
    // Rule: where there is but one text, anything and another text, the two may overlap.
    if let Some((prefix, suffix)) = ends(&program, &delimiters) {
        let has_both = subject.starts_with(&prefix) && subject.ends_with(&suffix);
        return Ok(Value::from(has_both));
    }
    run(&program, &delimiters, subject).map(Value::from)
}

/// Rule: an array of single characters, which is the dot if it is empty; or none, for `null`. In order.
fn delimiters(value: &Value) -> Result<Vec<char>, Failure> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) if items.is_empty() => return Ok(vec!['.']),
        Value::Array(items) => items,
        _ => {
            return Err(Failure::Failed("operand 2 must be one of {array, null}"));
        }
    };
    let single = |item: &Value| {
        let mut characters = item.as_string().ok()?.chars();
        characters.next().filter(|_| characters.next().is_none())
    };
    let delimiters = items.iter().map(single).collect::<Option<Vec<_>>>();
    let mut delimiters = delimiters.ok_or(Failure::Failed(
        "operand 2 must be array of single characters",
    ))?;
    delimiters.sort_unstable();
    Ok(delimiters)
}

fn quote_meta(arguments: &[Value]) -> Answer {
    let mut quoted = String::new();
    for character in text(arguments, 0)?.chars() {
        if SPECIAL.contains(&character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    Ok(Value::from(quoted))
}

/// A step of matching.
#[derive(Debug)]
enum Step {
    /// One character.
    One(Class),
    /// Any number of characters, then on.
    Many(Class),
    /// On at each of these places.
    Fork(Vec<usize>),
}

/// What a character may be.
#[derive(Debug)]
enum Class {
    Exactly(char),
    Any,
    /// Rule: only `*` and `?` stop at delimiters.
    NoDelimiter,
    /// In order.
    List(Vec<char>, Negated),
    /// Both ends within.
    Range(char, char, Negated),
}

type Negated = bool;

impl Class {
    fn has(&self, character: char, delimiters: &[char]) -> bool {
        match self {
            Self::Exactly(one) => *one == character,
            Self::Any => true,
            Self::NoDelimiter => delimiters.binary_search(&character).is_err(),
            Self::List(list, negated) => list.binary_search(&character).is_ok() != *negated,
            Self::Range(low, high, negated) => (*low..=*high).contains(&character) != *negated,
        }
    }
}

/// Reads a pattern.
struct Compiler {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
    program: Vec<Step>,
    depth: usize,
}

// === impl Compiler ===

impl Compiler {
    fn compile(pattern: &str) -> Result<Vec<Step>, Failure> {
        let characters = pattern.chars().collect::<Vec<_>>();
        let mut compiler = Self {
            rest: characters.into_iter().peekable(),
            program: Vec::new(),
            depth: 0,
        };
        compiler.sequence()?;
        Ok(compiler.program)
    }

    /// Parts up to the end, or up to the comma or brace that ends an alternative, which is left.
    fn sequence(&mut self) -> Result<(), Failure> {
        while let Some(next) = self.rest.peek().copied() {
            if self.depth > 0 && matches!(next, ',' | '}') {
                return Ok(());
            }
            self.rest.next();
            match next {
                '*' if self.rest.next_if_eq(&'*').is_some() => self.many(Class::Any),
                '*' => self.many(Class::NoDelimiter),
                '?' => self.one(Class::NoDelimiter),
                '[' => {
                    let class = self.class()?;
                    self.one(class);
                }
                '{' => self.alternatives()?,
                // Rule: a backslash at the end is nothing.
                '\\' => {
                    if let Some(escaped) = self.rest.next() {
                        self.one(Class::Exactly(escaped));
                    }
                }
                character => self.one(Class::Exactly(character)),
            }
        }
        Ok(())
    }

    fn one(&mut self, class: Class) {
        self.program.push(Step::One(class));
    }

    fn many(&mut self, class: Class) {
        self.program.push(Step::Many(class));
    }

    /// Rule: alternatives that are not closed end with the pattern.
    fn alternatives(&mut self) -> Result<(), Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::Limit(
                "a glob pattern nested so deep is refused".to_owned(),
            ));
        }
        self.depth += 1;
        let fork = self.program.len();
        self.program.push(Step::Fork(Vec::new()));
        let (mut begins, mut ends) = (Vec::new(), Vec::new());
        loop {
            begins.push(self.program.len());
            self.sequence()?;
            ends.push(self.program.len());
            self.program.push(Step::Fork(Vec::new()));
            if self.rest.next() != Some(',') {
                break;
            }
        }
        let behind = self.program.len();
        for (at, targets) in ends
            .into_iter()
            .map(|at| (at, vec![behind]))
            .chain([(fork, begins)])
        {
            if let Some(step) = self.program.get_mut(at) {
                *step = Step::Fork(targets);
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// What is in square brackets. Rule: either one range or a list, in which a backslash escapes.
    fn class(&mut self) -> Result<Class, Failure> {
        let open = Failure::Failed("a glob pattern with a bracket that is not closed");
        let negated = self.rest.next_if_eq(&'!').is_some();
        let Some(first) = self.rest.next() else {
            return Err(open);
        };
        if self.rest.next_if_eq(&'-').is_some() {
            let (high, close) = (self.rest.next(), self.rest.next());
            return match (high, close) {
                (Some(high), Some(']')) if first <= high => Ok(Class::Range(first, high, negated)),
                _ => Err(Failure::Failed("a glob pattern with an illegal range")),
            };
        }
        let mut list = Vec::new();
        let mut next = Some(first);
        loop {
            match next {
                None => return Err(open),
                Some(']') => break,
                Some('\\') => list.extend(self.rest.next()),
                Some(character) => list.push(character),
            }
            next = self.rest.next();
        }
        if list.is_empty() {
            return Err(Failure::Failed("a glob pattern with an empty list"));
        }
        list.sort_unstable();
        Ok(Class::List(list, negated))
    }
}

/// The texts at either end of a pattern that has nothing but anything between.
fn ends(program: &[Step], delimiters: &[char]) -> Option<(String, String)> {
    let character = |step: &Step| match step {
        Step::One(Class::Exactly(character)) => Some(*character),
        _ => None,
    };
    let is_anything = |step: &Step| match step {
        Step::Many(Class::NoDelimiter) => delimiters.is_empty(),
        Step::Many(class) => matches!(class, Class::Any),
        _ => false,
    };
    let prefix: String = program.iter().map_while(character).collect();
    let suffix: Vec<char> = program.iter().rev().map_while(character).collect();
    let first = prefix.chars().count();
    let middle = program.get(first..program.len().checked_sub(suffix.len())?)?;
    let are_ends = !prefix.is_empty() && !suffix.is_empty() && !middle.is_empty();
    (are_ends && middle.iter().all(is_anything))
        .then(|| (prefix, suffix.into_iter().rev().collect()))
}

/// Whether all of a text matches: all ways through the pattern at once, so that none is tried twice.
fn run(program: &[Step], delimiters: &[char], subject: &str) -> Result<bool, Failure> {
    let mut steps = 0_usize;
    let mut places = reached(program, [0]);
    for character in subject.chars() {
        steps = steps.saturating_add(places.len());
        if steps > MAX_STEPS {
            return Err(Failure::Limit(format!(
                "matching a glob in more than {MAX_STEPS} steps is refused"
            )));
        }
        let next = places.iter().filter_map(|at| match program.get(*at)? {
            Step::One(class) => class.has(character, delimiters).then_some(at + 1),
            Step::Many(class) => class.has(character, delimiters).then_some(*at),
            Step::Fork(_) => None,
        });
        places = reached(program, next);
    }
    Ok(places.contains(&program.len()))
}

/// The places that can be gone on to from these without a character.
fn reached(program: &[Step], places: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut pending = places.into_iter().collect::<Vec<_>>();
    while let Some(at) = pending.pop() {
        if reached.insert(at) {
            match program.get(at) {
                Some(Step::Many(_)) => pending.push(at + 1),
                Some(Step::Fork(targets)) => pending.extend(targets),
                _ => {}
            }
        }
    }
    reached
}
