//! Rules in the form that the checks look at: names resolved, local variables renamed, nested calls
//! taken out into expressions of their own. Making it of a module is left to `lowering`.

use std::collections::BTreeSet;
use std::rc::Rc;

use regorus::unstable::Span;

use crate::policy::rego::lower::{LOCAL, PUT_IN};

/// A variable: `data` and `input`, `x` as written, `x@1` declared in a scope, `@2` made by the
/// lowering, `_@3` a wildcard.
pub(super) type Var = Rc<str>;
pub(super) type Vars = BTreeSet<Var>;
pub(super) type Body = Vec<Expression>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(Self, Self)>),
}

#[derive(Debug, Clone)]
pub(super) enum Term {
    /// No array or object: those are terms of their own.
    Constant(Constant),
    Var(Var),
    Ref(Reference),
    Array(Vec<Self>),
    Object(Vec<(Self, Self)>),
    Set(Vec<Self>),
    Comprehension(Rc<Comprehension>),
}

#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) head: Var,
    pub(super) tail: Vec<Term>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Set,
    Object,
}

#[derive(Debug, Clone)]
pub(super) struct Comprehension {
    pub(super) kind: Kind,
    /// Key and value of an object, one term of others.
    pub(super) terms: Vec<Term>,
    pub(super) body: Body,
}

#[derive(Debug, Clone)]
pub(super) struct Expression {
    pub(super) what: What,
    pub(super) negated: bool,
    /// Targets and values.
    pub(super) with: Vec<(Term, Term)>,
    /// It gives a call's value to a variable made by the lowering.
    pub(super) generated: bool,
    pub(super) place: Span,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Term(Term),
    Call(Function, Vec<Term>),
    Every {
        variables: Vec<Var>,
        domain: Term,
        body: Body,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    Builtin(String),
    /// The parts after `data`.
    Rule(Vec<String>),
    /// A local variable or something in the input, which is none.
    None(String),
}

/// One body of a rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// All parts after `data`, the package's in front.
    pub(super) path: Vec<Term>,
    pub(super) arguments: Vec<Term>,
    pub(super) multi_value: bool,
    pub(super) key: Option<Term>,
    pub(super) value: Option<Term>,
    pub(super) default: bool,
    pub(super) is_else: bool,
    pub(super) body: Body,
    pub(super) place: Span,
    /// Index of its module.
    pub(super) module: usize,
}

pub(super) const EQ: &str = "eq";

/// What a walk for variables leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Skip {
    pub(super) closures: bool,
    pub(super) sets: bool,
    pub(super) object_keys: bool,
    pub(super) ref_heads: bool,
}

/// What decides whether an expression is safe: what is inside of closures is looked at there.
pub(super) const SAFETY: Skip = Skip {
    closures: true,
    sets: false,
    object_keys: false,
    ref_heads: false,
};

/// The name a variable has in the policy; `None` where it has none.
pub(super) fn written(var: &str) -> Option<&str> {
    let name = var.split_once('@').map_or(var, |(name, _)| name);
    let put_in = PUT_IN.iter().any(|begin| name.starts_with(begin)) && !name.starts_with(LOCAL);
    (!name.is_empty() && !put_in).then_some(name)
}

pub(super) fn is_root(var: &str) -> bool {
    matches!(var, "data" | "input")
}

// === impl Constant ===

impl Constant {
    pub(super) fn string(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

// === impl Term ===

impl Term {
    pub(super) fn string(text: &str) -> Self {
        Self::Constant(Constant::string(text))
    }

    pub(super) fn as_string(&self) -> Option<&str> {
        match self {
            Self::Constant(Constant::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of a term that holds no variable, reference or comprehension. A set is none: it is
    /// nowhere needed as a key.
    pub(super) fn constant(&self) -> Option<Constant> {
        match self {
            Self::Constant(constant) => Some(constant.clone()),
            Self::Array(items) => {
                let items: Option<_> = items.iter().map(Self::constant).collect();
                items.map(Constant::Array)
            }
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| Some((key.constant()?, value.constant()?)));
                let fields: Option<_> = fields.collect();
                fields.map(Constant::Object)
            }
            Self::Var(_) | Self::Ref(_) | Self::Set(_) | Self::Comprehension(_) => None,
        }
    }

    /// Whether two keys are written alike.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Var(left), Self::Var(right)) => left == right,
            (left, right) => left
                .constant()
                .is_some_and(|left| Some(left) == right.constant()),
        }
    }

    /// Whether it is the same whatever variables stand for.
    pub(super) fn is_constant(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Array(items) | Self::Set(items) => items.iter().all(Self::is_constant),
            Self::Object(fields) => fields
                .iter()
                .all(|(key, value)| key.is_constant() && value.is_constant()),
            Self::Var(_) | Self::Ref(_) | Self::Comprehension(_) => false,
        }
    }

    pub(super) fn vars(&self, skip: Skip) -> Vars {
        let mut vars = Vars::new();
        self.collect(skip, &mut vars);
        vars
    }

    pub(super) fn collect(&self, skip: Skip, vars: &mut Vars) {
        match self {
            Self::Constant(_) => {}
            Self::Var(var) => drop(vars.insert(var.clone())),
            Self::Ref(reference) => {
                if !skip.ref_heads {
                    vars.insert(reference.head.clone());
                }
                for term in &reference.tail {
                    term.collect(skip, vars);
                }
            }
            Self::Set(_) if skip.sets => {}
            Self::Array(items) | Self::Set(items) => {
                for item in items {
                    item.collect(skip, vars);
                }
            }
            Self::Object(fields) => {
                for (key, value) in fields {
                    if !skip.object_keys {
                        key.collect(skip, vars);
                    }
                    value.collect(skip, vars);
                }
            }
            Self::Comprehension(comprehension) => {
                if !skip.closures {
                    comprehension.collect(skip, vars);
                }
            }
        }
    }

