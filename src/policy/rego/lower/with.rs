//! What stands behind `with … as`. Rule: it is evaluated before anything is replaced, and rules that it
//! uses are then evaluated anew. The interpreter takes such a rule for undefined wherever it is used
//! again, so the value is given a name in a statement in front. What replaces a function may be the
//! name of another, and then stays where it is.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, LiteralStmt, Module, Query, Ref, Rule, RuleHead, WithModifier};

use super::names::Names;
use super::syntax::{Range, Text, begin, names_of, not_supported, range, strings, widen};
use super::tokens::{Token, tokens};
use super::{Fault, Output, SourceMap};
use crate::policy::rego::builtins::purity;
use crate::policy::rego::module::{path_of, rule_reference};
use crate::policy::rego::visit::{Visit, parts};

/// What names of values begin with.
pub(super) const NAME: &str = "__with_";

/// A statement with values to be named.
struct Statement {
    whole: Range,
    /// Found first: from the end of what is replaced to that of the modifier.
    values: Vec<Range>,
    /// It is a body of its own, without braces.
    bare: bool,
}

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text, names: &Names) -> Result<SourceMap, Fault> {
    let mut output = Output::new(text);
    let tree = if text.contains("with") {
        text.tree()
    } else {
        None
    };
    let statements = match tree {
        Some(module) => find(text, module, names)?,
        None => Vec::new(),
    };
    let mut edits: Vec<Edit> = Vec::new();
    for statement in &statements {
        statement.edits(&mut edits);
    }
    edits.sort_by_key(Edit::place);
    let mut at = 0;
    for edit in &edits {
        let (begin, end) = edit.place();
        // What lies inside a value that was moved stays as it is.
        if begin < at {
            continue;
        }
        output.copy(at, begin);
        edit.write(&mut output);
        at = end;
    }
    output.copy(at, text.len());
    Ok(output.finish())
}

/// What becomes of a place of the text.
enum Edit {
    /// Values are named in front of a statement.
    Name {
        statement: usize,
        values: Vec<Range>,
        bare: bool,
    },
    /// A name stands for the value.
    Use(Range),
    Close(usize),
}

impl Edit {
    fn place(&self) -> Range {
        match self {
            Self::Name { statement, .. } => (*statement, *statement),
            Self::Use(value) => *value,
            Self::Close(at) => (*at, *at),
        }
    }

    fn write(&self, output: &mut Output<'_>) {
        match self {
            Self::Name {
                statement,
                values,
                bare,
            } => {
                output.put(if *bare { "{ " } else { "" }, *statement);
                for &(begin, end) in values {
                    output.put(&format!("{} := ", name(begin)), begin);
                    // With its lines: those of all that follows stay what they are.
                    output.copy(begin, end);
                    output.put("; ", end);
                }
            }
            Self::Use((begin, _)) => output.put(&name(*begin), *begin),
            Self::Close(at) => output.put(" }", *at),
        }
    }
}

/// The name of the value that stands at an offset.
fn name(offset: usize) -> String {
    format!("{NAME}{offset}__")
}

impl Statement {
    fn edits(&self, edits: &mut Vec<Edit>) {
        let (begin, end) = self.whole;
        edits.push(Edit::Name {
            statement: begin,
            values: self.values.clone(),
            bare: self.bare,
        });
        edits.extend(self.values.iter().map(|value| Edit::Use(*value)));
        if self.bare {
            edits.push(Edit::Close(end));
        }
    }
}

fn find(text: &Text, module: &Module, names: &Names) -> Result<Vec<Statement>, Fault> {
    let own = |rule: &Ref<Rule>| path_of(rule_reference(rule))?.into_iter().next();
    let functions = module.policy.iter().filter(|rule| is_function(rule));
    let mut finder = Finder {
        documents: names_of(module, names),
        functions: functions.filter_map(own).collect(),
        rules: module.policy.iter().filter_map(own).collect(),
        statements: Vec::new(),
        depth: 0,
        refused: None,
    };
    finder.module(module);
    if let Some(fault) = finder.refused {
        return Err(fault);
    }
    let all = tokens(text);
    let strings = strings(text);
    for statement in &mut finder.statements {
        widen(&mut statement.whole, &strings);
        for value in &mut statement.values {
            // No text is known that has no `as` there, or nothing behind it.
            let found = behind_as(text, &all, *value);
            *value = found.ok_or_else(|| (value.0, not_supported("this `with`")))?;
        }
    }
    Ok(finder.statements)
}

