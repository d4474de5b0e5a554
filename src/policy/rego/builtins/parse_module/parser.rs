//! The parser's place among the tokens, what it names, and what bounds it. Going back is cheap, but
//! what is gone over again is counted, and so is how high the tree becomes.

use super::tokens::{Kind, Token, is_keyword};
use super::tree::Term;
use super::{Failure, MAX_DEPTH, MAX_STEPS, MAX_TOKENS, illegal};

pub(super) struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    /// How many `_` were named.
    wildcards: usize,
    /// How deep the parser is, and how high the highest is that it has built for what is around it.
    depth: usize,
    height: usize,
    steps: usize,
    copied: usize,
    /// The keyword that begins a reference, and so is a name.
    name: Option<usize>,
}

/// A place to come back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: usize,
    wildcards: usize,
}

// === impl Parser ===

impl<'t> Parser<'t> {
    pub(super) fn new(tokens: Vec<Token<'t>>) -> Self {
        Self {
            tokens,
            at: 0,
            wildcards: 0,
            depth: 0,
            height: 0,
            steps: 0,
            copied: 0,
            name: None,
        }
    }

    /// The token that is next. The last is the end, and is never passed.
    pub(super) fn token(&self) -> Token<'t> {
        self.token_at(self.at)
    }

    fn token_at(&self, at: usize) -> Token<'t> {
        let end = Token {
            kind: Kind::End,
            text: "",
            is_apart: true,
            is_on_new_line: true,
        };
        self.tokens.get(at).copied().unwrap_or(end)
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.token().text == text
    }

    pub(super) fn is_any(&self, texts: &[&str]) -> bool {
        texts.contains(&self.token().text)
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
        self.steps += 1;
    }

    /// Passes a token, if it is there.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let is_there = self.is(text);
        if is_there {
            self.advance();
        }
        is_there
    }

    pub(super) fn take_text(&mut self, text: &str, reason: &'static str) -> Result<(), Failure> {
        match self.skip(text) {
            true => Ok(()),
            false => illegal(reason),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            wildcards: self.wildcards,
        }
    }

    pub(super) fn reset(&mut self, mark: Mark) {
        self.at = mark.at;
        self.wildcards = mark.wildcards;
    }

    /// Parses what may be something else; the place is left where that was found out.
    pub(super) fn attempt<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let (depth, height) = (self.depth, self.height);
        match parse(self) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(Failure::Failed(_)) => {
                (self.depth, self.height) = (depth, height);
                Ok(None)
            }
            Err(limit) => Err(limit),
        }
    }

    /// Parses one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        if self.steps > MAX_STEPS {
            return Err(Failure::Limit(format!(
                "parsing a module in more than {MAX_STEPS} steps is refused"
            )));
        }
        self.depth += 1;
        let parsed = self.apart(|parser| {
            let parsed = parse(parser)?;
            parser.wrap()?;
            Ok(parsed)
        })?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// Parses what is beside others: only its own parts make it higher.
    pub(super) fn apart<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let beside = std::mem::take(&mut self.height);
        let parsed = parse(self)?;
        self.height = self.height.max(beside);
        Ok(parsed)
    }

    /// Accounts for something around what was built.
    pub(super) fn wrap(&mut self) -> Result<(), Failure> {
        self.height += 1;
        match self.height > MAX_DEPTH {
            true => Err(too_deep()),
            false => Ok(()),
        }
    }

    /// Begins something that is beside all that was built.
    pub(super) fn begin(&mut self) {
        self.height = 0;
    }

    /// Accounts for a part of so many tokens that is there once more.
    pub(super) fn copy(&mut self, tokens: usize) -> Result<(), Failure> {
        self.copied += tokens;
        match self.copied > MAX_TOKENS {
            true => Err(Failure::Limit(
                "parsing a module with so many bodies is refused".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// Rule: a keyword with a dot or a bracket right behind it begins a reference.
    pub(super) fn is_before_reference(&self) -> bool {
        let next = self.token_at(self.at + 1);
        self.token().kind == Kind::Word && !next.is_apart && matches!(next.text, "." | "[")
    }

    /// Takes a keyword that begins a reference as a name.
    pub(super) fn allow_keyword(&mut self) -> bool {
        let allowed = self.is_before_reference() && is_keyword(self.token().text);
        if allowed {
            self.name = Some(self.at);
        }
        allowed
    }

    /// Takes a keyword as a name, where nothing else can stand.
    pub(super) fn allow_any_keyword(&mut self) {
        self.name = Some(self.at);
    }

    pub(super) fn is_name(&self) -> bool {
        let token = self.token();
        let is_free = !is_keyword(token.text) || self.name == Some(self.at);
        token.kind == Kind::Word && is_free
    }

    /// Rule: each `_` is a variable of its own.
    pub(super) fn wildcard(&mut self) -> Term {
        let name = format!("${}", self.wildcards);
        self.wildcards += 1;
        Term::Var(name)
    }

    pub(super) fn variable(&mut self) -> Term {
        let name = self.token().text;
        self.advance();
        match name {
            "_" => self.wildcard(),
            name => Term::Var(name.to_owned()),
        }
    }
}

fn too_deep() -> Failure {
    Failure::Limit(format!(
        "parsing a module nested more than {MAX_DEPTH} deep is refused"
    ))
}