    /// Calls back for this term and all terms in it, without going into comprehensions.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Constant(_) | Self::Var(_) | Self::Comprehension(_) => {}
            Self::Ref(reference) => reference.tail.iter().for_each(|term| term.walk(visit)),
            Self::Array(items) | Self::Set(items) => {
                items.iter().for_each(|item| item.walk(visit));
            }
            Self::Object(fields) => {
                for (key, value) in fields {
                    key.walk(visit);
                    value.walk(visit);
                }
            }
        }
    }
}

// === impl Comprehension ===

impl Comprehension {
    fn collect(&self, skip: Skip, vars: &mut Vars) {
        for term in &self.terms {
            term.collect(skip, vars);
        }
        for expression in &self.body {
            expression.collect(skip, vars);
        }
    }

    pub(super) fn all_vars(&self) -> Vars {
        let mut vars = Vars::new();
        self.collect(Skip::default(), &mut vars);
        vars
    }
}

// === impl Expression ===

impl Expression {
    pub(super) fn new(what: What, place: &Span) -> Self {
        Self {
            what,
            negated: false,
            with: Vec::new(),
            generated: false,
            place: place.clone(),
        }
    }

    pub(super) fn call(name: &str, arguments: Vec<Term>, place: &Span) -> Self {
        let function = Function::Builtin(name.to_owned());
        Self::new(What::Call(function, arguments), place)
    }

    pub(super) fn equation(left: Term, right: Term, place: &Span) -> Self {
        Self::call(EQ, vec![left, right], place)
    }

    pub(super) fn vars(&self, skip: Skip) -> Vars {
        let mut vars = Vars::new();
        self.collect(skip, &mut vars);
        vars
    }

    pub(super) fn collect(&self, skip: Skip, vars: &mut Vars) {
        match &self.what {
            What::Term(term) => term.collect(skip, vars),
            What::Call(_, arguments) => {
                for argument in arguments {
                    argument.collect(skip, vars);
                }
            }
            What::Every {
                variables,
                domain,
                body,
            } => {
                domain.collect(skip, vars);
                if !skip.closures {
                    vars.extend(variables.iter().cloned());
                    for expression in body {
                        expression.collect(skip, vars);
                    }
                }
            }
        }
        self.collect_with(skip, vars);
    }

    pub(super) fn collect_with(&self, skip: Skip, vars: &mut Vars) {
        for (target, value) in &self.with {
            target.collect(
                Skip {
                    ref_heads: true,
                    ..skip
                },
                vars,
            );
            value.collect(skip, vars);
        }
    }

    /// The terms it is made of, without bodies.
    pub(super) fn terms(&self) -> impl Iterator<Item = &Term> {
        let own: &[Term] = match &self.what {
            What::Term(term) | What::Every { domain: term, .. } => std::slice::from_ref(term),
            What::Call(_, arguments) => arguments,
        };
        let with = self.with.iter().flat_map(|(target, value)| [target, value]);
        own.iter().chain(with)
    }

    /// Calls back for the comprehensions right in this expression, not for those inside of them.
    pub(super) fn comprehensions<'a>(&'a self, visit: &mut dyn FnMut(&'a Comprehension)) {
        for term in self.terms() {
            term.walk(&mut |term| {
                if let Term::Comprehension(comprehension) = term {
                    visit(comprehension);
                }
            });
        }
    }

    /// Calls back for this expression and all in its closures.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.comprehensions(&mut |comprehension| {
            let terms = comprehension.terms.iter();
            terms.for_each(|term| walk_bodies(term, visit));
            comprehension.body.iter().for_each(|each| each.walk(visit));
        });
        if let What::Every { body, .. } = &self.what {
            body.iter().for_each(|expression| expression.walk(visit));
        }
    }
}

fn walk_bodies<'a>(term: &'a Term, visit: &mut dyn FnMut(&'a Expression)) {
    term.walk(&mut |term| {
        if let Term::Comprehension(comprehension) = term {
            comprehension
                .terms
                .iter()
                .for_each(|term| walk_bodies(term, visit));
            comprehension.body.iter().for_each(|each| each.walk(visit));
        }
    });
}

// === impl Rule ===

impl Rule {
    /// The constant beginning of its path: a string, or the text of another constant.
    pub(super) fn ground(&self) -> Vec<Constant> {
        self.path.iter().map_while(Term::constant).collect()
    }

    pub(super) fn is_ground(&self) -> bool {
        self.path.iter().all(|part| part.constant().is_some())
    }

    pub(super) fn argument_vars(&self) -> Vars {
        let mut vars = Vars::new();
        for argument in &self.arguments {
            argument.collect(Skip::default(), &mut vars);
        }
        vars
    }

    /// Calls back for all references of the rule: its head, its body, all closures.
    pub(super) fn references<'a>(&'a self, visit: &mut dyn FnMut(&'a Reference)) {
        let head = self.key.iter().chain(&self.value).chain(&self.path);
        head.chain(&self.arguments)
            .for_each(|term| references_of(term, visit));
        for expression in &self.body {
            expression.walk(&mut |expression| {
                for term in expression.terms() {
                    references_of(term, visit);
                }
            });
        }
    }
}

/// References of a term; those in bodies of comprehensions are found by walking expressions.
fn references_of<'a>(term: &'a Term, visit: &mut dyn FnMut(&'a Reference)) {
    term.walk(&mut |term| match term {
        Term::Ref(reference) => visit(reference),
        Term::Comprehension(comprehension) => {
            for term in &comprehension.terms {
                references_of(term, visit);
            }
        }
        _ => {}
    });
}
