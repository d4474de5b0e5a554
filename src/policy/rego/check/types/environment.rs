//! What types are known at a place: those of variables, scope by scope, and of rules.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::super::core::{Comprehension, Constant, Kind, Reference, Term, Var};
use super::{Type, or};

/// Most work in all; what is left then has no type.
const BUDGET: usize = 4_000_000;

#[derive(Debug, Default)]
pub(super) struct Environment {
    scopes: Vec<HashMap<Var, Type>>,
    rules: Node,
    comprehensions: HashMap<*const Comprehension, Type>,
    spent: Cell<usize>,
}

/// Types of rules by path, after `data`.
#[derive(Debug, Default)]
struct Node {
    value: Option<Type>,
    children: BTreeMap<Constant, Self>,
}

impl Environment {
    pub(super) fn enter(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub(super) fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Counts work; false once there has been too much.
    pub(super) fn spend(&self) -> bool {
        let spent = self.spent.get().saturating_add(1);
        self.spent.set(spent);
        spent < BUDGET
    }

    pub(super) fn var(&self, var: &Var) -> Option<Type> {
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| scope.get(var))
            .cloned()
    }

    pub(super) fn put(&mut self, var: &Var, of: Type) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(var.clone(), of);
        }
    }

    /// Notes the type of a comprehension whose terms have these.
    pub(super) fn remember(&mut self, comprehension: &Comprehension, terms: Vec<Option<Type>>) {
        let mut terms = terms.into_iter();
        let (Some(Some(first)), second) = (terms.next(), terms.next()) else {
            return;
        };
        let of = match (comprehension.kind, second) {
            (Kind::Array, _) => Type::Array {
                fixed: Rc::new([]),
                rest: Some(Rc::new(first)),
            },
            (Kind::Set, _) => Type::Set(Rc::new(first)),
            (Kind::Object, Some(Some(value))) => Type::object(first, value),
            (Kind::Object, _) => return,
        };
        self.comprehensions
            .insert(std::ptr::from_ref(comprehension), of);
    }

    /// Notes the type of one more rule of a path.
    pub(super) fn insert(&mut self, path: &[Constant], of: Type) {
        self.rules.insert(path, of);
    }

    pub(super) fn replace(&mut self, path: &[Constant], of: Type) {
        let mut node = &mut self.rules;
        for part in path {
            node = node.children.entry(part.clone()).or_default();
        }
        node.value = Some(of);
    }

    pub(super) fn function(&self, path: &[String]) -> Option<Type> {
        let node = path.iter().try_fold(&self.rules, |node, part| {
            node.children.get(&Constant::string(part))
        });
        node?.value.clone()
    }

    /// The type of a term, as far as it is known.
    pub(super) fn of(&self, term: &Term) -> Option<Type> {
        match term {
            Term::Constant(constant) => Some(Type::of(constant)),
            Term::Var(var) => self.var(var),
            Term::Ref(reference) => self.of_reference(reference),
            Term::Array(items) => {
                let fixed: Option<Vec<_>> = items.iter().map(|item| self.of(item)).collect();
                let fixed = fixed?;
                let rest = fixed.is_empty().then(|| Rc::new(Type::ANY));
                Some(Type::Array {
                    fixed: fixed.into(),
                    rest,
                })
            }
            Term::Object(fields) => self.of_object(fields),
            Term::Set(items) => {
                let of = items.iter().map(|item| self.of(item)).fold(None, or);
                Some(Type::Set(Rc::new(of.unwrap_or(Type::ANY))))
            }
            Term::Comprehension(comprehension) => {
                self.comprehensions.get(&Rc::as_ptr(comprehension)).cloned()
            }
        }
    }

    fn of_object(&self, fields: &[(Term, Term)]) -> Option<Type> {
        let mut fixed = Vec::new();
        let mut rest = None;
        for (key, value) in fields {
            let of_value = self.of(value)?;
            match key.constant() {
                Some(key) => fixed.push((key, of_value)),
                // One key of several that are not constant would not do: all of them are anything.
                None if rest.is_some() => rest = Some((Type::ANY, Type::ANY)),
                None => rest = Some((self.of(key)?, of_value)),
            }
        }
        if fields.is_empty() {
            rest = Some((Type::ANY, Type::ANY));
        }
        fixed.sort();
        fixed.dedup_by(|second, first| first.0 == second.0);
        Some(Type::Object {
            fixed: fixed.into(),
            rest: rest.map(Rc::new),
        })
    }

    fn of_reference(&self, reference: &Reference) -> Option<Type> {
        match &*reference.head {
            "input" => Some(Type::ANY),
            "data" => Self::of_document(&self.rules, &reference.tail),
            _ => select(self.var(&reference.head)?, &reference.tail),
        }
    }

    fn of_document(node: &Node, tail: &[Term]) -> Option<Type> {
        let Some((part, rest)) = tail.split_first() else {
            return Some(node.extent());
        };
        let child = part.constant().and_then(|key| node.children.get(&key));
        if let Some(value) = &node.value {
            return match child {
                Some(child) => Self::of_document(child, rest),
                None => select(value.clone(), tail),
            };
        }
        match child {
            Some(child) => Self::of_document(child, rest),
            None if part.is_constant() => Some(Type::ANY),
            None => select(node.extent(), tail),
        }
    }

    /// Whether what a reference names can be there. Gives types to variables in brackets.
    pub(super) fn check_reference(&mut self, reference: &Reference) -> bool {
        // Rule: a function is called or nothing.
        if matches!(self.of_reference(reference), Some(Type::Function(..))) {
            return false;
        }
        let of = match &*reference.head {
            "input" => Type::ANY,
            "data" => {
                let Some((of, rest)) = self.leaf(&reference.tail) else {
                    return self.check_tail(&Type::ANY, &reference.tail, true);
                };
                let of = of.clone();
                return self.check_tail(&of, rest, false);
            }
            head => match self.var(&head.into()) {
                Some(of) => of,
                None => {
                    self.put(&reference.head, Type::ANY);
                    Type::ANY
                }
            },
        };
        self.check_tail(&of, &reference.tail, false)
    }

    /// The first rule's type on the way of a path, and what follows.
    fn leaf<'t>(&self, tail: &'t [Term]) -> Option<(&Type, &'t [Term])> {
        let mut node = &self.rules;
        let mut rest = tail;
        loop {
            let (part, more) = rest.split_first()?;
            node = node.children.get(&part.constant()?)?;
            rest = more;
            if let Some(value) = &node.value {
                return Some((value, rest));
            }
        }
    }

    /// `lenient`: what is not known is no error.
    fn check_tail(&mut self, of: &Type, tail: &[Term], lenient: bool) -> bool {
        let mut of = Some(of.clone());
        for part in tail {
            let Some(keys) = of.as_ref().and_then(Type::keys) else {
                return lenient;
            };
            match part {
                Term::Var(var) => match self.var(var) {
                    Some(known) if !self.unifies(&known, &keys) => return lenient,
                    Some(_) => {}
                    None => self.put(var, keys),
                },
                Term::Ref(reference) => match self.of_reference(reference) {
                    Some(known) if !self.unifies(&known, &keys) => return lenient,
                    _ => {}
                },
                Term::Array(_) | Term::Object(_) | Term::Set(_) => {
                    if !self.unify(part, &keys, false) {
                        return lenient;
                    }
                }
                Term::Comprehension(_) => {}
                Term::Constant(constant) => {
                    of = of.and_then(|of| of.select(constant));
                    if of.is_none() {
                        return lenient;
                    }
                    continue;
                }
            }
            of = of.and_then(|of| of.values());
        }
        true
    }
}

