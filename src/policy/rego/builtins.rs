//! The table of built-ins that are ours: what the interpreter lacks, gets wrong, or allocates too much
//! for, and the clock, which the caller gives. Each is a plain function over values; the table says
//! its purity. The functions are in one file a subject.

mod aggregates;
mod aws;
mod casts;
mod crypto;
mod decimal;
mod der;
mod draws;
mod encoding;
mod format;
mod glob;
mod globs;
mod go_json;
mod graph;
mod graphql;
mod horizon;
mod identifiers;
mod http;
mod jwt;
mod lookup;
mod net;
mod notation;
mod notes;
mod numbers;
mod objects;
mod operators;
mod parse_module;
mod patch;
mod unions;
mod pem;
mod private_keys;
mod regex;
mod runtime;
mod schema;
mod search;
mod selection;
mod strings;
mod template;
mod time;
mod units;
mod url;
mod urlquery;
mod x509;

use std::cell::Cell;
use std::collections::HashSet;

use regorus::Value;
use regorus::unstable::{BUILTINS as INTERPRETER, Expr, Ref, Source, Span};
use thiserror::Error;

use super::guard::Strict;
use super::limits;
pub(super) use draws::Draws;
pub(super) use encoding::document_text;
pub(super) use horizon::Horizon;
pub(super) use jwt::{Memory, Remembering};
pub(super) use notes::Notes;
pub(super) use runtime::{NAME as OPA_RUNTIME, Runtime};

/// Whether a built-in's value depends on its arguments alone. The later is the stronger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purity {
    #[default]
    Pure,
    /// It looks at the clock, and says until when its value holds (`horizon`).
    Bounded,
    /// It reads the clock.
    Time,
    Random,
    /// What others answer: it takes time as well.
    External,
}

/// What a built-in comes to.
type Answer = Result<Value, Failure>;

/// Why a built-in has no value. Neither kind repeats what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum Failure {
    /// As OPA has it: the call is undefined.
    #[error("{0}")]
    Failed(&'static str),
    /// A limit of ours: the evaluation fails.
    #[error("{0}")]
    Limit(String),
}

/// A built-in of ours.
struct Builtin {
    name: &'static str,
    arity: u8,
    purity: Purity,
    function: fn(&[Value]) -> Answer,
}

/// The built-ins by subject.
const TABLE: &[&[Builtin]] = &[
    CLOCK,
    aggregates::BUILTINS,
    aws::BUILTINS,
    casts::BUILTINS,
    crypto::BUILTINS,
    draws::BUILTINS,
    encoding::BUILTINS,
    format::BUILTINS,
    glob::BUILTINS,
    globs::BUILTINS,
    graph::BUILTINS,
    graphql::BUILTINS,
    identifiers::BUILTINS,
    http::BUILTINS,
    jwt::BUILTINS,
    lookup::BUILTINS,
    net::BUILTINS,
    notes::BUILTINS,
    numbers::BUILTINS,
    objects::BUILTINS,
    operators::BUILTINS,
    parse_module::BUILTINS,
    patch::BUILTINS,
    unions::BUILTINS,
    private_keys::BUILTINS,
    regex::BUILTINS,
    runtime::BUILTINS,
    schema::BUILTINS,
    selection::BUILTINS,
    strings::BUILTINS,
    template::BUILTINS,
    time::BUILTINS,
    units::BUILTINS,
    urlquery::BUILTINS,
    x509::BUILTINS,
];

const CLOCK: &[Builtin] = &[Builtin::reads_time("time.now_ns", 0, now_ns)];

/// Purity of a known built-in, `None` for a name that is none.
pub(super) fn purity(name: &str) -> Option<Purity> {
    if let Some(builtin) = own(name) {
        return Some(builtin.purity);
    }
    let known = name == "print" || INTERPRETER.contains_key(name);
    known.then_some(Purity::Pure)
}

/// How many arguments a built-in takes that only we have.
pub(super) fn arity_of_added(name: &str) -> Option<usize> {
    if INTERPRETER.contains_key(name) {
        return None;
    }
    own(name).map(|builtin| usize::from(builtin.arity))
}

/// How many arguments a known built-in takes.
pub(super) fn arity(name: &str) -> Option<usize> {
    let of_interpreter = || INTERPRETER.get(name).map(|(_, arity)| *arity);
    let arity = own(name)
        .map(|builtin| builtin.arity)
        .or_else(of_interpreter);
    arity.map(usize::from)
}

/// Whether the interpreter knows a built-in of this name, also if ours stands in front of it.
pub(super) fn is_of_interpreter(name: &str) -> bool {
    INTERPRETER.contains_key(name)
}

/// Names that only the interpreter has a built-in for.
pub(super) fn of_interpreter_alone() -> impl Iterator<Item = &'static str> {
    let own: HashSet<_> = TABLE
        .iter()
        .copied()
        .flatten()
        .map(|own| own.name)
        .collect();
    let all = INTERPRETER.keys().copied();
    all.filter(move |name| !own.contains(name))
}

fn own(name: &str) -> Option<&'static Builtin> {
    let mut all = TABLE.iter().copied().flatten();
    all.find(|builtin| builtin.name == name)
}

