//! Limits on what the interpreter cannot bound itself. Modules: nesting and length of expressions,
//! since its parser recurses. Built-ins: arguments for which its own take more time or memory than
//! any policy needs; those calls fail, and with them the evaluation. Any other failure of its own is
//! undefined here: the interpreter itself is told to forget none.

use std::cell::Cell;

use anyhow::{Result, bail};
use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{LimitError, Value};

use super::{RegoError, builtins, limits, lower};

/// Deepest nesting of brackets of any kind.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of `[` alone.
const MAX_ARRAY_DEPTH: usize = 10;
/// Most of `[` and `{` that are each the first part of the one around it: the parser reads that twice.
const MAX_FIRST_PARTS: usize = 12;
/// How often all brackets of a module are read because of that, at most, and each on average besides.
const MAX_READ: usize = 1 << 15;
const MAX_READ_EACH: usize = 32;
/// Most operators and reference parts of one expression.
const MAX_CHAIN: usize = 1_000;
/// Largest text a built-in makes, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// Most bits a number is shifted by.
const MAX_SHIFT: u64 = 100_000;
/// Longest YAML text, and its deepest nesting.
const MAX_YAML: usize = 1 << 20;
const MAX_YAML_DEPTH: usize = 64;

/// Refuses a module that would exhaust the parser's stack or time.
pub(super) fn check_module(path: &str, text: &str) -> Result<(), RegoError> {
    let error = |row: usize, message: String| RegoError {
        code: "rego_parse_error",
        message,
        file: path.to_owned(),
        row: row as u64,
        col: 1,
    };
    lower::check_lines(path, text)?;
    let mut scan = Scan::default();
    for (index, line) in text.lines().enumerate() {
        scan.line(line)
            .map_err(|message| error(index + 1, message))?;
    }
    Ok(())
}

/// What is open at a place of a module.
#[derive(Default)]
struct Scan {
    open: Vec<Open>,
    arrays: usize,
    /// Of the open ones, those that are still at their first part.
    first_parts: usize,
    /// How often all brackets so far are read.
    read: usize,
    chain: usize,
    in_raw_string: bool,
    ends_open: bool,
}

/// An open bracket.
struct Open {
    bracket: u8,
    is_at_first: bool,
}

impl Scan {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let trimmed = line.trim_start();
        let continues = self.ends_open || trimmed.starts_with(is_operator);
        if !continues && !self.in_raw_string {
            self.chain = 0;
        }
        let mut bytes = line.bytes();
        let mut last = None;
        while let Some(byte) = bytes.next() {
            if self.in_raw_string {
                self.in_raw_string = byte != b'`';
                continue;
            }
            match byte {
                b'#' => break,
                b'`' => self.in_raw_string = true,
                b'"' => skip_string(&mut bytes),
                b'(' | b'[' | b'{' => self.enter(byte)?,
                b')' | b']' | b'}' => self.leave(),
                b';' => self.chain = 0,
                b',' => {
                    self.chain = 0;
                    self.next_part();
                }
                _ if is_operator(char::from(byte)) => self.link()?,
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                last = Some(byte);
            }
        }
        self.ends_open = last.is_some_and(|byte| is_operator(char::from(byte)));
        Ok(())
    }

    fn enter(&mut self, bracket: u8) -> Result<(), String> {
        let is_at_first = matches!(bracket, b'[' | b'{');
        self.open.push(Open {
            bracket,
            is_at_first,
        });
        self.first_parts += usize::from(is_at_first);
        let read = 1usize << self.first_parts.min(MAX_FIRST_PARTS);
        self.read += read.saturating_sub(MAX_READ_EACH);
        if bracket == b'[' {
            self.arrays += 1;
            self.link()?;
        }
        if self.read > MAX_READ {
            return Err("brackets are nested deep too often".to_owned());
        }
        let is_too_deep = self.open.len() > MAX_DEPTH
            || self.arrays > MAX_ARRAY_DEPTH
            || self.first_parts > MAX_FIRST_PARTS;
        match is_too_deep {
            true => Err("brackets are nested too deep".to_owned()),
            false => Ok(()),
        }
    }

    fn next_part(&mut self) {
        if let Some(open) = self.open.last_mut() {
            self.first_parts -= usize::from(std::mem::take(&mut open.is_at_first));
        }
    }

    fn leave(&mut self) {
        self.next_part();
        if self.open.pop().is_some_and(|open| open.bracket == b'[') {
            self.arrays = self.arrays.saturating_sub(1);
        }
    }

    fn link(&mut self) -> Result<(), String> {
        self.chain += 1;
        if self.chain > MAX_CHAIN {
            return Err(format!("an expression has more than {MAX_CHAIN} operators"));
        }
        Ok(())
    }
}

