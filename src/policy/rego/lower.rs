//! Language that the interpreter lacks or takes otherwise than OPA, written in what it has, in front
//! of its parser: template strings, references that begin with a keyword, bodies without `else`, names
//! of variables and imports, arguments under `not`, loops over what is no collection, `walk` as a value,
//! operators, `rego.metadata.*`. Places map back, and what cannot be lowered is refused. Hashes and
//! listings are over the original text, never over this.

mod arguments;
mod bodies;
mod imports;
mod coverage;
mod elements;
mod functions;
mod keywords;
mod lines;
mod loops;
mod metadata;
mod moved;
mod names;
mod negation;
mod operators;
mod otherwise;
mod parameters;
mod patterns;
mod prints;
mod replaced;
mod shadows;
mod syntax;
mod template;
pub(super) mod testing;
mod tokens;
mod waiting;
mod with;

use super::module::package_of;
use super::{RegoError, builtins, guard};
use regorus::unstable::Ref;
use syntax::{Text, not_supported};

pub(super) use functions::functions;
pub(super) use lines::check as check_lines;
pub(super) use names::{Names, OwnNames};
pub(super) use operators::operators;
pub(super) use parameters::parameters;
pub(super) use patterns::patterns;
pub(super) use prints::prints;
pub(super) use replaced::replaceable;
pub(super) use syntax::edited;

/// A module or query in the parser's language.
#[derive(Debug)]
pub(super) struct Lowered {
    original: String,
    /// What is parsed: nearly always one text; a rule head that begins with a keyword gets its own.
    pub(super) texts: Vec<String>,
    /// From the original to the first text, step by step.
    steps: Vec<Pieces>,
}

/// Lowered text, and where it comes from.
#[derive(Debug, Default)]
struct SourceMap {
    lowered: String,
    pieces: Pieces,
}

/// In the order of the lowered text.
#[derive(Debug, Default)]
struct Pieces(Vec<Piece>);

/// The beginning of what was copied or put in.
#[derive(Debug, Clone, Copy)]
struct Piece {
    lowered: usize,
    original: usize,
    copied: bool,
}

/// A text on its way through the steps.
struct Way {
    text: Text,
    steps: Vec<Pieces>,
}

/// Lowered text in the making.
struct Output<'a> {
    original: &'a str,
    text: String,
    pieces: Vec<Piece>,
}

/// What is wrong at an offset of the original.
type Fault = (usize, String);

/// Lowers a module. `names` are those of all modules.
pub(super) fn module(
    path: &str,
    text: &str,
    v0: bool,
    names: &Names,
) -> Result<Lowered, RegoError> {
    let text = without_mark(text);
    // Rule: version 0 has no keywords that a dot makes names.
    let of_keywords = if v0 { None } else { Some(names) };
    let refuse = |(offset, message)| {
        let (row, col) = row_and_column(text, offset);
        RegoError {
            code: "rego_parse_error",
            message,
            file: path.to_owned(),
            row,
            col,
        }
    };
    let mut way = Way::new(text.to_owned(), v0);
    way.step(metadata::lower(&way.text, names.annotations()));
    way.step(lines::lower(&way.text));
    let templates = template::lower(&way.text).map_err(|fault| refuse(way.original(fault)))?;
    way.step(templates);
    let split = keywords::module(&way.text, of_keywords);
    let split = split.map_err(|fault| refuse(way.original(fault)))?;
    way.step(split.map);
    let (mut texts, mut rest_of_first) = (Vec::new(), None);
    for text in split.texts {
        // The parser, which these steps use, must not be given what would exhaust it.
        guard::check_module(path, &text)?;
        let rest = structure(text, v0, names).map_err(|fault| refuse(way.original(fault)))?;
        texts.push(rest.text.into_text());
        // Of a text that was split off, places are those before this step: rows are right.
        rest_of_first.get_or_insert(rest.steps);
    }
    let mut steps = way.steps;
    steps.extend(rest_of_first.unwrap_or_default());
    Ok(Lowered {
        original: text.to_owned(),
        texts,
        steps,
    })
}

/// The steps that look at the syntax tree.
fn structure(text: String, v0: bool, names: &Names) -> Result<Way, Fault> {
    let mut way = Way::new(text, v0);
    let sets = bodies::lower_sets(&way.text).map_err(|fault| way.original(fault))?;
    way.step(sets);
    let bodies = bodies::lower(&way.text).map_err(|fault| way.original(fault))?;
    way.step(bodies);
    way.step(elements::lower(&way.text));
    way.step(shadows::lower(&way.text, names));
    way.step(imports::lower(&way.text, names));
    for count in 0.. {
        let (loops, more) = loops::lower(&way.text, names, count);
        let more = more.map(|at| way.original((at, not_supported("what stands here"))));
        way.step(loops);
        match more {
            Some(more) if count == loops::MAX_TIMES => return Err(more),
            Some(_) => {}
            None => break,
        }
    }
    way.step(otherwise::lower(&way.text));
    let with = with::lower(&way.text, names).map_err(|fault| way.original(fault))?;
    way.step(with);
    let negation = negation::lower(&way.text, names).map_err(|fault| way.original(fault))?;
    way.step(negation);
    way.step(waiting::lower(&way.text));
    Ok(way)
}