/// The syntax tree of a module, as OPA shows it.
pub(super) fn syntax_tree(file: &str, text: &str) -> Option<Value> {
    parse_module::parse(file, text).ok()
}

/// Puts our built-ins in front of the interpreter's.
pub(super) fn register(engine: &mut regorus::Engine) -> anyhow::Result<()> {
    for builtin in TABLE.iter().copied().flatten() {
        builtin.register(engine, builtin.name.to_owned())?;
    }
    Ok(())
}

/// Puts one of our built-ins into the interpreter under another name.
pub(super) fn register_as(
    engine: &mut regorus::Engine,
    alias: String,
    name: &str,
) -> anyhow::Result<()> {
    own(name).map_or(Ok(()), |builtin| builtin.register(engine, alias))
}

// === impl Builtin ===

impl Builtin {
    fn register(&self, engine: &mut regorus::Engine, name: String) -> anyhow::Result<()> {
        let function = self.function;
        let call = move |arguments: Vec<Value>| match function(&arguments) {
            Ok(value) => Ok(value),
            // Rule: a built-in that fails is undefined unless failures are asked for; a limit that is
            // hit is not.
            Err(Failure::Failed(_)) if !Strict::get() => Ok(Value::Undefined),
            Err(failure) => {
                if let Failure::Limit(limit) = &failure {
                    limits::hit(limit);
                }
                Err(failure.into())
            }
        };
        engine.add_extension(name, self.arity, Box::new(call))
    }

    const fn pure(name: &'static str, arity: u8, function: fn(&[Value]) -> Answer) -> Self {
        Self {
            name,
            arity,
            purity: Purity::Pure,
            function,
        }
    }

    const fn bounded(name: &'static str, arity: u8, function: fn(&[Value]) -> Answer) -> Self {
        Self {
            purity: Purity::Bounded,
            ..Self::pure(name, arity, function)
        }
    }

    const fn reads_time(name: &'static str, arity: u8, function: fn(&[Value]) -> Answer) -> Self {
        Self {
            purity: Purity::Time,
            ..Self::pure(name, arity, function)
        }
    }

    const fn random(name: &'static str, arity: u8, function: fn(&[Value]) -> Answer) -> Self {
        Self {
            purity: Purity::Random,
            ..Self::pure(name, arity, function)
        }
    }

    const fn external(name: &'static str, arity: u8, function: fn(&[Value]) -> Answer) -> Self {
        Self {
            purity: Purity::External,
            ..Self::pure(name, arity, function)
        }
    }
}

// === Arguments ===

/// An argument of any type.
fn any(arguments: &[Value], index: usize) -> Result<&Value, Failure> {
    arguments
        .get(index)
        .ok_or(Failure::Failed("an argument is missing"))
}

/// An argument that must be a string.
fn text(arguments: &[Value], index: usize) -> Result<&str, Failure> {
    match any(arguments, index)? {
        Value::String(text) => Ok(text),
        _ => Err(Failure::Failed("an argument is not a string")),
    }
}

/// For built-ins that go to every part of what they are given, also to parts that are the same.
fn check_size(value: &Value) -> Result<(), Failure> {
    limits::check_size(value).map_err(|why| Failure::Limit(why.to_owned()))
}

/// Calls the interpreter's own built-in of a name that is also ours.
fn of_interpreter(name: &str, arguments: &[Value]) -> Answer {
    let unknown = || Failure::Failed("not a built-in of the interpreter");
    let (function, arity) = INTERPRETER.get(name).ok_or_else(unknown)?;
    // It wants the place of its call, for messages that nobody sees.
    let source = Source::from_contents("built-in".to_owned(), "x".to_owned());
    let span = Span {
        source: source.map_err(|_| unknown())?,
        line: 1,
        col: 1,
        start: 0,
        end: 1,
    };
    let argument = Ref::new(Expr::Null {
        span: span.clone(),
        value: Value::Null,
        eidx: 0,
    });
    let expressions = vec![argument; usize::from(*arity)];
    function(&span, &expressions, arguments, false).map_err(|error| {
        match error.downcast_ref::<regorus::LimitError>() {
            Some(limit) => Failure::Limit(limit.to_string()),
            None => Failure::Failed("the interpreter's built-in failed"),
        }
    })
}

/// Bytes as two hexadecimal digits each.
fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let mut text = vec![0; 2 * bytes.len()];
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits.copy_from_slice(&[byte >> 4, byte & 0xf].map(digit));
    }
    // All of it is ASCII.
    String::from_utf8(text).unwrap_or_default()
}

// === The clock ===

thread_local! {
    static NOW_NS: Cell<i64> = const { Cell::new(0) };
}

/// The time an evaluation on this thread sees, until it is dropped.
pub(super) struct Clock(());

impl Clock {
    pub(super) fn set(now_ns: i64) -> Self {
        NOW_NS.set(now_ns);
        Self(())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        NOW_NS.set(0);
    }
}

fn now_ns(_: &[Value]) -> Answer {
    Ok(Value::from(now()))
}

/// The time this evaluation sees, in nanoseconds since 1970.
fn now() -> i64 {
    NOW_NS.get()
}
