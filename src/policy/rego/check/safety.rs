//! Unsafe variables. A body's expressions are put into an order in which each has the variables it
//! needs from those in front of it; a variable that no expression gives a value to is unsafe.

use std::collections::BTreeMap;

use super::calls::arity;
use super::core::{
    Body, Comprehension, EQ, Expression, Function, Reference, Rule, SAFETY, Skip, Term, Vars, What,
    is_root, written,
};
use super::{Checked, UNSAFE, error};
use crate::policy::rego::RegoError;

/// Variables that a pattern gives values to.
const OUTPUT: Skip = Skip {
    closures: true,
    sets: true,
    object_keys: true,
    ref_heads: true,
};

/// The same for one side of an equation.
const PATTERN: Skip = Skip {
    sets: false,
    ..OUTPUT
};

/// Unsafe variables by expression.
type Unsafe<'a> = BTreeMap<*const Expression, (&'a Expression, Vars)>;

pub(super) fn check(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    let before = errors.len();
    for rule in checked.rules {
        check_head(rule, errors);
    }
    if errors.len() > before {
        return;
    }
    for rule in checked.rules {
        let mut safety = Safety {
            checked,
            found: Unsafe::new(),
        };
        let mut safe = rule.argument_vars();
        safe.extend(["data", "input"].map(Into::into));
        safety.body(&safe, &rule.body);
        errors.extend(safety.errors());
    }
}

/// Rule: variables of a head are the body's or parameters.
fn check_head(rule: &Rule, errors: &mut Vec<RegoError>) {
    let mut safe = rule.argument_vars();
    for expression in &rule.body {
        expression.collect(SAFETY, &mut safe);
    }
    let mut vars = Vars::new();
    for term in rule.path.iter().chain(&rule.key).chain(&rule.value) {
        term.collect(SAFETY, &mut vars);
    }
    for var in vars.difference(&safe).filter(|var| !is_root(var)) {
        if let Some(name) = written(var) {
            errors.push(error(UNSAFE, format!("var {name} is unsafe"), &rule.place));
        }
    }
}

struct Safety<'a, 'c> {
    checked: &'a Checked<'c>,
    found: Unsafe<'a>,
}

