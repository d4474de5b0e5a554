//! Going through the syntax tree of a module. A step takes over what it looks at; all else is gone
//! through as it stands here, in the order in which parts of it are declared.

use regorus::unstable::{
    Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleHead, WithModifier,
};

use super::syntax::parts;
use crate::policy::rego::module::rule_reference;

pub(super) trait Visit {
    fn module(&mut self, module: &Module) {
        for rule in &module.policy {
            self.rule(rule);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        in_rule(self, rule);
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
    in_name(visitor, rule_reference(rule));
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

/// Goes on into what stands in the brackets of a rule's name; its beginning is no reference.
pub(super) fn in_name<V: Visit + ?Sized>(visitor: &mut V, name: &Expr) {
    match name {
        Expr::RefDot { refr, .. } => in_name(visitor, refr),
        Expr::RefBrack { refr, index, .. } => {
            in_name(visitor, refr);
            visitor.expression(index);
        }
        _ => {}
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
