//! Types, as OPA's checker has them, and the check of all rules in the order of their needs. What
//! has no type that is certain has none here: `None`, or anything.

mod environment;
mod unify;

use std::rc::Rc;

use self::environment::Environment;
use super::core::{Body, Constant, Expression, Function, Rule, Term, What};
use super::recursion::Needs;
use super::{Checked, TYPE, error, reference_text, signatures};
use crate::policy::rego::RegoError;

/// Most members of a union; more are anything.
const MAX_UNION: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Null,
    Boolean,
    Number,
    String,
    /// Items of known places, and those behind them.
    Array {
        fixed: Rc<[Self]>,
        rest: Option<Rc<Self>>,
    },
    /// Known keys, in order, and others by type.
    Object {
        fixed: Rc<[(Constant, Self)]>,
        rest: Option<Rc<(Self, Self)>>,
    },
    Set(Rc<Self>),
    /// One of these; of none: anything.
    Union(Vec<Self>),
    Function(Rc<[Self]>, Rc<Self>),
}

impl Type {
    pub(super) const ANY: Self = Self::Union(Vec::new());

    pub(super) fn union(types: Vec<Self>) -> Self {
        let types = types.into_iter().map(Some);
        types.fold(None, or).unwrap_or(Self::ANY)
    }

    pub(super) fn object(key: Self, value: Self) -> Self {
        Self::Object {
            fixed: Rc::new([]),
            rest: Some(Rc::new((key, value))),
        }
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Union(types) if types.is_empty())
    }

    pub(super) fn of(constant: &Constant) -> Self {
        match constant {
            Constant::Null => Self::Null,
            Constant::Bool(_) => Self::Boolean,
            Constant::Number(_) => Self::Number,
            Constant::String(_) => Self::String,
            Constant::Array(items) => Self::Array {
                fixed: items.iter().map(Self::of).collect(),
                rest: None,
            },
            Constant::Object(fields) => {
                let mut fixed: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::of(value)))
                    .collect();
                fixed.sort();
                Self::Object {
                    fixed: fixed.into(),
                    rest: None,
                }
            }
        }
    }

    /// Whether every value of the other is one of this.
    fn contains(&self, other: &Self) -> bool {
        match self {
            Self::Union(_) if matches!(other, Self::Function(..)) => false,
            Self::Union(types) => types.is_empty() || types.contains(other),
            own => own == other,
        }
    }

    /// The type of a member by a constant.
    pub(super) fn select(&self, key: &Constant) -> Option<Self> {
        match self {
            Self::Array { fixed, rest } => {
                let Constant::Number(number) = key else {
                    return None;
                };
                let index: usize = number.parse().ok()?;
                let rest = || rest.as_deref().cloned();
                fixed.get(index).cloned().or_else(rest)
            }
            Self::Object { fixed, rest } => {
                if let Ok(at) = fixed.binary_search_by(|(known, _)| known.cmp(key)) {
                    return fixed.get(at).map(|(_, value)| value.clone());
                }
                let (keys, values) = rest.as_deref()?;
                keys.contains(&Self::of(key)).then(|| values.clone())
            }
            Self::Set(of) => of.contains(&Self::of(key)).then(|| Self::of(key)),
            Self::Union(types) if types.is_empty() => Some(Self::ANY),
            Self::Union(types) => {
                let selected = types.iter().map(|member| member.select(key));
                selected.fold(None, or)
            }
            _ => None,
        }
    }

    /// What can stand in brackets behind it.
    pub(super) fn keys(&self) -> Option<Self> {
        match self {
            Self::Array { .. } => Some(Self::Number),
            Self::Object { fixed, rest } => {
                let keys = fixed.iter().map(|(key, _)| Some(Self::of(key)));
                or(
                    keys.fold(None, or),
                    rest.as_deref().map(|(key, _)| key.clone()),
                )
            }
            Self::Set(of) => Some(of.as_ref().clone()),
            Self::Union(types) if types.is_empty() => Some(Self::ANY),
            Self::Union(types) => types.iter().map(Self::keys).fold(None, or),
            _ => None,
        }
    }

    pub(super) fn values(&self) -> Option<Self> {
        match self {
            Self::Array { fixed, rest } => or(
                fixed.iter().cloned().map(Some).fold(None, or),
                rest.as_deref().cloned(),
            ),
            Self::Object { fixed, rest } => {
                let values = fixed.iter().map(|(_, value)| Some(value.clone()));
                or(
                    values.fold(None, or),
                    rest.as_deref().map(|(_, value)| value.clone()),
                )
            }
            Self::Set(of) => Some(of.as_ref().clone()),
            Self::Union(types) if types.is_empty() => Some(Self::ANY),
            Self::Union(types) => types.iter().map(Self::values).fold(None, or),
            _ => None,
        }
    }
}