/// What stands behind `as`, between the end of what is replaced and that of the modifier: the places
/// that the parser gives to objects are those of one of their members.
fn behind_as(text: &str, all: &[Token], (begin, end): Range) -> Option<Range> {
    let first = all.partition_point(|token| token.begin < begin);
    let inside = all.get(first..)?;
    let sign = inside
        .iter()
        .position(|token| text.get(token.begin..token.end) == Some("as"))?;
    let value = inside.get(sign + 1..)?;
    // A string that ends here ends behind its quote.
    let count = value.partition_point(|token| token.begin < end);
    let last = value.get(count.checked_sub(1)?)?;
    Some((value.first()?.begin, last.end))
}

fn is_function(rule: &Rule) -> bool {
    matches!(
        rule,
        Rule::Spec {
            head: RuleHead::Func { .. },
            ..
        }
    )
}

struct Finder {
    /// Variables that are documents; any other is local, and known as it is.
    documents: BTreeSet<String>,
    /// Functions of this module, and all of its rules.
    functions: BTreeSet<String>,
    rules: BTreeSet<String>,
    statements: Vec<Statement>,
    /// Values that what is looked at lies in.
    depth: usize,
    refused: Option<Fault>,
}

impl Visit for Finder {
    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            let bare = begin(&query.span) == begin(&statement.span);
            self.values(statement, bare);
            self.statement(statement);
        }
    }

    /// What lies inside of a value stays as it is, so nothing there may have to be named.
    fn modifier(&mut self, modifier: &WithModifier) {
        self.depth += 1;
        self.expression(&modifier.r#as);
        self.depth -= 1;
    }
}

impl Finder {
    /// `bare`: it is a body of its own, without braces.
    fn values(&mut self, statement: &LiteralStmt, bare: bool) {
        let modifiers = statement.with_mods.iter();
        let ends = modifiers.clone().skip(1).map(|next| begin(&next.span));
        let ends = ends.chain([range(&statement.span).1]);
        let named = modifiers
            .zip(ends)
            .filter(|(modifier, _)| self.is_named(&modifier.refr, &modifier.r#as));
        let values: Vec<_> = named
            .map(|(modifier, end)| (range(modifier.refr.span()).1, end))
            .collect();
        if let Some(value) = values.first().filter(|_| self.depth > 0) {
            let what = "`with` in a value that `with` puts in place";
            let refused = &mut self.refused;
            refused.get_or_insert_with(|| (value.0, not_supported(what)));
        } else if !values.is_empty() {
            self.statements.push(Statement {
                whole: range(&statement.span),
                values,
                bare,
            });
        }
    }

    /// Whether a value is given a name: if it uses documents, and is not a function itself.
    fn is_named(&self, target: &Expr, value: &Expr) -> bool {
        let of_input =
            path_of(target).is_some_and(|path| path.first().is_some_and(|root| root == "input"));
        self.uses_documents(value) && (of_input || !self.may_be_function(value))
    }

    fn uses_documents(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Var { span, .. } => self.documents.contains(span.text()),
            Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. }
            | Expr::Call { .. } => true,
            _ => parts(expression)
                .into_iter()
                .any(|part| self.uses_documents(part)),
        }
    }

    /// Rules of other modules may be; they are told apart by nothing here.
    fn may_be_function(&self, value: &Expr) -> bool {
        let is_name = matches!(
            value,
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }
        );
        let path = path_of(value).filter(|_| is_name);
        path.is_some_and(|path| match path.as_slice() {
            [name] => self.functions.contains(name) || !self.rules.contains(name),
            [root, ..] => root == "data" || purity(&path.join(".")).is_some(),
            [] => false,
        })
    }
}