impl<'a> Safety<'a, '_> {
    fn errors(&self) -> Vec<RegoError> {
        let mut errors = Vec::new();
        let mut told = Vars::new();
        // Rule: each variable is told once, and those that the policy does not name are not.
        for (expression, vars) in self.found.values() {
            for var in vars.iter().filter(|var| told.insert((*var).clone())) {
                let Some(name) = written(var) else { continue };
                let message = format!("var {name} is unsafe");
                errors.push(error(UNSAFE, message, &expression.place));
            }
        }
        // Rule: where no variable of the policy's own is unsafe, the expression is.
        if errors.is_empty()
            && let Some((expression, _)) = self.found.values().next()
        {
            let message = "expression is unsafe".to_owned();
            errors.push(error(UNSAFE, message, &expression.place));
        }
        errors
    }

    /// Checks a body that can use `globals`, and the closures in it.
    fn body(&mut self, globals: &Vars, body: &'a Body) {
        let (order, unsafe_vars) = self.order(globals, body);
        if !unsafe_vars.is_empty() {
            self.found.extend(unsafe_vars);
            return;
        }
        let mut known = globals.clone();
        for expression in order.iter().filter_map(|index| body.get(*index)) {
            self.closures(&known, expression);
            expression.collect(SAFETY, &mut known);
        }
        self.checked
            .orders
            .borrow_mut()
            .insert(body.as_ptr(), order);
    }

    fn order(&self, globals: &Vars, body: &'a Body) -> (Vec<usize>, Unsafe<'a>) {
        let mut of_body = Vars::new();
        let mut unsafe_vars = Unsafe::new();
        let mut safe = Vars::new();
        for expression in body {
            let vars = expression.vars(SAFETY);
            let missing: Vars = vars.difference(globals).cloned().collect();
            safe.extend(vars.intersection(globals).cloned());
            of_body.extend(vars);
            unsafe_vars.insert(std::ptr::from_ref(expression), (expression, missing));
        }
        let closed: Vec<Vars> = body
            .iter()
            .map(|expression| {
                let closed = closed_over(expression);
                closed
                    .intersection(&of_body)
                    .filter(|var| !globals.contains(*var))
                    .cloned()
                    .collect()
            })
            .collect();
        let mut order = Vec::new();
        let mut waiting: Vec<_> = body.iter().zip(&closed).enumerate().collect();
        // What earlier expressions give values to; closures see no more than that.
        let mut given = Vars::new();
        loop {
            let before = waiting.len();
            waiting.retain(|(index, (expression, closed))| {
                let key = std::ptr::from_ref(*expression);
                let open: Vars = closed.difference(&given).cloned().collect();
                if !open.is_empty() {
                    if open.len() == closed.len()
                        && let Some((_, vars)) = unsafe_vars.get_mut(&key)
                    {
                        vars.extend(open);
                    }
                    return true;
                }
                let outputs = self.outputs(expression, &safe);
                if let Some((_, vars)) = unsafe_vars.get_mut(&key) {
                    vars.retain(|var| !outputs.contains(var) && !safe.contains(var));
                    if !vars.is_empty() {
                        return true;
                    }
                }
                unsafe_vars.remove(&key);
                order.push(*index);
                given.extend(outputs.iter().cloned());
                safe.extend(outputs);
                false
            });
            if waiting.len() == before {
                return (order, unsafe_vars);
            }
        }
    }

    fn closures(&mut self, known: &Vars, expression: &'a Expression) {
        let mut closures = Vec::new();
        expression.comprehensions(&mut |comprehension| closures.push(comprehension));
        for comprehension in closures {
            self.comprehension(known, comprehension, expression);
        }
        if let What::Every {
            variables, body, ..
        } = &expression.what
        {
            let mut known = known.clone();
            known.extend(variables.iter().cloned());
            self.body(&known, body);
        }
    }

    fn comprehension(
        &mut self,
        known: &Vars,
        comprehension: &'a Comprehension,
        expression: &'a Expression,
    ) {
        let mut of_body = known.clone();
        for expression in &comprehension.body {
            expression.collect(SAFETY, &mut of_body);
        }
        let terms = comprehension.terms.iter();
        let mut vars = Vars::new();
        terms
            .clone()
            .for_each(|term| term.collect(SAFETY, &mut vars));
        let missing: Vars = vars.difference(&of_body).cloned().collect();
        if !missing.is_empty() {
            let entry = self.found.entry(std::ptr::from_ref(expression));
            entry.or_insert((expression, Vars::new())).1.extend(missing);
        }
        self.body(known, &comprehension.body);
        // What a comprehension's own terms close over sees its body.
        for term in terms {
            let mut inner = Vec::new();
            term.walk(&mut |term| {
                if let Term::Comprehension(comprehension) = term {
                    inner.push(comprehension.as_ref());
                }
            });
            for comprehension in inner {
                self.comprehension(&of_body, comprehension, expression);
            }
        }
    }

    /// Variables that an expression gives values to, once `safe` have theirs.
    fn outputs(&self, expression: &Expression, safe: &Vars) -> Vars {
        // Rule: what is negated gives none, and what `with` needs must be there.
        let mut needed = Vars::new();
        expression.collect_with(SAFETY, &mut needed);
        if expression.negated || !needed.is_subset(safe) {
            return Vars::new();
        }
        match &expression.what {
            What::Term(term) => of_terms([term], safe),
            What::Every { domain, .. } => of_terms([domain], safe),
            What::Call(Function::Builtin(name), arguments) if name == EQ => {
                let mut outputs = of_terms(arguments, safe);
                if let [left, right] = arguments.as_slice() {
                    let mut known = safe.clone();
                    known.extend(outputs.iter().cloned());
                    let mut unifier = Unifier::new(&known);
                    unifier.unify(left, right);
                    outputs.extend(unifier.unified);
                }
                outputs.retain(|var| !safe.contains(var));
                outputs
            }
            What::Call(function, arguments) => {
                let arity = arity(self.checked, function);
                // Of a built-in whose parameters are not known a nested call gives its value.
                let given = arguments.len() - usize::from(expression.generated);
                of_call(arity.unwrap_or(given), arguments, safe)
            }
        }
    }
}

/// Rule: arguments beyond the function's own are given values, once those have theirs.
fn of_call(arity: usize, arguments: &[Term], safe: &Vars) -> Vars {
    let mut outputs = of_terms(arguments, safe);
    let Some((inputs, values)) = arguments.split_at_checked(arity) else {
        return outputs;
    };
    if values.is_empty() {
        return outputs;
    }
    let mut needed = Vars::new();
    inputs
        .iter()
        .for_each(|input| input.collect(OUTPUT, &mut needed));
    if needed
        .iter()
        .any(|var| !safe.contains(var) && !outputs.contains(var))
    {
        return Vars::new();
    }
    values
        .iter()
        .for_each(|value| value.collect(OUTPUT, &mut outputs));
    outputs
}

/// Variables in closures of an expression.
fn closed_over(expression: &Expression) -> Vars {
    let mut vars = Vars::new();
    expression.comprehensions(&mut |comprehension| vars.extend(comprehension.all_vars()));
    if let What::Every { body, .. } = &expression.what {
        for expression in body {
            expression.collect(Skip::default(), &mut vars);
        }
    }
    vars
}

