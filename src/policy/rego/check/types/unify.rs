//! Whether two types can have a value in common, and what a variable's type becomes by it.

use std::rc::Rc;

use super::super::core::Term;
use super::environment::Environment;
use super::{Constant, Type, or};

impl Environment {
    /// Whether some value can be of both types; true once there has been too much work.
    pub(super) fn unifies(&self, left: &Type, right: &Type) -> bool {
        if !self.spend() {
            return true;
        }
        match (left, right) {
            (Type::Union(types), other) | (other, Type::Union(types)) => {
                if matches!(other, Type::Function(..)) {
                    return false;
                }
                let mut types_unify = types.iter().map(|member| self.unifies(member, other));
                types.is_empty() || other.is_any() || types_unify.any(|unifies| unifies)
            }
            (Type::Null, Type::Null)
            | (Type::Boolean, Type::Boolean)
            | (Type::Number, Type::Number)
            | (Type::String, Type::String) => true,
            (
                Type::Array {
                    fixed: left_fixed,
                    rest: left_rest,
                },
                Type::Array {
                    fixed: right_fixed,
                    rest: right_rest,
                },
            ) => {
                // Those that both have are looked at once.
                let common = left_fixed.len();
                self.items_unify(left_fixed, right_fixed, right_rest.as_ref(), 0)
                    && self.items_unify(right_fixed, left_fixed, left_rest.as_ref(), common)
                    && self.both(left_rest.as_deref(), right_rest.as_deref())
            }
            (
                Type::Object {
                    fixed: left_fixed,
                    rest: left_rest,
                },
                Type::Object {
                    fixed: right_fixed,
                    rest: right_rest,
                },
            ) => {
                let fits = |fixed: &[(Constant, Type)], other: &Type| {
                    fixed.iter().all(|(key, value)| {
                        let of = other.select(key);
                        of.is_some_and(|of| self.unifies(value, &of))
                    })
                };
                fits(left_fixed, right)
                    && fits(right_fixed, left)
                    && self.both(
                        left_rest.as_deref().map(|rest| &rest.1),
                        right_rest.as_deref().map(|rest| &rest.1),
                    )
            }
            (Type::Set(left), Type::Set(right)) => self.unifies(left, right),
            (Type::Function(left, _), Type::Function(right, _)) => {
                let mut pairs = left.iter().zip(right.iter());
                left.len() == right.len() && pairs.all(|(left, right)| self.unifies(left, right))
            }
            _ => false,
        }
    }

    /// The items from an index on.
    fn items_unify(
        &self,
        items: &[Type],
        other: &[Type],
        rest: Option<&Rc<Type>>,
        from: usize,
    ) -> bool {
        let mut items = items.iter().enumerate().skip(from);
        items.all(|(index, item)| {
            let of = other.get(index).or(rest.map(AsRef::as_ref));
            of.is_some_and(|of| self.unifies(item, of))
        })
    }

    fn both(&self, left: Option<&Type>, right: Option<&Type>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => self.unifies(left, right),
            _ => true,
        }
    }

    /// Makes two terms equal; false if they cannot be.
    pub(super) fn unify_terms(&mut self, left: &Term, right: &Term) -> bool {
        match (self.of(left), self.of(right)) {
            (Some(left), Some(right)) => self.unifies(&left, &right),
            (None, Some(known)) => self.unify(left, &known, false),
            (Some(known), None) => self.unify(right, &known, false),
            (None, None) => self.unify_unknown(left, right),
        }
    }

    fn unify_unknown(&mut self, left: &Term, right: &Term) -> bool {
        match (left, right) {
            (Term::Array(left), Term::Array(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| self.unify_terms(left, right))
            }
            (Term::Object(left), Term::Object(right)) => {
                // Of keys that are variables nothing is certain but the values under the same one.
                left.iter().all(|(key, value)| {
                    let other = right.iter().find(|(other, _)| other.is_same(key));
                    other.is_none_or(|(_, other)| self.unify_terms(value, other))
                })
            }
            _ => {
                self.unify(left, &Type::ANY, false);
                match self.of(left) {
                    Some(of) => self.unify(right, &of, false),
                    None => {
                        self.unify(right, &Type::ANY, false);
                        true
                    }
                }
            }
        }
    }

    /// Gives a term a type; false if it cannot be of it. `union`: the variables' types are widened.
    pub(super) fn unify(&mut self, term: &Term, of: &Type, union: bool) -> bool {
        if !self.spend() {
            return true;
        }
        match term {
            Term::Constant(constant) => self.unifies(&Type::of(constant), of),
            Term::Var(var) => {
                let known = self.var(var);
                if union {
                    if let Some(of) = or(known, Some(of.clone())) {
                        self.put(var, of);
                    }
                    return true;
                }
                match known {
                    Some(known) => self.unifies(&known, of),
                    None => {
                        self.put(var, of.clone());
                        true
                    }
                }
            }
            Term::Ref(_) | Term::Comprehension(_) => {
                // What has no type had an error of its own, or is not certain.
                self.of(term).is_none_or(|known| self.unifies(&known, of))
            }
            Term::Array(_) | Term::Object(_) | Term::Set(_) => {
                self.unify_composite(term, of, union)
            }
        }
    }

    fn unify_composite(&mut self, term: &Term, of: &Type, union: bool) -> bool {
        if let Type::Union(types) = of {
            if types.is_empty() {
                self.widen(term);
                return true;
            }
            let mut fits = false;
            for member in types {
                fits |= self.unify(term, member, true);
            }
            return fits;
        }
        match (term, of) {
            (Term::Array(items), Type::Array { fixed, rest }) => {
                (items.len() == fixed.len() || rest.is_some())
                    && items.iter().enumerate().all(|(index, item)| {
                        let of = fixed.get(index).or(rest.as_deref());
                        of.is_some_and(|of| self.unify(item, of, union))
                    })
            }
            (Term::Object(fields), Type::Object { fixed, rest }) => {
                (fields.len() == fixed.len() || rest.is_some())
                    && fields.iter().all(|(key, value)| match key.constant() {
                        Some(key) => of
                            .select(&key)
                            .is_some_and(|of| self.unify(value, &of, union)),
                        None => {
                            self.unify(value, &Type::ANY, union);
                            true
                        }
                    })
            }
            (Term::Set(items), Type::Set(of)) => {
                items.iter().all(|item| self.unify(item, of, union))
            }
            _ => false,
        }
    }

    /// Whatever stands in a term can be anything.
    fn widen(&mut self, term: &Term) {
        match term {
            Term::Array(items) | Term::Set(items) => {
                for item in items {
                    self.unify(item, &Type::ANY, true);
                }
            }
            Term::Object(fields) => {
                for (key, value) in fields {
                    self.unify(key, &Type::ANY, true);
                    self.unify(value, &Type::ANY, true);
                }
            }
            _ => {}
        }
    }
}
