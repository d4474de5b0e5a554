//! Language the interpreter's parser lacks, written in what it has, in front of the parser: template
//! strings, and references that begin with a keyword. Rows stay as they are, columns map back; what
//! cannot be lowered is refused. Hashes and listings are over the original text, never over this.

mod keywords;
mod template;
mod tokens;

use super::RegoError;

pub(super) use keywords::Names;
pub(super) use template::FUNCTION as TEMPLATE_FUNCTION;

/// A module or query in the parser's language.
#[derive(Debug)]
pub(super) struct Lowered {
    /// What is parsed: nearly always one text; a rule head that begins with a keyword gets its own.
    pub(super) texts: Vec<String>,
    map: SourceMap,
}

/// Where lowered text comes from.
#[derive(Debug, Default)]
struct SourceMap {
    original: String,
    lowered: String,
    /// Beginnings of what was copied or put in: offset in the lowered text, offset in the original.
    pieces: Vec<(usize, usize)>,
}

/// Lowered text in the making.
struct Output<'a> {
    original: &'a str,
    text: String,
    pieces: Vec<(usize, usize)>,
}

/// What is wrong at an offset of the original.
type Fault = (usize, String);

/// Lowers a module. Version 0 of the language has neither. `names` are those of all modules.
pub(super) fn module(
    path: &str,
    text: &str,
    v0: bool,
    names: &Names,
) -> Result<Lowered, RegoError> {
    let lowered = if v0 {
        lower(text, |text| Ok(keywords::Split::unchanged(text)))
    } else {
        lower(text, |text| keywords::module(text, names))
    };
    lowered.map_err(|(offset, message)| {
        let (row, col) = row_and_column(text, offset);
        RegoError {
            code: "rego_parse_error",
            message,
            file: path.to_owned(),
            row,
            col,
        }
    })
}

/// Lowers a query; a reference that begins with a keyword has no package to be in.
pub(super) fn query(text: &str) -> Result<String, String> {
    let lowered = lower(text, |text| Ok(keywords::Split::unchanged(text)));
    let lowered = lowered.map_err(|(_, message)| message)?;
    Ok(lowered.texts.into_iter().next().unwrap_or_default())
}

/// Puts the function that template strings call into the interpreter.
pub(super) fn register(engine: &mut regorus::Engine) -> anyhow::Result<()> {
    let render = |arguments: Vec<regorus::Value>| template::render(&arguments);
    engine.add_extension(TEMPLATE_FUNCTION.to_owned(), 1, Box::new(render))
}

fn lower(
    text: &str,
    split: impl Fn(&str) -> Result<keywords::Split, Fault>,
) -> Result<Lowered, Fault> {
    let templates = template::lower(text)?;
    let back = |(offset, message)| (templates.original_offset(offset), message);
    let split = split(&templates.lowered).map_err(back)?;
    let pieces = split.map.pieces.iter();
    let pieces = pieces.map(|(lowered, middle)| (*lowered, templates.original_offset(*middle)));
    let mut pieces: Vec<_> = pieces.collect();
    for (middle, original) in &templates.pieces {
        pieces.push((split.map.lowered_offset(*middle), *original));
    }
    pieces.sort_unstable();
    Ok(Lowered {
        texts: split.texts,
        map: SourceMap {
            original: text.to_owned(),
            lowered: split.map.lowered,
            pieces,
        },
    })
}

fn row_and_column(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let row = before.matches('\n').count() + 1;
    (row as u64, line.chars().count() as u64 + 1)
}

// === impl Lowered ===

impl Lowered {
    /// Corrects the place of an error that the parser or an analysis of the lowered text found.
    pub(super) fn locate(&self, error: &mut RegoError) {
        if let Some(offset) = self.map.offset_at(error.row, error.col) {
            let original = self.map.original_offset(offset);
            (error.row, error.col) = row_and_column(&self.map.original, original);
        }
    }
}

// === impl SourceMap ===

impl SourceMap {
    /// Where a lowered offset comes from; what was put in comes from where it was put in.
    fn original_offset(&self, lowered: usize) -> usize {
        let after = self.pieces.partition_point(|(begin, _)| *begin <= lowered);
        let Some((begin, original)) = self.pieces.get(after.saturating_sub(1)) else {
            return lowered;
        };
        let next = self.pieces.get(after).map_or(usize::MAX, |(_, next)| *next);
        (original + (lowered - begin)).min(next.max(*original))
    }

    /// Where an original offset went.
    fn lowered_offset(&self, original: usize) -> usize {
        let after = self.pieces.partition_point(|(_, begin)| *begin <= original);
        match self.pieces.get(after.saturating_sub(1)) {
            Some((lowered, begin)) => lowered + original.saturating_sub(*begin),
            None => original,
        }
    }

    /// The offset of a row and a column as the parser counts them: a tab is four columns.
    fn offset_at(&self, row: u64, col: u64) -> Option<usize> {
        let index = usize::try_from(row.checked_sub(1)?).ok()?;
        let line = self.lowered.split_inclusive('\n').nth(index)?;
        let begin: usize = self
            .lowered
            .split_inclusive('\n')
            .take(index)
            .map(str::len)
            .sum();
        let mut column = 1;
        for (at, byte) in line.bytes().enumerate() {
            if column >= col {
                return Some(begin + at);
            }
            column += if byte == b'\t' { 4 } else { 1 };
        }
        Some(begin + line.len())
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
            self.pieces.push((self.text.len(), begin));
            self.text
                .push_str(self.original.get(begin..end).unwrap_or_default());
        }
    }

    /// Puts something in that stands for what is at an offset of the original.
    fn put(&mut self, text: &str, at: usize) {
        self.pieces.push((self.text.len(), at));
        self.text.push_str(text);
    }

    fn finish(self) -> SourceMap {
        SourceMap {
            original: self.original.to_owned(),
            lowered: self.text,
            pieces: self.pieces,
        }
    }
}