/// Rule: the variables in the brackets of a reference whose beginning is safe.
fn of_terms<'t>(terms: impl IntoIterator<Item = &'t Term>, safe: &Vars) -> Vars {
    let mut outputs = Vars::new();
    for term in terms {
        of_term(term, safe, &mut outputs);
    }
    outputs
}

fn of_term(term: &Term, safe: &Vars, outputs: &mut Vars) {
    match term {
        Term::Constant(_) | Term::Var(_) | Term::Comprehension(_) => {}
        Term::Ref(Reference { head, tail }) => {
            if safe.contains(head) {
                let skip = Skip {
                    ref_heads: true,
                    ..Skip::default()
                };
                tail.iter().for_each(|part| part.collect(skip, outputs));
                tail.iter().for_each(|part| of_term(part, safe, outputs));
            }
        }
        Term::Array(items) | Term::Set(items) => {
            items.iter().for_each(|item| of_term(item, safe, outputs));
        }
        Term::Object(fields) => {
            for (key, value) in fields {
                of_term(key, safe, outputs);
                of_term(value, safe, outputs);
            }
        }
    }
}

/// Finds what becomes safe when two terms are made equal.
struct Unifier<'a> {
    safe: &'a Vars,
    unified: Vars,
    /// What a variable waits for.
    waiting: BTreeMap<super::core::Var, Vars>,
}

impl<'a> Unifier<'a> {
    fn new(safe: &'a Vars) -> Self {
        Self {
            safe,
            unified: Vars::new(),
            waiting: BTreeMap::new(),
        }
    }

    fn is_safe(&self, var: &super::core::Var) -> bool {
        self.safe.contains(var) || self.unified.contains(var)
    }

    fn unify(&mut self, left: &Term, right: &Term) {
        match (left, right) {
            (Term::Var(left), Term::Var(right)) => {
                if self.is_safe(right) {
                    self.mark(left);
                } else if self.is_safe(left) {
                    self.mark(right);
                } else {
                    self.wait(left, right);
                    self.wait(right, left);
                }
            }
            (Term::Var(var), pattern @ (Term::Array(_) | Term::Object(_)))
            | (pattern @ (Term::Array(_) | Term::Object(_)), Term::Var(var)) => {
                self.unify_pattern(var, pattern);
            }
            (Term::Var(var), Term::Ref(reference)) | (Term::Ref(reference), Term::Var(var))
                if self.is_safe(&reference.head) =>
            {
                self.mark(var);
            }
            (Term::Var(var), Term::Constant(_) | Term::Set(_) | Term::Comprehension(_))
            | (Term::Constant(_) | Term::Set(_) | Term::Comprehension(_), Term::Var(var)) => {
                self.mark(var);
            }
            (Term::Ref(reference), pattern @ (Term::Array(_) | Term::Object(_)))
            | (pattern @ (Term::Array(_) | Term::Object(_)), Term::Ref(reference))
                if self.is_safe(&reference.head) =>
            {
                self.mark_all(pattern);
            }
            (Term::Comprehension(_), pattern @ (Term::Array(_) | Term::Object(_)))
            | (pattern @ (Term::Array(_) | Term::Object(_)), Term::Comprehension(_)) => {
                self.mark_all(pattern);
            }
            (Term::Array(left), Term::Array(right)) if left.len() == right.len() => {
                for (left, right) in left.iter().zip(right) {
                    self.unify(left, right);
                }
            }
            (Term::Object(left), Term::Object(right)) if left.len() == right.len() => {
                for (key, value) in left {
                    if let Some((_, other)) = right.iter().find(|(other, _)| other.is_same(key)) {
                        self.unify(value, other);
                    }
                }
            }
            _ => {}
        }
    }

    fn unify_pattern(&mut self, var: &super::core::Var, pattern: &Term) {
        if self.is_safe(var) {
            return self.mark_all(pattern);
        }
        let open = pattern.vars(PATTERN);
        let open: Vec<_> = open.into_iter().filter(|var| !self.is_safe(var)).collect();
        if open.is_empty() {
            return self.mark(var);
        }
        for other in open {
            self.wait(var, &other);
        }
    }

    fn wait(&mut self, var: &super::core::Var, other: &super::core::Var) {
        self.waiting
            .entry(var.clone())
            .or_default()
            .insert(other.clone());
    }

    fn mark_all(&mut self, pattern: &Term) {
        for var in pattern.vars(PATTERN) {
            self.mark(&var);
        }
    }

    fn mark(&mut self, var: &super::core::Var) {
        let mut next = vec![var.clone()];
        while let Some(var) = next.pop() {
            self.unified.insert(var.clone());
            next.extend(self.waiting.remove(&var).into_iter().flatten());
            for (waiting, on) in &mut self.waiting {
                if on.remove(&var) && on.is_empty() {
                    next.push(waiting.clone());
                }
            }
            self.waiting.retain(|_, on| !on.is_empty());
        }
    }
}
