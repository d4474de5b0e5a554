//! What `print` is given. The interpreter writes it out whole, before anything bounds that, so each argument
//! is held against a bound first. Only what is evaluated is written so: what policies call and read is told
//! of the text before this step.

use regorus::Value;
use regorus::unstable::{Expr, Module, Ref};

use super::arguments::bracketed;
use super::syntax::{Edit, Written, all_edited, cannot_write, range};
use super::tokens::{Token, tokens};
use crate::policy::rego::visit::{self, Visit};
use crate::policy::rego::{RegoError, limits};

/// A value, if it is not too large to be written.
pub(super) const BOUNDED: &str = "__doorward_bounded";

/// All modules as they are evaluated.
pub(in crate::policy::rego) fn prints(modules: &[Ref<Module>]) -> Written {
    let found: Result<_, _> = modules.iter().map(|module| find(module)).collect();
    all_edited(modules, found?)
}

fn find(module: &Module) -> Result<Vec<Edit>, RegoError> {
    let text = module.package.span.source.contents();
    if !text.contains("print") {
        return Ok(Vec::new());
    }
    let mut finder = Finder {
        text,
        tokens: tokens(text),
        edits: Vec::new(),
        refused: None,
    };
    finder.module(module);
    if let Some(error) = finder.refused {
        return Err(error);
    }
    // At one place, what ends there ends before anything begins.
    finder
        .edits
        .sort_by_key(|((place, _), put)| (*place, put != ")"));
    Ok(finder.edits)
}

struct Finder<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    edits: Vec<Edit>,
    refused: Option<RegoError>,
}

impl Visit for Finder<'_> {
    fn expression(&mut self, expression: &Expr) {
        if let Expr::Call { fcn, params, .. } = expression
            && let Expr::Var { span, .. } = fcn.as_ref()
            && span.text() == "print"
        {
            let arguments = bracketed(self.text, &self.tokens, range(span).1, "(");
            // No text is known for which these differ.
            if arguments.len() != params.len() {
                let error = || cannot_write(span, "a call of `print` with these arguments");
                self.refused.get_or_insert_with(error);
            }
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
