//! `rego.parse_module`: the syntax tree of a module, as OPA's JSON of it. The text can come from a
//! request, and the interpreter's parser takes time that doubles with each nesting; so there is one of
//! our own, with OPA's grammar, rules and names. Nothing of it is used to evaluate.

mod bodies;
mod encode;
mod parser;
mod rules;
mod terms;
mod tokens;
mod tree;

#[cfg(test)]
mod tests;

use super::{Answer, Builtin, Failure, text};

/// Longest module, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Most tokens of a module, and most of those in heads that are repeated for further bodies.
const MAX_TOKENS: usize = 50_000;
/// Most tokens that are gone over, again ones included.
const MAX_STEPS: usize = 1_000_000;
/// Deepest nesting of terms, bodies and chains of `else`.
const MAX_DEPTH: usize = 64;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("rego.parse_module", 2, |arguments| {
    parse(text(arguments, 0)?, text(arguments, 1)?)
})];

pub(super) fn parse(file: &str, text: &str) -> Answer {
    if text.len() > MAX_TEXT {
        return Err(Failure::Limit(
            "parsing a module of this size is refused".to_owned(),
        ));
    }
    let (tokens, comments) = tokens::scan(text)?;
    let module = rules::module(parser::Parser::new(tokens))?;
    Ok(encode::module(&module, &comments, file))
}

/// What is no module.
fn illegal<T>(reason: &'static str) -> Result<T, Failure> {
    Err(Failure::Failed(reason))
}