/// The type of a member by a path of terms.
fn select(of: Type, tail: &[Term]) -> Option<Type> {
    tail.iter().try_fold(of, |of, part| match part {
        Term::Constant(constant) => of.select(constant),
        _ => of.values(),
    })
}

impl Node {
    /// The type of the document that begins here.
    fn extent(&self) -> Type {
        if let Some(value) = &self.value {
            return value.clone();
        }
        let fixed = self.children.iter();
        let fixed = fixed.map(|(key, child)| (key.clone(), child.extent()));
        Type::Object {
            fixed: fixed.collect(),
            // Base data can add to it.
            rest: Some(Rc::new((Type::String, Type::ANY))),
        }
    }

    fn insert(&mut self, path: &[Constant], of: Type) {
        let mut node = self;
        for (index, part) in path.iter().enumerate() {
            node = node.children.entry(part.clone()).or_default();
            let rest = path.get(index + 1..).unwrap_or_default();
            if !rest.is_empty()
                && let Some(object @ Type::Object { .. }) = &node.value
            {
                node.value = Some(into_object(object, rest, &of));
            }
        }
        let inside = matches!(of, Type::Object { .. }) && !node.children.is_empty();
        node.value = merge(node.value.take(), of);
        if inside {
            let mut leaves = Vec::new();
            node.children
                .iter()
                .for_each(|(key, child)| child.leaves(&mut vec![key.clone()], &mut leaves));
            for (path, of) in leaves {
                if let Some(object @ Type::Object { .. }) = &node.value {
                    node.value = Some(into_object(object, &path, &of));
                }
            }
        }
    }

