//! Built-ins that `with` replaces. The interpreter replaces only those it knows itself, and none by
//! another built-in. So a function is put in that does nothing but call the built-in, and stands for
//! it wherever it is replaced, called, or replaces another. Only what is evaluated is written so:
//! what policies call and read is told of the text before this step.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Ref, Span, WithModifier};

use super::REPLACED;
use super::keywords::is_name;
use super::syntax::{Edit, Range, Written, cannot_write, edited, range};
use crate::policy::rego::builtins::{arity, is_of_interpreter};
use crate::policy::rego::module::{begin_of, path_of, reference, rule_reference};
use crate::policy::rego::visit::{self, Visit};
use crate::policy::rego::{RegoError, RegoModule};

/// Where the functions that are put in are said to be.
const FILE: &str = "built-ins";
/// What cannot be, since there is nowhere to put them.
const HOMELESS: &str = "`with` that replaces a built-in, or replaces by one, where each package has a name in \
     brackets or rules named as the built-in is,";

/// All modules as they are evaluated, with one more of functions.
pub(in crate::policy::rego) fn replaceable(modules: &[Ref<Module>]) -> Written {
    let names = names_of_packages(modules);
    let found: Vec<_> = modules
        .iter()
        .map(|module| Found::of(module, &names))
        .collect();
    let functions = Functions::of(&found);
    let Some(first) = functions.first(&found) else {
        return Ok(None);
    };
    let homeless = || cannot_write(&first.span, HOMELESS);
    let home = functions.home(modules, &names).ok_or_else(homeless)?;
    let written = modules
        .iter()
        .zip(&found)
        .map(|(module, found)| functions.write(module, found, &home));
    let written = written.chain([Ok(functions.module(&home))]);
    written.collect::<Result<_, _>>().map(Some)
}

/// What names stand for in a package that are no built-ins.
type Names = BTreeMap<Vec<String>, BTreeSet<String>>;

/// Imports count for all of a package, as they do for the interpreter.
fn names_of_packages(modules: &[Ref<Module>]) -> Names {
    let mut names = Names::new();
    for module in modules {
        let own = names.entry(package_of(module)).or_default();
        let rules = module.policy.iter();
        own.extend(rules.filter_map(|rule| path_of(rule_reference(rule))?.into_iter().next()));
        own.extend(module.imports.iter().filter_map(|import| {
            let path = path_of(&import.refr)?;
            let is_document = matches!(path.first()?.as_str(), "data" | "input");
            let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
            alias.or(path.last().cloned()).filter(|_| is_document)
        }));
    }
    names
}

fn package_of(module: &Module) -> Vec<String> {
    path_of(&module.package.refr).unwrap_or_default()
}

/// The name of a built-in in a text.
struct Name {
    name: String,
    at: Range,
    span: Span,
}

/// The built-ins of a module that are called, that `with` replaces, and by which it does.
#[derive(Default)]
struct Found {
    called: Vec<Name>,
    replaced: Vec<Name>,
    replacing: Vec<Name>,
}

impl Found {
    fn of(module: &Module, names: &Names) -> Self {
        let taken = names.get(&package_of(module));
        let is_free = |name: &str| !taken.is_some_and(|taken| taken.contains(name));
        let mut all = Self::default();
        for rule in &module.policy {
            let mut finder = Finder::default();
            finder.rule(rule);
            let Finder {
                variables, found, ..
            } = finder;
            let is_built_in = |name: &Name| {
                let root = name.name.split('.').next().unwrap_or_default();
                is_free(root) && arity(&name.name).is_some()
            };
            // Rule: a variable of that name is meant before a built-in.
            let is_no_variable = |name: &Name| {
                let root = name.name.split('.').next().unwrap_or_default();
                !variables.contains(root)
            };
            all.called
                .extend(found.called.into_iter().filter(is_built_in));
            all.replaced
                .extend(found.replaced.into_iter().filter(is_built_in));
            let replacing = found.replacing.into_iter().filter(is_built_in);
            all.replacing.extend(replacing.filter(is_no_variable));
        }
        all
    }
}

/// Built-ins that get a function.
struct Functions<'a> {
    /// Whose calls are calls of it.
    called: BTreeSet<&'a str>,
    /// For which it only stands behind `as`.
    replacing: BTreeSet<&'a str>,
}

impl<'a> Functions<'a> {
    fn of(found: &'a [Found]) -> Self {
        let names = |names: &'a Vec<Name>| names.iter().map(|name| name.name.as_str());
        let replacing: BTreeSet<_> = found.iter().flat_map(|all| names(&all.replacing)).collect();
        let replaced = found.iter().flat_map(|all| names(&all.replaced));
        // A function has a parameter at least: the one that calls a built-in without any has one too
        // many for what the interpreter replaces itself.
        let none = |name: &str| arity(name) == Some(0);
        let by_none = replacing.iter().any(|name| none(name));
        let called = replaced.filter(|name| !is_of_interpreter(name) || (by_none && none(name)));
        Self {
            called: called.collect(),
            replacing,
        }
    }

