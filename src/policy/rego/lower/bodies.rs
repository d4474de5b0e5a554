//! Bodies of a rule that follow each other without `else`. Rule: each is a rule of its own, with the
//! same head and value. The interpreter takes the value of all but the first for `true`, and refuses
//! sets that have several, so the head is written in front of each of them.

use regorus::unstable::{Module, Rule};

use super::keywords::Statements;
use super::moved::Source;
use super::syntax::{Range, Text, begin};
use super::tokens::{Kind, Token, tokens};
use super::{Fault, Output, SourceMap, offset_at};

/// Most that heads come to which are written once more.
const MAX_WRITTEN: usize = 8 << 20;
/// How the parser says that a set has several bodies, at the second of them.
const SEVERAL: &str = "else cannot be used with set rules";

/// Lowers sets, in a text that the interpreter's parser takes but for their bodies; any other is left for
/// the parser to refuse.
pub(super) fn lower_sets(text: &Text) -> Result<SourceMap, Fault> {
    let sets = match text.refusal() {
        Some(error) if error.message.contains(SEVERAL) => of_sets(text, text.v0),
        _ => Vec::new(),
    };
    write(text, &sets)
}

/// Lowers other rules, in a text that the parser takes.
pub(super) fn lower(text: &Text) -> Result<SourceMap, Fault> {
    let rules = text.tree().map(|module| of_rules(text, module));
    write(text, &rules.unwrap_or_default())
}

/// Bodies that get a head: where they begin.
struct Bodies {
    head: String,
    places: Vec<usize>,
}

fn write(text: &str, rules: &[Bodies]) -> Result<SourceMap, Fault> {
    let mut output = Output::new(text);
    let mut copied = 0;
    let mut written = 0;
    for Bodies { head, places } in rules {
        for &place in places {
            written += head.len();
            if written > MAX_WRITTEN {
                let message = "rules with several bodies are too long for each to stand alone";
                return Err((place, message.to_owned()));
            }
            output.copy(copied, place);
            output.put(head, place);
            copied = place;
        }
    }
    output.copy(copied, text.len());
    Ok(output.finish())
}

fn of_rules(text: &str, module: &Module) -> Vec<Bodies> {
    let rules = module.policy.iter().map(AsRef::as_ref);
    let several: Vec<_> = rules
        .filter(|rule| later_bodies(rule).next().is_some())
        .collect();
    if several.is_empty() {
        return Vec::new();
    }
    let source = Source::of(text, module);
    let bodies = several.into_iter().map(|rule| Bodies {
        head: head(text, &source, rule),
        places: later_bodies(rule).collect(),
    });
    bodies.collect()
}

/// Where each body begins that follows another without `else`.
fn later_bodies(rule: &Rule) -> impl Iterator<Item = usize> {
    let bodies = match rule {
        Rule::Spec { bodies, .. } => bodies.as_slice(),
        Rule::Default { .. } => &[],
    };
    let later = bodies.iter().skip(1).filter(|body| !body.is_else);
    later.map(|body| begin(&body.span))
}

/// What stands in front of a rule's first body, with the `if` that leads it.
fn head(text: &str, source: &Source<'_>, rule: &Rule) -> String {
    let first = match rule {
        Rule::Spec { bodies, .. } => bodies.first(),
        Rule::Default { .. } => None,
    };
    let end = first.map_or(text.len(), |body| begin(&body.span));
    let body = text.get(end..).unwrap_or_default();
    let sign = if body.starts_with("if") { " if " } else { " " };
    format!(" {}{sign}", source.part((begin(rule.span()), end)))
}

/// Looks at each statement alone: the parser ends at the first that it refuses.
fn of_sets(text: &str, v0: bool) -> Vec<Bodies> {
    let statements = Statements::of(text);
    let place = |index| statements.place(index);
    let ranges: Vec<_> = statements.ranges().collect();
    let keywords = ranges.iter().filter(|(first, _)| {
        let imported = statements.word(first + 1);
        statements.word(*first) == "import" && matches!(imported, "future" | "rego")
    });
    let mut before = "package p\n".to_owned();
    let mut known: Vec<&str> = Vec::new();
    for &(first, end) in keywords {
        let import = text.get(place(first)..place(end)).unwrap_or_default();
        if !known.contains(&import.trim()) {
            known.push(import.trim());
            before.extend([import, "\n"]);
        }
    }
    let all = tokens(text);
    let rules = ranges.iter().filter_map(|&(first, end)| {
        let rule = text.get(place(first)..place(end))?;
        let alone = format!("{before}{rule}");
        let found = of_set(&alone, v0)?;
        let second = place(first) + found.places.first()? - before.len();
        Some(Bodies {
            head: found.head,
            places: blocks(text, &all, (second, place(end))),
        })
    });
    rules.collect()
}

/// The second body of the set that a text ends with, if the parser refuses it.
fn of_set(text: &str, v0: bool) -> Option<Bodies> {
    let error = Text::new(text.to_owned(), v0).refusal();
    let error = error.filter(|error| error.message.contains(SEVERAL))?;
    let second = offset_at(text, error.row, error.col)?;
    let whole = Text::new(text.get(..second)?.to_owned(), v0);
    let module = whole.tree()?;
    let [rule] = module.policy.as_slice() else {
        return None;
    };
    Some(Bodies {
        head: head(&whole, &Source::of(&whole, module), rule),
        places: vec![second],
    })
}

/// Where blocks in braces begin that stand one behind the other.
fn blocks(text: &str, all: &[Token], range: Range) -> Vec<usize> {
    let first = all.partition_point(|token| token.begin < range.0);
    let inside = all.iter().skip(first);
    let mut places = Vec::new();
    let mut depth = 0usize;
    for token in inside.take_while(|token| token.end <= range.1) {
        let is_brace = text.get(token.begin..token.end) == Some("{");
        match token.kind {
            _ if depth == 0 && !is_brace => break,
            Kind::Open => {
                if depth == 0 {
                    places.push(token.begin);
                }
                depth += 1;
            }
            Kind::Close => depth -= 1,
            _ => {}
        }
    }
    places
}
