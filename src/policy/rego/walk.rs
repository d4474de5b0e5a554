//! One pass over a module's syntax tree: what each rule reads and refers to, which functions it calls,
//! and whether those exist. What follows from it for all modules together is told in `module` and
//! `graph`.

use std::collections::HashMap;

use regorus::unstable::{
    AssignOp, Expr, Literal, LiteralStmt, Module, Ref, Rule, RuleAssign, RuleHead, Span,
    WithModifier,
};

use super::builtins::{OPA_RUNTIME, Purity, purity};
use super::graph::{Facts, OBJECT_GET, RuleId};
use super::imports::{Aliases, Imports, imports_of};
use super::module::{Analysis, Place, begin_of, path_of, reference, rule_reference, whole_path_of};
use super::paths::{Paths, Use};
use super::visit::{self, Visit};
use super::{RegoError, lower};

/// How often names for names are followed; beyond, they count as all they stand for.
const MAX_ROUNDS: usize = 8;

/// One pass over one module.
pub(super) struct Walk<'a> {
    package: Vec<String>,
    /// Alias to full path, of this module alone.
    imports: HashMap<String, Vec<String>>,
    /// Those of all modules of the package.
    of_package: Option<&'a Aliases>,
    /// The rule that is being looked at.
    current: String,
    facts: Facts,
    names: Names,
    analysis: &'a mut Analysis,
    errors: &'a mut Vec<RegoError>,
}

