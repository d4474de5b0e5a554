//! What `print` is given. The interpreter writes it out whole, before anything bounds that, so each argument
//! is held against a bound first. Only what is evaluated is written so: what policies call and read is told
//! of the text before this step.

use regorus::Value;
use regorus::unstable::{Expr, Module, Ref};

use super::arguments::bracketed;
use super::syntax::{Edit, all_edited, range};
use super::tokens::{Token, tokens};
use crate::policy::rego::visit::{self, Visit};
use crate::policy::rego::{RegoModule, limits};

/// A value, if it is not too large to be written.
pub(super) const BOUNDED: &str = "__doorward_bounded";

/// All modules as they are evaluated; `None` if they can stay.
pub(in crate::policy::rego) fn prints(modules: &[Ref<Module>]) -> Option<Vec<RegoModule>> {
    let found: Vec<_> = modules.iter().map(|module| find(module)).collect();
    all_edited(modules, found)
}

fn find(module: &Module) -> Vec<Edit> {
    let text = module.package.span.source.contents();
    if !text.contains("print") {
        return Vec::new();
    }
    let mut finder = Finder {
        text,
        tokens: tokens(text),
        edits: Vec::new(),
    };
    finder.module(module);
    // At one place, what ends there ends before anything begins.
    finder
        .edits
        .sort_by_key(|((place, _), put)| (*place, put != ")"));
    finder.edits
}

struct Finder<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    edits: Vec<Edit>,
}

impl Visit for Finder<'_> {
    fn expression(&mut self, expression: &Expr) {
        if let Expr::Call { fcn, .. } = expression
            && let Expr::Var { span, .. } = fcn.as_ref()
            && span.text() == "print"
        {
            let arguments = bracketed(self.text, &self.tokens, range(span).1, "(");
            for (begin, end) in arguments {
                self.edits.push(((begin, begin), format!("{BOUNDED}(")));
                self.edits.push(((end, end), ")".to_owned()));
            }
        }
        visit::in_expression(self, expression);
    }
}

/// What `BOUNDED` stands for.
pub(super) fn bounded(arguments: Vec<Value>) -> anyhow::Result<Value> {
    let value = arguments.into_iter().next().unwrap_or(Value::Undefined);
    match limits::check_size(&value) {
        Ok(()) => Ok(value),
        Err(why) => {
            limits::hit(why);
            Err(anyhow::Error::msg(why))
        }
    }
}