    fn leaves(&self, path: &mut Vec<Constant>, leaves: &mut Vec<(Vec<Constant>, Type)>) {
        if let Some(value) = &self.value {
            leaves.push((path.clone(), value.clone()));
            return;
        }
        for (key, child) in &self.children {
            path.push(key.clone());
            child.leaves(path, leaves);
            path.pop();
        }
    }
}

/// An object's type with what a rule adds inside of it.
fn into_object(object: &Type, path: &[Constant], of: &Type) -> Type {
    let Type::Object { fixed, rest } = object else {
        return object.clone();
    };
    let Some((key, more)) = path.split_first() else {
        return object.clone();
    };
    let value = if more.is_empty() {
        of.clone()
    } else {
        let empty = Type::Object {
            fixed: Rc::new([]),
            rest: None,
        };
        into_object(&empty, more, of)
    };
    let known = rest.as_deref().cloned().unzip();
    let key = or(known.0, Some(Type::of(key))).unwrap_or(Type::ANY);
    let value = or(known.1, Some(value)).unwrap_or(Type::ANY);
    Type::Object {
        fixed: fixed.clone(),
        rest: Some(Rc::new((key, value))),
    }
}

/// The type of a document that two rules make. Sets and objects without known keys are one.
fn merge(left: Option<Type>, right: Type) -> Option<Type> {
    let Some(left) = left else {
        return Some(right);
    };
    match (&left, &right) {
        (
            Type::Object {
                fixed: left_fixed,
                rest: Some(left_rest),
            },
            Type::Object {
                fixed: right_fixed,
                rest: Some(right_rest),
            },
        ) if left_fixed.is_empty() && right_fixed.is_empty() => {
            let key = or(Some(left_rest.0.clone()), Some(right_rest.0.clone()));
            let value = merge(Some(left_rest.1.clone()), right_rest.1.clone());
            Some(Type::object(
                key.unwrap_or(Type::ANY),
                value.unwrap_or(Type::ANY),
            ))
        }
        (Type::Set(left), Type::Set(right)) => {
            let of = or(Some(left.as_ref().clone()), Some(right.as_ref().clone()));
            Some(Type::Set(Rc::new(of.unwrap_or(Type::ANY))))
        }
        // Functions of one name have one number of parameters: that was checked.
        _ => Some(or(Some(left), Some(right)).unwrap_or(Type::ANY)),
    }
}