/// What the names of one rule stand for. Scopes are not told apart: a use of a name counts for all it
/// stands for anywhere in the rule.
#[derive(Default)]
struct Names {
    /// Names that are nothing but another for a constant path (`x := input.a.b`).
    paths: Vec<(String, Vec<String>)>,
    /// What is used of the value that a name has.
    uses: HashMap<String, Paths>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        module: &Module,
        imports: &'a Imports,
        analysis: &'a mut Analysis,
        errors: &'a mut Vec<RegoError>,
    ) -> Self {
        let package = path_of(&module.package.refr).unwrap_or_default();
        Self {
            imports: imports_of(module).collect(),
            of_package: imports.within(&package),
            package,
            current: String::new(),
            facts: Facts::default(),
            names: Names::default(),
            analysis,
            errors,
        }
    }

    /// Goes through all rules; `ids` gives one for each.
    pub(super) fn rules(mut self, module: &Module, ids: &mut impl Iterator<Item = RuleId>) {
        for (rule, id) in module.policy.iter().zip(ids) {
            let name = path_of(rule_reference(rule)).unwrap_or_default();
            self.current = reference(self.package.iter().chain(&name));
            match rule.as_ref() {
                Rule::Default { args, value, .. } => {
                    self.all(args);
                    self.expression(value);
                }
                Rule::Spec { head, bodies, .. } => {
                    self.head(head, self.analysis.graph.alias(id).is_some());
                    for body in bodies {
                        self.assign(body.assign.as_ref());
                        self.query(&body.query);
                    }
                }
            }
            self.settle_names();
            let facts = std::mem::take(&mut self.facts);
            self.analysis.graph.settle(id, facts);
        }
    }

    /// The name of a rule is no reference to it, but what stands in its brackets is evaluated.
    fn head(&mut self, head: &RuleHead, is_alias: bool) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.indices(refr);
                let value = assign.as_ref().filter(|_| is_alias);
                match value.and_then(|assign| whole_path_of(&assign.value)) {
                    Some(path) => self.note(&path, Use::Presence),
                    None => self.assign(assign.as_ref()),
                }
            }
            RuleHead::Set { refr, key, .. } => {
                self.indices(refr);
                self.all(key);
            }
            RuleHead::Func { args, assign, .. } => {
                self.all(args);
                self.check_arguments(args);
                self.assign(assign.as_ref());
            }
        }
    }

    /// Refuses what the interpreter cannot take apart in a function's head.
    fn check_arguments(&mut self, arguments: &[Ref<Expr>]) {
        for argument in arguments {
            let (Expr::Call { span, .. }
            | Expr::ArrayCompr { span, .. }
            | Expr::SetCompr { span, .. }
            | Expr::ObjectCompr { span, .. }) = argument.as_ref()
            else {
                continue;
            };
            let message = "a template string, call or comprehension as a function's parameter is \
                           not supported";
            self.errors.push(RegoError {
                code: "rego_compile_error",
                message: message.to_owned(),
                file: span.source.file().clone(),
                row: u64::from(span.line),
                col: u64::from(span.col),
            });
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>) {
        if let Some(assign) = assign {
            self.expression(&assign.value);
        }
    }

    /// Takes `x := input.a.b` for a name: what is read is told by the uses of the name.
    fn names_a_path(&mut self, expression: &Expr) -> bool {
        let Expr::AssignExpr {
            op: AssignOp::ColEq,
            lhs,
            rhs,
            ..
        } = expression
        else {
            return false;
        };
        let (Expr::Var { span, .. }, Some(path)) = (lhs.as_ref(), whole_path_of(rhs)) else {
            return false;
        };
        if matches!(span.text(), "input" | "data") {
            return false;
        }
        self.note(&path, Use::Presence);
        self.names.paths.push((span.text().to_owned(), path));
        true
    }

    /// Puts what names stand for in their place, also names for names.
    fn settle_names(&mut self) {
        let paths = std::mem::take(&mut self.names.paths);
        for _ in 0..MAX_ROUNDS {
            let uses = std::mem::take(&mut self.names.uses);
            for (name, path) in &paths {
                for (rest, how) in uses.get(name).into_iter().flat_map(Paths::list) {
                    self.note(&[path.as_slice(), rest.as_slice()].concat(), how);
                }
            }
            if !paths.iter().any(|(name, _)| uses.contains_key(name)) {
                return;
            }
        }
        for (_, path) in &paths {
            self.note(path, Use::Whole);
        }
        self.names.uses.clear();
    }

    fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Ref<Expr>>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    /// Notes a reference by its constant parts. A name counts for all it may stand for: a variable, a
    /// rule of this package, an import.
    fn note(&mut self, path: &[String], how: Use) {
        let Some((root, rest)) = path.split_first() else {
            return;
        };
        match root.as_str() {
            "input" => self.facts.input.add(rest, how),
            "data" => self.note_data(rest, how),
            "_" => {}
            _ => {
                let uses = self.names.uses.entry(root.clone()).or_default();
                uses.add(rest, how);
                self.note_name(path, how, true);
            }
        }
    }

    /// Rule (of the interpreter): what a name imports is evaluated whole, unless it is called.
    fn note_name(&mut self, path: &[String], how: Use, evaluated: bool) {
        let rule = [self.package.as_slice(), path].concat();
        self.analysis.graph.refer(&mut self.facts, &rule, how);
        let Some((root, rest)) = path.split_first() else {
            return;
        };
        let imports = self.of_package.and_then(|imports| imports.get(root));
        for import in imports.into_iter().flatten() {
            let Some((root, more)) = import.split_first() else {
                continue;
            };
            let path = [more, rest].concat();
            match root.as_str() {
                "input" => self.facts.input.add(&path, how),
                "data" => {
                    if evaluated {
                        self.analysis.graph.evaluate(&mut self.facts, more);
                    }
                    self.note_data(&path, how);
                }
                // `future` and `rego`, which are no documents.
                _ => {}
            }
        }
    }

    fn note_data(&mut self, path: &[String], how: Use) {
        self.analysis.graph.refer(&mut self.facts, path, how);
        if self.analysis.graph.leads_to_data(path) {
            self.facts.data.add(path, how);
        }
    }

    /// Rule: `object.get(OBJECT, "key", DEFAULT)` reads a member, as a reference does.
    fn arguments(&mut self, function: &Expr, arguments: &[Ref<Expr>]) {
        let is_get = path_of(function).is_some_and(|path| {
            path.join(".") == OBJECT_GET
                && self.rule_called(&path).is_none()
                && !self.analysis.graph.is_replaced(OBJECT_GET)
        });
        if let [object, key, default] = arguments
            && let Some(path) = whole_path_of(object).filter(|_| is_get)
            && let Some(keys) = constant_keys(key)
        {
            self.note(&path, Use::Presence);
            self.note(&[path, keys].concat(), Use::Whole);
            self.expression(default);
        } else {
            self.all(arguments);
        }
    }

    /// What stands in the brackets of a reference.
    fn indices(&mut self, reference: &Expr) {
        match reference {
            Expr::Var { .. } => {}
            Expr::RefDot { refr, .. } => self.indices(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indices(refr);
                self.expression(index);
            }
            other => self.expression(other),
        }
    }

    fn call(&mut self, function: &Expr) {
        let Some(path) = path_of(function) else {
            return self.unknown(begin_of(function), function.span().text());
        };
        let name = path.join(".");
        // Also where a rule of that name stands: which of the two is called is not for us to say.
        self.note_built_in(&name, begin_of(function));
        match path.split_first() {
            Some((root, rest)) if root == "data" => self.note_data(rest, Use::Whole),
            _ => self.note_name(&path, Use::Whole, false),
        }
        let rule = self.rule_called(&path);
        // Rule: a name that is imported is never a built-in.
        let import = path.first().and_then(|root| self.imports.get(root));
        let imported = import
            .and_then(|import| import.first())
            .is_some_and(|root| matches!(root.as_str(), "data" | "input"));
        if imported && rule.is_none() {
            return self.unknown(begin_of(function), &name);
        }
        if rule.is_some() {
            return;
        }
        if self.is_hidden(&path) {
            return self.hidden(begin_of(function), &name);
        }
        if purity(&name).is_none() && !lower::is_function(&name) {
            self.unknown(begin_of(function), &name);
        }
    }

    /// Whether another file of the package imports something by the name a built-in begins with. Rule: an
    /// import holds for its own file. For the interpreter it holds for the package.
    fn is_hidden(&self, path: &[String]) -> bool {
        let Some(root) = path.first() else {
            return false;
        };
        let of_package = self.of_package.and_then(|imports| imports.get(root));
        let mut documents = of_package.into_iter().flatten();
        documents.any(|import| {
            let root = import.first().map(String::as_str);
            matches!(root, Some("data" | "input"))
        })
    }

    fn hidden(&mut self, span: &Span, name: &str) {
        let message = format!(
            "built-in {name} is hidden by an import in another file of the package: give that \
             another name"
        );
        self.errors
            .push(Place::of(span).error("rego_compile_error", message));
    }

    /// The rule a path names: in this package, by an import, or in full.
    fn rule_called(&self, path: &[String]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        let full = match self.imports.get(first) {
            Some(import) if import.first().is_some_and(|root| root == "data") => {
                reference(import.iter().skip(1).chain(rest))
            }
            _ if first == "data" => reference(rest.iter()),
            _ => reference(self.package.iter().chain(path)),
        };
        self.analysis.rules.contains(&full).then_some(full)
    }

    fn note_built_in(&mut self, name: &str, span: &Span) {
        self.facts.built_in(name);
        if purity(name) == Some(Purity::External) && self.analysis.external.is_none() {
            let message = format!("{name} reaches outside, which needs `rego.http_send: true`");
            self.analysis.external = Some(Place::of(span).error("rego_type_error", message));
        }
        if name == OPA_RUNTIME && self.analysis.runtime.is_none() {
            let message = format!("{name} is only there under `--opa-config`");
            self.analysis.runtime = Some(Place::of(span).error("rego_type_error", message));
        }
    }

    fn unknown(&mut self, span: &Span, name: &str) {
        self.errors.push(RegoError {
            code: "rego_type_error",
            message: format!("undefined function {name}"),
            file: span.source.file().clone(),
            row: u64::from(span.line),
            col: u64::from(span.col),
        });
    }
}

