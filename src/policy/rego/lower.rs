//! Language that the interpreter lacks or takes otherwise than OPA, written in what it has, in front
//! of its parser: template strings, references that begin with a keyword, bodies without `else`, names
//! of variables and imports, arguments under `not`, loops over what is no collection, `walk` as a value,
//! operators, `rego.metadata.*`. Places map back, and what cannot be lowered is refused. Hashes and
//! listings are over the original text, never over this.

mod bodies;
mod imports;
mod coverage;
mod elements;
mod keywords;
mod lines;
mod loops;
mod metadata;
mod moved;
mod negation;
mod operators;
mod otherwise;
mod replaced;
mod shadows;
mod syntax;
mod template;
pub(super) mod testing;
mod tokens;
mod waiting;
mod with;

use super::{RegoError, builtins, guard};

pub(super) use keywords::Names;
pub(super) use lines::check as check_lines;
pub(super) use operators::operators;
pub(super) use replaced::replaceable;

/// A module or query in the parser's language.
#[derive(Debug)]
pub(super) struct Lowered {
    /// What is parsed: nearly always one text; a rule head that begins with a keyword gets its own.
    pub(super) texts: Vec<String>,
    /// From the original to the first text, step by step.
    steps: Vec<SourceMap>,
}

/// Where lowered text comes from.
#[derive(Debug, Default)]
struct SourceMap {
    original: String,
    lowered: String,
    pieces: Vec<Piece>,
}

/// The beginning of what was copied or put in.
#[derive(Debug, Clone, Copy)]
struct Piece {
    lowered: usize,
    original: usize,
    copied: bool,
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
    let metadata = metadata::lower(text, names.annotations());
    let lines = lines::lower(&metadata.lowered);
    let of_lines = |offset| metadata.original_offset(lines.original_offset(offset));
    let templates = template::lower(&lines.lowered)
        .map_err(|(offset, message)| refuse((of_lines(offset), message)))?;
    let split =
        keywords::module(&templates.lowered, of_keywords).map_err(|(offset, message)| {
            refuse((of_lines(templates.original_offset(offset)), message))
        })?;
    let mut texts = Vec::new();
    let mut steps = vec![metadata, lines, templates, split.map];
    let before = steps.len();
    for text in split.texts {
        // The parser, which these steps use, must not be given what would exhaust it.
        guard::check_module(path, &text)?;
        let [sets, bodies] = bodies::lower(&text, v0).map_err(|(offset, message)| {
            let of_split = steps.iter().take(before).rev();
            refuse((
                of_split.fold(offset, |at, step| step.original_offset(at)),
                message,
            ))
        })?;
        let elements = elements::lower(&bodies.lowered, v0);
        let shadows = shadows::lower(&elements.lowered, v0, names);
        let imports = imports::lower(&shadows.lowered, v0, names);
        let loops = loops::lower(&imports.lowered, v0, names);
        let looped = loops.last().unwrap_or(&imports);
        let elses = otherwise::lower(&looped.lowered, v0);
        let values = with::lower(&elses.lowered, v0, names);
        let negations = negation::lower(&values.lowered, v0, names);
        let waiting = waiting::lower(&negations.lowered, v0);
        texts.push(waiting.lowered.clone());
        // Of a text that was split off, places are those before this step: rows are right.
        if texts.len() == 1 {
            steps.extend([sets, bodies, elements, shadows, imports]);
            steps.extend(loops);
            steps.extend([elses, values, negations, waiting]);
        }
    }
    Ok(Lowered { texts, steps })
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

/// Rule: a byte order mark in front of a module is none of it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Lowers a query; a reference that begins with a keyword has no package to be in.
pub(super) fn query(text: &str) -> Result<String, String> {
    let templates = template::lower(text).map_err(|(_, message)| message)?;
    let split = keywords::module(&templates.lowered, None).map_err(|(_, message)| message)?;
    Ok(split.map.lowered)
}

/// Whether a text calls a function by this name.
pub(super) fn calls(text: &str, function: &str) -> bool {
    let tokens = tokens::tokens(text);
    let word = |token: &tokens::Token| text.get(token.begin..token.end).unwrap_or_default();
    let parts = tokens::tokens(function).len();
    tokens.windows(parts + 1).any(|window| {
        let mut words = window.iter().map(word);
        let name: String = words.by_ref().take(parts).collect();
        name == function && words.next() == Some("(")
    })
}

/// What names of arguments under `not` begin with.
pub(super) const ARGUMENT: &str = "__argument_";
/// What names of functions begin with that stand for built-ins.
const REPLACED: &str = "__doorward_built_in_";
/// What all names begin with that are put in.
pub(super) const PUT_IN: [&str; 5] = [ARGUMENT, "__with_", "__template_", loops::ELEMENT, OWN];
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

/// Puts the functions that lowered text calls into the interpreter.
pub(super) fn register(engine: &mut regorus::Engine) -> anyhow::Result<()> {
    let render = |arguments: Vec<regorus::Value>| template::render(&arguments);
    engine.add_extension(template::FUNCTION.to_owned(), 1, Box::new(render))?;
    engine.add_extension(loops::FUNCTION.to_owned(), 1, Box::new(loops::collection))?;
    engine.add_extension(testing::FUNCTION.to_owned(), 1, Box::new(testing::note))?;
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

// === impl Lowered ===

impl Lowered {
    /// Corrects the place of an error that the parser or an analysis of the lowered text found, and the
    /// names in it.
    pub(super) fn locate(&self, error: &mut RegoError) {
        if error.message.contains(LOCAL) {
            error.message = error.message.replace(LOCAL, "");
        }
        let place = self.steps.last().zip(self.steps.first());
        let Some((last, first)) = place else { return };
        if let Some(offset) = offset_at(&last.lowered, error.row, error.col) {
            let steps = self.steps.iter().rev();
            let original = steps.fold(offset, |offset, step| step.original_offset(offset));
            (error.row, error.col) = row_and_column(&first.original, original);
        }
    }
}

// === impl SourceMap ===

impl SourceMap {
    /// Where a lowered offset comes from; what was put in comes from where it was put in.
    fn original_offset(&self, lowered: usize) -> usize {
        let after = self
            .pieces
            .partition_point(|piece| piece.lowered <= lowered);
        match after.checked_sub(1).and_then(|at| self.pieces.get(at)) {
            Some(piece) if piece.copied => piece.original + (lowered - piece.lowered),
            Some(piece) => piece.original,
            None => lowered,
        }
    }

    /// Where an original offset went, if nothing was moved.
    fn lowered_offset(&self, original: usize) -> usize {
        let after = self
            .pieces
            .partition_point(|piece| piece.original <= original);
        let before = self.pieces.get(..after).unwrap_or_default();
        match before.iter().rev().find(|piece| piece.copied) {
            Some(piece) => piece.lowered + (original - piece.original),
            None => original,
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
            original: self.original.to_owned(),
            lowered: self.text,
            pieces: self.pieces,
        }
    }
}
