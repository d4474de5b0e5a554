//! Text that is put in at another place, on one line: rows of all that follows stay what they are.
//! What ended at a line's end ends with `;`, comments are left out, and a raw string of several lines
//! is written as one of a single line.

use std::collections::BTreeSet;

use regorus::unstable::{Module, Query};

use super::syntax::{Range, begin};
use super::tokens::{Kind, Token, tokens};
use crate::policy::rego::visit::Visit;

/// A text that parts are taken from.
pub(super) struct Source<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// Where a statement begins that is not the first of its query.
    statements: BTreeSet<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn of(text: &'a str, module: &Module) -> Self {
        let mut finder = Finder::default();
        finder.module(module);
        Self {
            text,
            tokens: tokens(text),
            statements: finder.statements,
        }
    }

    /// A part of the text on one line.
    pub(super) fn part(&self, (begin, end): Range) -> String {
        let first = self.tokens.partition_point(|token| token.begin < begin);
        let tokens = self.tokens.iter().skip(first);
        let mut line = String::new();
        let mut before: Option<&Token> = None;
        for token in tokens.take_while(|token| token.end <= end) {
            let gap = before.map_or("", |before| self.between(before, token));
            line.push_str(gap);
            line.push_str(&on_one_line(self.word(token)));
            before = Some(token);
        }
        line
    }

    fn word(&self, token: &Token) -> &'a str {
        self.text.get(token.begin..token.end).unwrap_or_default()
    }

    /// What stands between two tokens.
    fn between(&self, before: &Token, token: &Token) -> &'a str {
        // The parser's places leave out the quote of a string.
        let quote = usize::from(token.kind == Kind::Literal);
        let begins = self
            .statements
            .range(token.begin..=token.begin + quote)
            .next();
        if begins.is_some() && self.word(before) != ";" {
            return "; ";
        }
        let gap = self.text.get(before.end..token.begin).unwrap_or_default();
        if gap.contains(['\n', '#']) { " " } else { gap }
    }
}

fn on_one_line(token: &str) -> String {
    let raw = token
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    match raw {
        Some(raw) if raw.contains('\n') => serde_json::Value::from(raw).to_string(),
        _ => token.to_owned(),
    }
}

#[derive(Default)]
struct Finder {
    statements: BTreeSet<usize>,
}

impl Visit for Finder {
    fn query(&mut self, query: &Query) {
        for (index, statement) in query.stmts.iter().enumerate() {
            if index > 0 {
                self.statements.insert(begin(&statement.span));
            }
            self.statement(statement);
        }
    }
}