fn is_operator(character: char) -> bool {
    "+-*/%|&.=<>!:".contains(character)
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

/// A built-in of the interpreter, behind a check of its arguments.
struct Guarded {
    name: &'static str,
    check: fn(&[Value]) -> Result<()>,
}

const GUARDED: &[Guarded] = &[
    Guarded {
        name: "replace",
        check: replacement,
    },
    Guarded {
        name: "bits.lsh",
        check: shift,
    },
    Guarded {
        name: "walk",
        check: nested,
    },
    Guarded {
        name: "yaml.marshal",
        check: nested,
    },
    Guarded {
        name: "yaml.unmarshal",
        check: yaml,
    },
];

/// Puts what is here in front of all of the interpreter's built-ins that none of ours stands for.
pub(super) fn register(engine: &mut regorus::Engine) -> Result<()> {
    for name in builtins::of_interpreter_alone() {
        register_as(engine, name, name)?;
    }
    Ok(())
}

/// Puts a built-in of the interpreter under another name.
pub(super) fn register_as(engine: &mut regorus::Engine, alias: &str, name: &str) -> Result<()> {
    let guarded = GUARDED.iter().find(|guarded| guarded.name == name);
    let check = guarded.map_or((|_| Ok(())) as fn(&[Value]) -> Result<()>, |found| {
        found.check
    });
    register_checked(engine, alias, name, check)
}

fn register_checked(
    engine: &mut regorus::Engine,
    alias: &str,
    name: &str,
    check: fn(&[Value]) -> Result<()>,
) -> Result<()> {
    let Some((function, arity)) = BUILTINS.get(name).copied() else {
        return Ok(());
    };
    let source = Source::from_contents("built-in".to_owned(), "x".to_owned())?;
    let span = Span {
        source,
        line: 1,
        col: 1,
        start: 0,
        end: 1,
    };
    // Built-ins want the expressions of their arguments, for messages only.
    let argument = Ref::new(Expr::Null {
        span: span.clone(),
        value: Value::Null,
        eidx: 0,
    });
    let arguments = vec![argument; usize::from(arity)];
    let call = move |values: Vec<Value>| {
        check(&values).inspect_err(|limit| limits::hit(&limit.to_string()))?;
        match function(&span, &arguments, &values, Strict::get()) {
            // Rule: a built-in that fails is undefined; a limit that is hit is not.
            Err(error) if error.downcast_ref::<LimitError>().is_some() => {
                limits::hit(&error.to_string());
                Err(error)
            }
            Err(_) if !Strict::get() => Ok(Value::Undefined),
            result => result,
        }
    };
    engine.add_extension(alias.to_owned(), arity, Box::new(call))
}

thread_local! {
    static STRICT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a built-in that fails ends the evaluation on this thread, until it is dropped.
pub(super) struct Strict(());

impl Strict {
    pub(super) fn set(strict: bool) -> Self {
        STRICT.set(strict);
        Self(())
    }

    pub(super) fn get() -> bool {
        STRICT.get()
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        STRICT.set(false);
    }
}

fn text(values: &[Value], index: usize) -> &str {
    let value = values.get(index).and_then(|value| value.as_string().ok());
    value.map_or("", AsRef::as_ref)
}

fn shift(values: &[Value]) -> Result<()> {
    let bits = values.get(1).and_then(|bits| bits.as_u64().ok());
    if bits.is_some_and(|bits| bits > MAX_SHIFT) {
        bail!("a shift by more than {MAX_SHIFT} bits is refused");
    }
    Ok(())
}

/// Refuses a replacement whose result could be too long. An empty text is found everywhere.
fn check_growth(length: usize, old: usize, new: usize) -> Result<()> {
    let places = length / old.max(1) + 1;
    if places.saturating_mul(new).saturating_add(length) > MAX_TEXT {
        bail!("a replacement that may make more than {MAX_TEXT} bytes is refused");
    }
    Ok(())
}

fn replacement(values: &[Value]) -> Result<()> {
    check_growth(
        text(values, 0).len(),
        text(values, 1).len(),
        text(values, 2).len(),
    )
}

fn nesting(text: &str, open: &[u8], close: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        if open.contains(&byte) {
            depth += 1;
            deepest = deepest.max(depth);
        } else if close.contains(&byte) {
            depth = depth.saturating_sub(1);
        }
    }
    deepest
}

fn nested(values: &[Value]) -> Result<()> {
    values.first().map_or(Ok(()), |value| {
        limits::check_size(value).map_err(anyhow::Error::msg)
    })
}

fn yaml(values: &[Value]) -> Result<()> {
    check_yaml(text(values, 0))
}

/// Refuses YAML that would exhaust the interpreter's parser.
pub(super) fn check_yaml(document: &str) -> Result<()> {
    // Indentation nests as well: a level takes a column and a line at least.
    let indented = document
        .lines()
        .map(|line| line.len() - line.trim_start().len())
        .max();
    let deep = nesting(document, b"{[", b"}]") > MAX_YAML_DEPTH
        || indented.unwrap_or(0) > 2 * MAX_YAML_DEPTH
        || document.contains("- - - - - - - - - - - - - - - -");
    if document.len() > MAX_YAML || deep {
        bail!("a YAML text of this size or nesting is refused");
    }
    Ok(())
}
