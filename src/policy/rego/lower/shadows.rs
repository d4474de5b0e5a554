//! Variables that are named as a rule, an import or a variable further out is. Rule: what a body
//! declares hides all of those in the body and its head. The interpreter takes such a name for either,
//! so the variable gets one of its own.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, LiteralStmt, Query, Ref, Rule, RuleHead, Span};

use super::names::Names;
use super::syntax::{Range, Text, names_of, package_of, range};
use super::{LOCAL, Output, SourceMap};
use crate::policy::rego::check::{declared_in, pattern_names};
use crate::policy::rego::visit::{self, Visit, parts};

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text, names: &Names) -> SourceMap {
    let mut output = Output::new(text);
    let mut copied = 0;
    for ((begin, end), depth) in find(text, names) {
        output.copy(copied, begin);
        output.put(&LOCAL.repeat(depth), begin);
        output.copy(begin, end);
        copied = end;
    }
    output.copy(copied, text.len());
    output.finish()
}

/// All places of such variables, in the order of the text, and how many others they hide.
fn find(text: &Text, names: &Names) -> BTreeMap<Range, usize> {
    let may_declare = ["some", "every", ":="]
        .iter()
        .any(|sign| text.contains(sign));
    let tree = if may_declare { text.tree() } else { None };
    let Some(module) = tree else {
        return BTreeMap::new();
    };
    let mut documents = names_of(module, names);
    // Rule: an import holds for its own file; for the interpreter it holds for the package.
    documents.retain(|name| !matches!(name.as_str(), "data" | "input"));
    documents.extend(names.imported_in(&package_of(module)));
    let mut finder = Finder {
        documents,
        ..Finder::default()
    };
    finder.module(module);
    finder.places
}

/// The variables of a query, and how many others of their names each hides.
type Scope = BTreeMap<String, usize>;

#[derive(Default)]
struct Finder {
    /// Names of rules and imports.
    documents: BTreeSet<String>,
    /// From the outermost to the innermost.
    scopes: Vec<Scope>,
    places: BTreeMap<Range, usize>,
}

// === impl Finder ===

impl Finder {
    /// Looks at something in which a query's variables are known.
    fn within(&mut self, query: Option<&Query>, parameters: &Scope, look: impl FnOnce(&mut Self)) {
        let (mut declared, mut mentioned) = (BTreeSet::new(), Mentioned::default());
        if let Some(query) = query {
            declared_in(query, &mut declared);
            mentioned.query(query);
        }
        let mut scope = self.scope(declared, mentioned.0);
        scope.extend(parameters.clone());
        self.scopes.push(scope);
        look(self);
        self.scopes.pop();
    }

    fn scope(&self, declared: BTreeSet<String>, mentioned: BTreeSet<String>) -> Scope {
        let mut scope = Scope::new();
        for name in mentioned {
            if !self.documents.contains(&name) {
                scope.insert(name.clone(), self.depth(&name).unwrap_or(0));
            }
        }
        for name in declared {
            let hidden = self.depth(&name);
            let hidden = hidden.or(self.documents.contains(&name).then_some(0));
            scope.insert(name, hidden.map_or(0, |depth| depth + 1));
        }
        scope
    }

    /// How many others a variable hides that is known here.
    fn depth(&self, name: &str) -> Option<usize> {
        let mut scopes = self.scopes.iter().rev();
        scopes.find_map(|scope| scope.get(name)).copied()
    }

    fn head(&mut self, head: &RuleHead) {
        let (name, terms): (_, Vec<&Ref<Expr>>) = match head {
            RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                (refr, assign.iter().map(|assign| &assign.value).collect())
            }
            RuleHead::Set { refr, key, .. } => (refr, key.iter().collect()),
        };
        self.name(name);
        terms.into_iter().for_each(|term| self.term(term));
    }

    fn place(&mut self, name: &Span) {
        if let Some(depth) = self.depth(name.text()).filter(|depth| *depth > 0) {
            self.places.insert(range(name), depth);
        }
    }
}

/// Variables of a query, those of comprehensions in it left out.
#[derive(Default)]
struct Mentioned(BTreeSet<String>);

impl Visit for Mentioned {
    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Var { span, .. } if span.text() != "_" => {
                self.0.insert(span.text().to_owned());
            }
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
            _ => visit::in_expression(self, expression),
        }
    }
}

impl Visit for Finder {
    fn rule(&mut self, rule: &Rule) {
        let Rule::Spec { head, bodies, .. } = rule else {
            return visit::in_rule(self, rule);
        };
        let mut parameters = BTreeSet::new();
        if let RuleHead::Func { args, .. } = head {
            args.iter()
                .for_each(|each| pattern_names(each, &mut parameters));
        }
        // Rule: a parameter hides documents, too, and is not declared anew.
        let parameters: Scope = parameters.into_iter().map(|name| (name, 0)).collect();
        let first = bodies.first().map(|body| &*body.query);
        self.within(first, &parameters, |finder| finder.head(head));
        for body in bodies {
            self.within(Some(&body.query), &parameters, |finder| {
                let value = body.assign.iter();
                value.for_each(|assign| finder.term(&assign.value));
                finder.query(&body.query);
            });
        }
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        let modifiers = statement.with_mods.iter();
        modifiers.for_each(|modifier| self.expression(&modifier.refr));
        match &statement.literal {
            Literal::SomeVars { vars, .. } => vars.iter().for_each(|name| self.place(name)),
            Literal::Every { key, value, .. } => {
                let names = key.iter().chain([value]);
                let declared = names.clone().map(|name| name.text().to_owned());
                let scope = self.scope(declared.collect(), BTreeSet::new());
                self.scopes.push(scope);
                names.for_each(|name| self.place(name));
                visit::in_statement(self, statement);
                self.scopes.pop();
                return;
            }
            _ => {}
        }
        visit::in_statement(self, statement);
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Var { span, .. } => self.place(span),
            Expr::ArrayCompr { query, .. }
            | Expr::SetCompr { query, .. }
            | Expr::ObjectCompr { query, .. } => {
                self.within(Some(query), &Scope::new(), |finder| {
                    let terms: Vec<&Ref<Expr>> = parts(expression);
                    terms.into_iter().for_each(|term| finder.term(term));
                    finder.query(query);
                });
            }
            _ => visit::in_expression(self, expression),
        }
    }
}
