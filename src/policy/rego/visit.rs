//! Going through the syntax tree of a module. A visitor takes over what it looks at; all else is gone
//! through as it stands here. What is outside stands before what is inside.

use regorus::unstable::{
    Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleHead, WithModifier,
};

use super::module::rule_reference;

pub(super) trait Visit {
    fn module(&mut self, module: &Module) {
        for rule in &module.policy {
            self.rule(rule);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        in_rule(self, rule);
    }

    /// The name of a rule: what stands in its brackets. Its beginning is no reference.
    fn name(&mut self, name: &Expr) {
        match name {
            Expr::RefDot { refr, .. } => self.name(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.name(refr);
                self.expression(index);
            }
            _ => {}
        }
    }

    /// A parameter of a function.
    fn parameter(&mut self, parameter: &Expr) {
        self.expression(parameter);
    }

    /// What a rule or a comprehension makes: a value or a key.
    fn term(&mut self, term: &Expr) {
        self.expression(term);
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        in_statement(self, statement);
    }

    fn modifier(&mut self, modifier: &WithModifier) {
        self.expression(&modifier.r#as);
    }

    /// What stands in front of `in`, behind `some`.
    fn pattern(&mut self, pattern: &Expr) {
        self.expression(pattern);
    }

    fn expression(&mut self, expression: &Expr) {
        in_expression(self, expression);
    }
}

/// Goes on into a rule.
pub(super) fn in_rule<V: Visit + ?Sized>(visitor: &mut V, rule: &Rule) {
    visitor.name(rule_reference(rule));
    let (head, bodies) = match rule {
        Rule::Default { args, value, .. } => {
            args.iter().for_each(|each| visitor.parameter(each));
            return visitor.term(value);
        }
        Rule::Spec { head, bodies, .. } => (head, bodies),
    };
    match head {
        RuleHead::Compr { assign, .. } => assign.iter().for_each(|it| visitor.term(&it.value)),
        RuleHead::Set { key, .. } => key.iter().for_each(|key| visitor.term(key)),
        RuleHead::Func { args, assign, .. } => {
            args.iter().for_each(|each| visitor.parameter(each));
            assign.iter().for_each(|it| visitor.term(&it.value));
        }
    }
    for body in bodies {
        body.assign.iter().for_each(|it| visitor.term(&it.value));
        visitor.query(&body.query);
    }
}

/// Goes on into a statement.
pub(super) fn in_statement<V: Visit + ?Sized>(visitor: &mut V, statement: &LiteralStmt) {
    for modifier in &statement.with_mods {
        visitor.modifier(modifier);
    }
    match &statement.literal {
        Literal::SomeVars { .. } => {}
        Literal::SomeIn {
            key,
            value,
            collection,
            ..
        } => {
            for pattern in key.iter().chain([value]) {
                visitor.pattern(pattern);
            }
            visitor.expression(collection);
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => visitor.expression(expr),
        Literal::Every { domain, query, .. } => {
            visitor.expression(domain);
            visitor.query(query);
        }
    }
}

/// Goes on into an expression.
pub(super) fn in_expression<V: Visit + ?Sized>(visitor: &mut V, expression: &Expr) {
    let all: Vec<&Ref<Expr>> = parts(expression);
    match expression {
        Expr::ArrayCompr { query, .. }
        | Expr::SetCompr { query, .. }
        | Expr::ObjectCompr { query, .. } => {
            all.iter().for_each(|term| visitor.term(term));
            visitor.query(query);
        }
        _ => all.iter().for_each(|part| visitor.expression(part)),
    }
}

/// The expressions an expression is made of, queries aside.
pub(super) fn parts(expression: &Expr) -> Vec<&Ref<Expr>> {
    match expression {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => Vec::new(),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().collect(),
        Expr::Object { fields, .. } => {
            let fields = fields.iter();
            fields.flat_map(|(_, key, value)| [key, value]).collect()
        }
        Expr::ArrayCompr { term, .. } | Expr::SetCompr { term, .. } => vec![term],
        Expr::ObjectCompr { key, value, .. } => vec![key, value],
        Expr::Call { fcn, params, .. } => std::iter::once(fcn).chain(params).collect(),
        Expr::UnaryExpr { expr, .. } => vec![expr],
        Expr::RefDot { refr, .. } => vec![refr],
        Expr::RefBrack { refr, index, .. } => vec![refr, index],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![lhs, rhs],
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => key.iter().chain([value, collection]).collect(),
    }
}
