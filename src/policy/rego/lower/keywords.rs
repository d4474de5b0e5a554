//! References that begin with a keyword, as `if.foo := 1`. Such a rule is moved, at its place, into
//! a text of its own whose package ends in the keyword; a reference to it is written in full. What
//! is not certain to mean the same there is refused.

use std::collections::BTreeSet;

use super::names::Names;
use super::syntax::{Text, package_of};
use super::tokens::{Kind, Token, tokens};
use super::{Fault, Output, SourceMap};

/// Words that are no names, unless a dot stands before or behind.
const KEYWORDS: &[&str] = &[
    "as", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package",
    "some", "true", "with",
];
/// After these words a statement goes on.
const OPEN_WORDS: &[&str] = &[
    "as", "contains", "default", "else", "every", "if", "import", "in", "not", "package", "some",
    "with",
];
/// These words continue a statement.
const CONTINUING: &[&str] = &["as", "contains", "else", "if", "in", "with"];

/// The pairs of a `walk`, one after the other.
const WALKED: &str = "__walked__";

/// A text and what was moved out of it.
pub(super) struct Split {
    pub(super) texts: Vec<String>,
    /// Between the text before and after references were written in full. Moving keeps places.
    pub(super) map: SourceMap,
}

/// Tokens of a module, grouped.
pub(super) struct Statements<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// First token and the one after the last.
    ranges: Vec<(usize, usize)>,
}

/// A rule whose name begins with keywords.
struct Moved {
    keywords: String,
    /// Where the name begins and where what is left of it does.
    name: (usize, usize),
    /// Token range.
    range: (usize, usize),
}

/// Splits a module. Without `names` no keyword begins a reference.
pub(super) fn module(text: &str, names: Option<&Names>) -> Result<Split, Fault> {
    let statements = Statements::of(text);
    let mut edits: Vec<_> = statements.walks().collect();
    let mut moved = Vec::new();
    let package = statements.package().unwrap_or_default();
    if names.is_some() {
        moved = statements.moved()?;
        edits.extend(statements.written_in_full(&moved, &package)?);
    }
    edits.sort();
    let mut output = Output::new(text);
    let mut copied = 0;
    for (at, insertion) in edits {
        output.copy(copied, at);
        output.put(&insertion, at);
        copied = at;
    }
    output.copy(copied, text.len());
    let map = output.finish();
    let texts = match names {
        Some(names) if !moved.is_empty() => statements.texts(&map, &moved, &package, names)?,
        _ => vec![map.lowered.clone()],
    };
    Ok(Split { texts, map })
}

/// Whether a text may stand behind a dot.
pub(super) fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = text.starts_with(|first: char| !first.is_ascii_digit());
    begins && text.bytes().all(is_word) && !KEYWORDS.contains(&text)
}

// === impl Statements ===