/// Refuses names that the names put in could be: one of a policy's own would be taken for the other.
pub(super) fn check_names(path: &str, text: &str) -> Result<(), RegoError> {
    if !PUT_IN.iter().any(|begin| text.contains(begin)) {
        return Ok(());
    }
    // What is put in may also stand behind a name.
    let is_taken =
        |word: &str| word.contains(OWN) || PUT_IN.iter().any(|begin| word.starts_with(begin));
    let taken = tokens::tokens(text).into_iter().find(|token| {
        let word = text.get(token.begin..token.end).unwrap_or_default();
        token.kind == tokens::Kind::Word && is_taken(word)
    });
    let Some(token) = taken else { return Ok(()) };
    let (row, col) = row_and_column(text, token.begin);
    Err(RegoError {
        code: "rego_parse_error",
        message: format!("names that begin with {} are taken", PUT_IN.join(", ")),
        file: path.to_owned(),
        row,
        col,
    })
}

/// The package that a module declares, and the line on which it does; `None` if that cannot be told.
pub(super) fn package(text: &str) -> Option<(Vec<String>, u64)> {
    let header = keywords::Statements::of(without_mark(text)).header()?;
    package_of(header.tree()?)
}

/// Rule: a byte order mark in front of a module is none of it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Lowers a query; a reference that begins with a keyword has no package to be in.
pub(super) fn query(text: &str) -> Result<String, String> {
    let templates = template::lower(text).map_err(|(_, message)| message)?;
    let split = keywords::module(&templates.lowered, None).map_err(|(_, message)| message)?;
    evaluated_query(&split.map.lowered)
}

/// A query as it is evaluated. One that is nothing for the parser stays as it is.
pub(super) fn evaluated_query(query: &str) -> Result<String, String> {
    let (begin, end) = ("package query\nanswer if {\n", "\n}\n");
    let written = evaluated(format!("{begin}{query}{end}")).map_err(|error| error.message)?;
    let query = written
        .strip_prefix(begin)
        .and_then(|it| it.strip_suffix(end));
    let query = query.ok_or_else(|| not_supported("this query"))?;
    Ok(query.to_owned())
}

/// A module of no functions as it is evaluated, for which no built-in is replaced.
pub(super) fn evaluated(text: String) -> Result<String, RegoError> {
    let mut text = text;
    for step in [patterns, operators, prints] {
        let tree = Text::new(text.clone(), false).into_tree();
        let Some(tree) = tree else { continue };
        let written = step(&[Ref::new(tree)])?;
        if let Some(written) = written.and_then(|all| all.into_iter().next()) {
            text = written.text;
        }
    }
    Ok(text)
}

/// What names of arguments under `not` begin with.
pub(super) const ARGUMENT: &str = "__argument_";
/// What names of functions begin with that stand for built-ins.
const REPLACED: &str = "__doorward_built_in_";
/// What all names begin with that are put in.
pub(super) const PUT_IN: [&str; 5] = [ARGUMENT, with::NAME, "__template_", loops::ELEMENT, OWN];
const OWN: &str = "__doorward_";
/// What stands in front of the name of a variable that is named as a document is.
pub(super) const LOCAL: &str = "__doorward_local_";
/// What `walk` for a value is lowered to: all of its pairs.
const WALK_FUNCTION: &str = "internal.walk";

/// Whether lowered text calls a function that no policy names.
pub(super) fn is_function(name: &str) -> bool {
    let functions = [
        loops::FUNCTION,
        template::FUNCTION,
        testing::FUNCTION,
        WALK_FUNCTION,
    ];
    functions.contains(&name)
}

/// Whether a name in lowered text stands for what is put in place by `with`, and was evaluated before.
pub(super) fn is_value_put_in(name: &str) -> bool {
    name.starts_with(with::NAME)
}

/// Puts the functions that lowered text calls into the interpreter.
pub(super) fn register(engine: &mut regorus::Engine) -> anyhow::Result<()> {
    let render = |arguments: Vec<regorus::Value>| template::render(&arguments);
    engine.add_extension(template::FUNCTION.to_owned(), 1, Box::new(render))?;
    engine.add_extension(loops::FUNCTION.to_owned(), 1, Box::new(loops::collection))?;
    engine.add_extension(testing::FUNCTION.to_owned(), 1, Box::new(testing::note))?;
    engine.add_extension(prints::BOUNDED.to_owned(), 1, Box::new(prints::bounded))?;
    let shaped = |arguments: Vec<regorus::Value>| Ok(patterns::shaped(&arguments));
    engine.add_extension(patterns::SHAPED.to_owned(), 2, Box::new(shaped))?;
    let members = |arguments: Vec<regorus::Value>| Ok(patterns::members(&arguments));
    engine.add_extension(patterns::MEMBERS.to_owned(), 3, Box::new(members))?;
    for (name, built_in) in operators::functions() {
        builtins::register_as(engine, name, built_in)?;
    }
    guard::register_as(engine, WALK_FUNCTION, "walk")
}