impl Visit for Walk<'_> {
    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::Expr { expr, .. } if self.names_a_path(expr) => {
                let modifiers = statement.with_mods.iter();
                modifiers.for_each(|modifier| self.modifier(modifier));
            }
            _ => visit::in_statement(self, statement),
        }
    }

    fn modifier(&mut self, modifier: &WithModifier) {
        let target = path_of(&modifier.refr).map(|path| path.join("."));
        if let Some(name) = target.filter(|name| purity(name).is_some()) {
            self.analysis.graph.replace(name);
        }
        // What replaces a function may be the name of another.
        if let Some(path) = path_of(&modifier.r#as) {
            self.note_built_in(&path.join("."), begin_of(&modifier.r#as));
        }
        self.expression(&modifier.r#as);
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                if let Some(path) = path_of(expression) {
                    self.note(&path, Use::Whole);
                }
                self.indices(expression);
            }
            Expr::Call { fcn, params, .. } => {
                self.call(fcn);
                self.arguments(fcn, params);
            }
            // A name that is declared is not used thereby.
            Expr::AssignExpr {
                op: AssignOp::ColEq,
                lhs,
                rhs,
                ..
            } if matches!(lhs.as_ref(), Expr::Var { .. }) => self.expression(rhs),
            _ => visit::in_expression(self, expression),
        }
    }
}

/// The keys that the second argument of `object.get` leads by, if they are constant.
fn constant_keys(key: &Expr) -> Option<Vec<String>> {
    let constant = |key: &Expr| match key {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(ToString::to_string)
        }
        _ => None,
    };
    match key {
        Expr::Array { items, .. } => items.iter().map(|item| constant(item)).collect(),
        _ => constant(key).map(|key| vec![key]),
    }
}