impl<'a> Statements<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut statements = Self {
            text,
            tokens: tokens(text),
            ranges: Vec::new(),
        };
        let mut depth = 0usize;
        let mut begins = Vec::new();
        for (index, token) in statements.tokens.iter().enumerate() {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                Kind::Word if depth == 0 && statements.begins_statement(index) => {
                    begins.push(index);
                }
                _ => {}
            }
        }
        let ends = begins.iter().skip(1).copied();
        let ends = ends.chain([statements.tokens.len()]);
        statements.ranges = begins.iter().copied().zip(ends).collect();
        statements
    }

    /// First token of each statement, and the one after its last.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.ranges.iter().copied()
    }

    /// Where a token begins.
    pub(super) fn place(&self, index: usize) -> usize {
        let token = self.tokens.get(index);
        token.map_or(self.text.len(), |token| token.begin)
    }

    /// Whether an offset lies within a token, as in a string of several lines.
    pub(super) fn is_within_token(&self, at: usize) -> bool {
        let before = self.tokens.partition_point(|token| token.begin < at);
        let token = before.checked_sub(1).and_then(|last| self.tokens.get(last));
        token.is_some_and(|token| token.end > at)
    }

    pub(super) fn word(&self, index: usize) -> &'a str {
        let token = self.tokens.get(index);
        token
            .and_then(|token| self.text.get(token.begin..token.end))
            .unwrap_or_default()
    }

    /// Whether a dot stands right before a token.
    pub(super) fn is_field(&self, index: usize) -> bool {
        index
            .checked_sub(1)
            .is_some_and(|before| self.word(before) == "." && self.adjoins(before))
    }

    /// Whether the next token stands right behind this one.
    fn adjoins(&self, index: usize) -> bool {
        match (self.tokens.get(index), self.tokens.get(index + 1)) {
            (Some(token), Some(next)) => token.end == next.begin,
            _ => false,
        }
    }

    /// Whether a token is a keyword with a field right behind it, which makes it a name.
    fn is_keyword_reference(&self, index: usize) -> bool {
        KEYWORDS.contains(&self.word(index))
            && !self.is_field(index)
            && self.adjoins(index)
            && self.word(index + 1) == "."
            && self.adjoins(index + 1)
            && matches!(
                self.tokens.get(index + 2),
                Some(Token {
                    kind: Kind::Word,
                    ..
                })
            )
    }

    fn begins_statement(&self, index: usize) -> bool {
        let reference = self.is_keyword_reference(index);
        if self.is_field(index) || (CONTINUING.contains(&self.word(index)) && !reference) {
            return false;
        }
        let Some(before) = index.checked_sub(1) else {
            return true;
        };
        match self.tokens.get(before).map(|token| token.kind) {
            Some(Kind::Close | Kind::Literal) => true,
            Some(Kind::Word) => self.is_field(before) || !OPEN_WORDS.contains(&self.word(before)),
            _ => false,
        }
    }

    /// Path of the package, as it is written.
    fn package(&self) -> Option<String> {
        let range = self
            .ranges
            .iter()
            .find(|range| self.word(range.0) == "package")?;
        let path = (range.0 + 1..range.1).map(|index| self.word(index));
        Some(path.collect())
    }

    /// The same as a name: its parts joined by dots.
    pub(super) fn package_name(&self) -> String {
        let module = self.header().and_then(Text::into_tree);
        module.map_or_else(String::new, |module| package_of(&module))
    }

    /// All up to the end of the package's statement, if that comes first.
    pub(super) fn header(&self) -> Option<Text> {
        let (first, end) = *self.ranges.first()?;
        let text = self.text.get(..self.place(end))?;
        // Version 0 declares packages in the same way.
        (self.word(first) == "package").then(|| Text::new(text.to_owned(), false))
    }

    /// Index of the token that a rule's name begins with.
    pub(super) fn name_of(&self, (begin, _): (usize, usize)) -> Option<usize> {
        match self.word(begin) {
            _ if self.is_keyword_reference(begin) => Some(begin),
            "package" | "import" => None,
            "default" => Some(begin + 1),
            _ => Some(begin),
        }
    }

    pub(super) fn rule_names(&self) -> impl Iterator<Item = &'a str> {
        let names = self.ranges.iter().filter_map(|range| self.name_of(*range));
        names
            .filter(|index| !self.is_keyword_reference(*index))
            .map(|index| self.word(index))
    }

    /// Whether an import goes by this name.
    fn imports(&self, name: &str) -> bool {
        self.import_names().any(|import| import == name)
    }

    pub(super) fn import_names(&self) -> impl Iterator<Item = &'a str> {
        let imports = self.ranges.iter().filter(|range| self.is_import(**range));
        imports.map(|range| self.word(range.1 - 1))
    }

    fn is_import(&self, (begin, _): (usize, usize)) -> bool {
        self.word(begin) == "import" && !self.is_keyword_reference(begin)
    }

    /// Calls of `walk` for a value. Rule: such a call has each pair of a path and a value as its
    /// value, one after the other; the interpreter takes its argument for a pattern of them. In a
    /// comprehension what is undefined is no pair, and not an error.
    fn walks(&self) -> impl Iterator<Item = (usize, String)> {
        let defined = self.rule_names().any(|name| name == "walk") || self.imports("walk");
        let words = self.tokens.iter().enumerate().filter(move |(index, _)| {
            self.word(*index) == "walk" && !defined && !self.is_field(*index)
        });
        words
            .filter_map(|(index, token)| {
                let end = self.end_of_call(index + 1)?;
                Some([
                    (token.begin, format!("[{WALKED} | {WALKED} := internal.")),
                    (end, "[_]][_]".to_owned()),
                ])
            })
            .flatten()
    }

    /// Where the arguments that begin with this bracket end, if it is one argument.
    fn end_of_call(&self, open: usize) -> Option<usize> {
        if self.word(open) != "(" {
            return None;
        }
        let mut depth = 0usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                Kind::Symbol if depth == 1 && self.word(index) == "," => return None,
                _ => {}
            }
            if depth == 0 {
                return Some(token.end);
            }
        }
        None
    }

    /// What stands in front of each reference that begins with a keyword and is no rule's name.
    fn written_in_full(
        &self,
        moved: &[Moved],
        package: &str,
    ) -> Result<Vec<(usize, String)>, Fault> {
        let mut edits = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let is_head = moved.iter().any(|rule| rule.name.0 == token.begin);
            if !self.is_keyword_reference(index) || is_head {
                continue;
            }
            let word = self.word(index);
            let known = moved
                .iter()
                .any(|rule| rule.keywords.split('.').next() == Some(word));
            if !known || self.imports(word) {
                let message = format!("`{word}` begins a reference, but no rule of this module");
                return Err((token.begin, message));
            }
            edits.push((token.begin, format!("data.{package}.")));
        }
        Ok(edits)
    }

    fn moved(&self) -> Result<Vec<Moved>, Fault> {
        let mut moved = Vec::new();
        for range in &self.ranges {
            let Some(name) = self.name_of(*range) else {
                continue;
            };
            let mut rest = name;
            let mut keywords = Vec::new();
            while KEYWORDS.contains(&self.word(rest)) && self.word(rest + 1) == "." {
                keywords.push(self.word(rest));
                rest += 2;
            }
            let (Some(begin), Some(end)) = (self.tokens.get(name), self.tokens.get(rest)) else {
                continue;
            };
            if keywords.is_empty() {
                continue;
            }
            if KEYWORDS.contains(&self.word(rest)) {
                let message = "a rule whose name is made of keywords alone is not supported";
                return Err((begin.begin, message.to_owned()));
            }
            moved.push(Moved {
                keywords: keywords.join("."),
                name: (begin.begin, end.begin),
                range: *range,
            });
        }
        Ok(moved)
    }

    /// The text without the moved rules, and one text for each package they move to.
    fn texts(
        &self,
        map: &SourceMap,
        moved: &[Moved],
        package: &str,
        names: &Names,
    ) -> Result<Vec<String>, Fault> {
        let place = |(begin, end): (usize, usize)| {
            let begin = self.tokens.get(begin).map_or(0, |token| token.begin);
            let end = end.checked_sub(1).and_then(|last| self.tokens.get(last));
            let end = end.map_or(self.text.len(), |token| token.end);
            (map.lowered_offset(begin), map.lowered_offset(end))
        };
        self.check_names(moved, package, names)?;
        let mut rest = map.lowered.clone();
        for rule in moved {
            blank(&mut rest, place(rule.range));
        }
        let mut texts = vec![rest];
        let packages: BTreeSet<_> = moved.iter().map(|rule| &rule.keywords).collect();
        for keywords in packages {
            let rules: Vec<_> = moved
                .iter()
                .filter(|rule| rule.keywords == *keywords)
                .collect();
            let mut text = String::new();
            let mut at = 0;
            for range in &self.ranges {
                let (begin, end) = place(*range);
                push_blank(&mut text, map.lowered.get(at..begin).unwrap_or_default());
                let statement = map.lowered.get(begin..end).unwrap_or_default();
                if let Some(rule) = rules.iter().find(|rule| rule.range == *range) {
                    let (name, rest) = rule.name;
                    let (name, rest) = (map.lowered_offset(name), map.lowered_offset(rest));
                    text.push_str(map.lowered.get(begin..name).unwrap_or_default());
                    push_blank(&mut text, map.lowered.get(name..rest).unwrap_or_default());
                    text.push_str(map.lowered.get(rest..end).unwrap_or_default());
                } else if self.is_import(*range) {
                    text.push_str(statement);
                } else if self.word(range.0) == "package" {
                    text.push_str(&format!("package {package}.{keywords}"));
                } else {
                    push_blank(&mut text, statement);
                }
                at = end;
            }
            texts.push(text);
        }
        Ok(texts)
    }

    /// Refuses names of rules in moved rules: there they would mean nothing, or a variable.
    fn check_names(&self, moved: &[Moved], package: &str, names: &Names) -> Result<(), Fault> {
        let known: BTreeSet<_> = names.of_package(&self.package_name()).collect();
        for rule in moved {
            for index in rule.range.0..rule.range.1 {
                let Some(token) = self.tokens.get(index) else {
                    continue;
                };
                let (name, rest) = rule.name;
                let in_head = token.begin >= name && token.begin <= rest;
                let word = self.word(index);
                let is_rule = known.contains(word)
                    || moved.iter().any(|rule| self.rest_of_name(rule) == word);
                if token.kind == Kind::Word && !self.is_field(index) && !in_head && is_rule {
                    let message =
                        format!("in this rule, `{word}` must be written `data.{package}.{word}`");
                    return Err((token.begin, message));
                }
            }
        }
        Ok(())
    }

    /// The first word of a moved rule's name that is left.
    fn rest_of_name(&self, rule: &Moved) -> &'a str {
        let tokens = &self.tokens;
        let index = tokens.partition_point(|token| token.begin < rule.name.1);
        self.word(index)
    }
}

/// Makes spaces of all but line ends.
fn push_blank(text: &mut String, from: &str) {
    text.extend(from.bytes().map(|byte| match byte {
        b'\n' | b'\r' => char::from(byte),
        _ => ' ',
    }));
}

fn blank(text: &mut String, (begin, end): (usize, usize)) {
    let mut spaces = String::new();
    push_blank(&mut spaces, text.get(begin..end).unwrap_or_default());
    text.replace_range(begin..end, &spaces);
}