/// The type of what is one of the two.
pub(super) fn or(left: Option<Type>, right: Option<Type>) -> Option<Type> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.or(right),
    };
    match (left, right) {
        (Type::Function(left, left_result), Type::Function(right, right_result)) => {
            if left.len() != right.len() {
                return None;
            }
            let arguments = left.iter().zip(right.iter());
            let arguments =
                arguments.filter_map(|(left, right)| or(Some(left.clone()), Some(right.clone())));
            let result = or(
                Some(left_result.as_ref().clone()),
                Some(right_result.as_ref().clone()),
            );
            Some(Type::Function(
                arguments.collect(),
                Rc::new(result.unwrap_or(Type::ANY)),
            ))
        }
        (Type::Function(..), _) | (_, Type::Function(..)) => None,
        (left, right) if left.contains(&right) => Some(left),
        (left, right) if right.contains(&left) => Some(right),
        (left, right) => {
            let mut members = Vec::new();
            for side in [left, right] {
                match side {
                    Type::Union(types) => members.extend(types),
                    other => members.push(other),
                }
            }
            members.sort();
            members.dedup();
            if members.len() > MAX_UNION {
                members.clear();
            }
            Some(Type::Union(members))
        }
    }
}

pub(super) fn check(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    let mut environment = Environment::default();
    for index in Needs::of(checked).order() {
        if let Some(rule) = checked.rules.get(index) {
            let mut checker = Checker {
                checked,
                environment: &mut environment,
                errors: Vec::new(),
            };
            checker.rule(rule);
            errors.append(&mut checker.errors);
        }
    }
}

struct Checker<'a, 'c> {
    checked: &'a Checked<'c>,
    environment: &'a mut Environment,
    errors: Vec<RegoError>,
}

impl Checker<'_, '_> {
    fn rule(&mut self, rule: &Rule) {
        self.environment.enter();
        self.body(&rule.body);
        let kept = rule.ground();
        if self.errors.is_empty() {
            if let Some(of_rule) = self.type_of_rule(rule) {
                self.environment.leave();
                self.environment.insert(&kept, of_rule);
                return;
            }
        } else {
            // Rule: a rule with errors makes none elsewhere.
            self.environment.leave();
            self.environment.replace(&kept, Type::ANY);
            return;
        }
        self.environment.leave();
    }

    fn type_of_rule(&mut self, rule: &Rule) -> Option<Type> {
        let value = rule.value.as_ref();
        if !rule.arguments.is_empty() {
            for var in rule.argument_vars() {
                if self.environment.var(&var).is_none() {
                    self.environment.put(&var, Type::ANY);
                }
            }
            let arguments = rule.arguments.iter();
            let arguments = arguments.map(|each| self.environment.of(each).unwrap_or(Type::ANY));
            let arguments = arguments.collect();
            let result = value.and_then(|value| self.environment.of(value));
            return Some(Type::Function(
                arguments,
                Rc::new(result.unwrap_or(Type::ANY)),
            ));
        }
        if rule.multi_value {
            let key = rule
                .key
                .as_ref()
                .map_or(Some(Type::ANY), |key| self.environment.of(key))?;
            return self.nested(rule, Type::Set(Rc::new(key)));
        }
        let value = self.environment.of(value?)?;
        self.nested(rule, value)
    }

    /// Rule: a name with variables is an object of objects by their types.
    fn nested(&mut self, rule: &Rule, value: Type) -> Option<Type> {
        let dynamic = rule.path.iter().skip(rule.ground().len());
        let keys: Option<Vec<_>> = dynamic.map(|part| self.environment.of(part)).collect();
        let keys = keys?.into_iter().rev();
        Some(keys.fold(value, |value, key| Type::object(key, value)))
    }

    /// Checks a body's expressions in the order in which their variables get values.
    fn body(&mut self, body: &Body) {
        let orders = self.checked.orders.borrow();
        let order = orders.get(&body.as_ptr()).cloned();
        drop(orders);
        let order = order.unwrap_or_else(|| (0..body.len()).collect());
        for index in order {
            if let Some(expression) = body.get(index) {
                self.expression(expression);
            }
        }
    }