fn row_and_column(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let row = before.matches('\n').count() + 1;
    (row as u64, line.chars().count() as u64 + 1)
}

/// The offset of a row and a column as the parser counts them: a tab is four columns.
fn offset_at(text: &str, row: u64, col: u64) -> Option<usize> {
    let index = usize::try_from(row.checked_sub(1)?).ok()?;
    let line = text.split_inclusive('\n').nth(index)?;
    let before = text.split_inclusive('\n').take(index);
    let begin: usize = before.map(str::len).sum();
    let mut column = 1;
    for (at, byte) in line.bytes().enumerate() {
        if column >= col {
            return Some(begin + at);
        }
        column += if byte == b'\t' { 4 } else { 1 };
    }
    Some(begin + line.len())
}

// === impl Way ===

impl Way {
    fn new(text: String, v0: bool) -> Self {
        Self {
            text: Text::new(text, v0),
            steps: Vec::new(),
        }
    }

    /// Goes on with a step's text. Most steps find nothing in most texts.
    fn step(&mut self, map: SourceMap) {
        if map.lowered != *self.text {
            self.text = Text::new(map.lowered, self.text.v0);
            self.steps.push(map.pieces);
        }
    }

    /// What a step found, at the place of the first text.
    fn original(&self, (offset, message): Fault) -> Fault {
        (original_offset(&self.steps, offset), message)
    }
}

fn original_offset(steps: &[Pieces], offset: usize) -> usize {
    let back = steps.iter().rev();
    back.fold(offset, |offset, step| step.original_offset(offset))
}

// === impl Lowered ===

impl Lowered {
    /// Corrects the place of an error that the parser or an analysis of the lowered text found, and the
    /// names in it.
    pub(super) fn locate(&self, error: &mut RegoError) {
        if error.message.contains(LOCAL) {
            error.message = error.message.replace(LOCAL, "");
        }
        let Some(text) = self.texts.first() else {
            return;
        };
        if let Some(offset) = offset_at(text, error.row, error.col) {
            let original = original_offset(&self.steps, offset);
            (error.row, error.col) = row_and_column(&self.original, original);
        }
    }

    /// Puts in place of each text what has become of it.
    fn edited(&mut self, texts: Vec<SourceMap>) {
        self.texts.clear();
        for SourceMap { lowered, pieces } in texts {
            if self.texts.is_empty() {
                self.steps.push(pieces);
            }
            self.texts.push(lowered);
        }
    }
}

// === impl SourceMap ===

impl SourceMap {
    /// Where an original offset went, if nothing was moved.
    fn lowered_offset(&self, original: usize) -> usize {
        let Pieces(pieces) = &self.pieces;
        let after = pieces.partition_point(|piece| piece.original <= original);
        let before = pieces.get(..after).unwrap_or_default();
        match before.iter().rev().find(|piece| piece.copied) {
            Some(piece) => piece.lowered + (original - piece.original),
            None => original,
        }
    }
}

// === impl Pieces ===

impl Pieces {
    /// Where a lowered offset comes from; what was put in comes from where it was put in.
    fn original_offset(&self, lowered: usize) -> usize {
        let after = self.0.partition_point(|piece| piece.lowered <= lowered);
        match after.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some(piece) if piece.copied => piece.original + (lowered - piece.lowered),
            Some(piece) => piece.original,
            None => lowered,
        }
    }
}

// === impl Output ===

impl<'a> Output<'a> {
    fn new(original: &'a str) -> Self {
        Self {
            original,
            text: String::with_capacity(original.len()),
            pieces: Vec::new(),
        }
    }

    /// Copies a part of the original.
    fn copy(&mut self, begin: usize, end: usize) {
        if begin < end {
            self.push(begin, true);
            self.text
                .push_str(self.original.get(begin..end).unwrap_or_default());
        }
    }

    /// Puts something in that stands for what is at an offset of the original.
    fn put(&mut self, text: &str, at: usize) {
        self.push(at, false);
        self.text.push_str(text);
    }

    fn push(&mut self, original: usize, copied: bool) {
        self.pieces.push(Piece {
            lowered: self.text.len(),
            original,
            copied,
        });
    }

    fn finish(self) -> SourceMap {
        SourceMap {
            lowered: self.text,
            pieces: Pieces(self.pieces),
        }
    }
}