    /// Where the first of them is named.
    fn first(&self, found: &'a [Found]) -> Option<&'a Name> {
        let names = |found: &'a Found| found.replaced.iter().chain(&found.replacing);
        let all = self.all();
        let mut names = found.iter().flat_map(names);
        names.find(|name| all.contains(name.name.as_str()))
    }

    fn all(&self) -> BTreeSet<&'a str> {
        &self.called | &self.replacing
    }

    /// A package that there is already, where no rule is named like one of the built-ins: one more
    /// would be seen in `data`.
    fn home(&self, modules: &[Ref<Module>], names: &Names) -> Option<Vec<String>> {
        let roots: BTreeSet<_> = self
            .all()
            .into_iter()
            .filter_map(|name| name.split('.').next())
            .collect();
        let is_home = |package: &Vec<String>| {
            let taken = names.get(package);
            let is_taken = |root: &&str| taken.is_some_and(|taken| taken.contains(*root));
            package.iter().all(|part| is_name(part)) && !roots.iter().any(is_taken)
        };
        modules
            .iter()
            .map(|module| package_of(module))
            .find(is_home)
    }

    fn write(
        &self,
        module: &Module,
        found: &Found,
        home: &[String],
    ) -> Result<RegoModule, RegoError> {
        let text = module.package.span.source.contents();
        let stands = |name: &str| format!("{}.{}", reference(home.iter()), function(name));
        let mut edits: Vec<Edit> = Vec::new();
        for name in &found.called {
            if self.called.contains(name.name.as_str()) {
                edits.push((name.at, stands(&name.name)));
                if arity(&name.name) == Some(0) {
                    let behind = text.get(name.at.1..).unwrap_or_default();
                    let open = name.at.1 + behind.find('(').map_or(0, |at| at + 1);
                    edits.push(((open, open), "null".to_owned()));
                }
            }
        }
        let replaced = found.replaced.iter();
        let replaced = replaced.filter(|name| self.called.contains(name.name.as_str()));
        let names = replaced.chain(&found.replacing);
        edits.extend(names.map(|name| (name.at, stands(&name.name))));
        edits.sort();
        edits.dedup();
        edited(module, edits)
    }

    /// The functions, each of which calls its built-in.
    fn module(&self, home: &[String]) -> RegoModule {
        let mut text = format!("package {}\n", home.join("."));
        for name in self.all() {
            let parameters: Vec<_> = (0..arity(name).unwrap_or_default())
                .map(|index| format!("argument_{index}"))
                .collect();
            let arguments = parameters.join(", ");
            let parameters = match arguments.as_str() {
                "" => "_",
                arguments => arguments,
            };
            let function = function(name);
            text.push_str(&format!(
                "\n{function}({parameters}) := {name}({arguments})\n"
            ));
        }
        RegoModule {
            path: FILE.to_owned(),
            text,
            v0: false,
        }
    }
}

fn function(name: &str) -> String {
    format!("{REPLACED}{}", name.replace('.', "__"))
}

/// Names in one rule.
#[derive(Default)]
struct Finder {
    /// Names that stand for values.
    variables: BTreeSet<String>,
    found: Found,
}

impl Visit for Finder {
    fn modifier(&mut self, modifier: &WithModifier) {
        self.found.replaced.extend(name_of(&modifier.refr));
        match name_of(&modifier.r#as) {
            Some(name) => self.found.replacing.push(name),
            None => self.expression(&modifier.r#as),
        }
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        let names: Vec<&Span> = match &statement.literal {
            Literal::SomeVars { vars, .. } => vars.iter().collect(),
            Literal::Every { key, value, .. } => key.iter().chain([value]).collect(),
            _ => Vec::new(),
        };
        let names = names.into_iter().map(|name| name.text().to_owned());
        self.variables.extend(names);
        visit::in_statement(self, statement);
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Var { span, .. } => drop(self.variables.insert(span.text().to_owned())),
            Expr::Call { fcn, params, .. } => {
                self.found.called.extend(name_of(fcn));
                params.iter().for_each(|each| self.expression(each));
            }
            _ => visit::in_expression(self, expression),
        }
    }
}

/// `a.b.c`, which may name a built-in.
fn name_of(expression: &Expr) -> Option<Name> {
    let (name, end) = dotted(expression)?;
    let span = begin_of(expression).clone();
    Some(Name {
        name,
        at: (range(&span).0, end),
        span,
    })
}

fn dotted(expression: &Expr) -> Option<(String, usize)> {
    match expression {
        Expr::Var { span, .. } => Some((span.text().to_owned(), range(span).1)),
        Expr::RefDot { refr, field, .. } => {
            let (name, _) = dotted(refr)?;
            Some((format!("{name}.{}", field.0.text()), range(&field.0).1))
        }
        _ => None,
    }
}