    fn expression(&mut self, expression: &Expression) {
        if !self.environment.spend() {
            return;
        }
        let before = self.errors.len();
        let mut closures = Vec::new();
        expression.comprehensions(&mut |comprehension| closures.push(comprehension));
        for comprehension in closures {
            self.comprehension(comprehension);
        }
        self.references(expression);
        // Rule: an error in a reference or a comprehension is the reason for those that follow.
        if self.errors.len() > before {
            return;
        }
        let What::Call(function, arguments) = &expression.what else {
            return;
        };
        let found = match function {
            Function::Builtin(name)
                if name == "eq" || (name == "equal" && arguments.len() == 2) =>
            {
                self.equation(arguments)
            }
            function => self.call(function, arguments),
        };
        if let Err(message) = found {
            self.errors.push(error(TYPE, message, &expression.place));
        }
    }

    fn comprehension(&mut self, comprehension: &super::core::Comprehension) {
        let before = self.errors.len();
        self.environment.enter();
        self.body(&comprehension.body);
        let mut inner = Vec::new();
        for term in &comprehension.terms {
            term.walk(&mut |term| {
                if let Term::Comprehension(comprehension) = term {
                    inner.push(comprehension.clone());
                }
            });
        }
        for comprehension in inner {
            self.comprehension(&comprehension);
        }
        let terms = comprehension
            .terms
            .iter()
            .map(|term| self.environment.of(term));
        let terms: Vec<_> = terms.collect();
        self.environment.leave();
        if self.errors.len() == before {
            self.environment.remember(comprehension, terms);
        }
    }

    fn references(&mut self, expression: &Expression) {
        if let What::Every { body, .. } = &expression.what {
            // Rule: of `every` bodies only the references are looked at.
            self.environment.enter();
            for expression in body {
                self.references(expression);
            }
            self.environment.leave();
        }
        let own: &[Term] = match &expression.what {
            What::Term(term) | What::Every { domain: term, .. } => std::slice::from_ref(term),
            What::Call(_, arguments) => arguments,
        };
        let mut found = Vec::new();
        for term in own {
            term.walk(&mut |term| {
                if let Term::Ref(reference) = term {
                    found.push(reference);
                }
            });
        }
        // The inner ones first: they give types to what stands in brackets.
        for reference in found.into_iter().rev() {
            if !self.environment.check_reference(reference) {
                let text = reference_text(&reference.head, &reference.tail);
                let message = format!("undefined ref: {text}");
                self.errors.push(error(TYPE, message, &expression.place));
            }
        }
    }

    fn equation(&mut self, arguments: &[Term]) -> Result<(), String> {
        let [left, right] = arguments else {
            return Ok(());
        };
        if self.environment.unify_terms(left, right) {
            return Ok(());
        }
        Err("match error".to_owned())
    }

    fn call(&mut self, function: &Function, arguments: &[Term]) -> Result<(), String> {
        let name = super::calls::name_of(function);
        let (wanted, result) = match function {
            Function::Builtin(name) => match signatures::of(name) {
                Some(signature) => (signature.arguments.clone(), signature.result.clone()),
                None => return self.unknown(arguments),
            },
            Function::Rule(path) => match self.environment.function(path) {
                Some(Type::Function(wanted, result)) => (wanted.to_vec(), result.as_ref().clone()),
                Some(known) if known.is_any() => return self.unknown(arguments),
                Some(_) => return Err(format!("undefined function {name}")),
                None => return self.unknown(arguments),
            },
            Function::None(_) => return self.unknown(arguments),
        };
        if arguments.len() < wanted.len() {
            return Err(format!("{name}: too few arguments"));
        }
        if arguments.len() > wanted.len() + 1 {
            return Err(format!("{name}: too many arguments"));
        }
        let wanted = wanted.iter().chain([&result]);
        for (argument, wanted) in arguments.iter().zip(wanted) {
            if !self.environment.unify(argument, wanted, false) {
                return Err(format!("{name}: invalid argument(s)"));
            }
        }
        Ok(())
    }

    /// What an unknown function is given or gives can be anything.
    fn unknown(&mut self, arguments: &[Term]) -> Result<(), String> {
        for argument in arguments {
            self.environment.unify(argument, &Type::ANY, false);
        }
        Ok(())
    }
}
