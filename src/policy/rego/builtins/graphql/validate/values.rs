//! Whether values fit where they stand, and variables where they are used.

use std::collections::BTreeSet;

use super::super::ast::{DefinitionKind, FieldDefinition, Literal, LiteralKind, Type, Variable};
use super::super::schema::TypeEntry;
use super::{Check, Walk, broken};

/// The scalars whose values are checked; those of others are not.
const KNOWN_SCALARS: &[&str] = &["Int", "Float", "String", "Boolean", "ID"];

/// What may stand at a place.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a, 's> {
    pub(super) kind: &'a Type,
    /// Of the type, or of what a list holds.
    pub(super) definition: &'a TypeEntry<'s>,
    /// Whether there is a default value other than null.
    pub(super) has_default: bool,
}

// === impl Walk ===

impl<'a, 's> Walk<'a, 's> {
    /// What may stand where a value of a type does; `None` if the type is not known.
    pub(super) fn expected(&self, kind: &'a Type, has_default: bool) -> Option<Expected<'a, 's>> {
        Some(Expected {
            kind,
            definition: self.schema.get(kind.name())?,
            has_default,
        })
    }

    pub(super) fn expected_of(&self, definition: &'a FieldDefinition) -> Option<Expected<'a, 's>> {
        self.expected(&definition.kind, is_not_null(definition.default.as_ref()))
    }

    pub(super) fn value(
        &mut self,
        literal: &'a Literal,
        expected: Option<Expected<'a, 's>>,
    ) -> Check {
        self.work.enter()?;
        self.work.spend(1)?;
        match literal.kind {
            LiteralKind::Variable => self.use_variable(literal, expected)?,
            LiteralKind::Object => self.members(literal, expected)?,
            LiteralKind::List => {
                let element = expected.and_then(element);
                for child in &literal.children {
                    self.value(&child.value, element)?;
                }
            }
            _ => {}
        }
        if let Some(expected) = expected {
            self.check_value(literal, expected)?;
        }
        self.work.leave();
        Ok(())
    }

    fn members(&mut self, literal: &'a Literal, expected: Option<Expected<'a, 's>>) -> Check {
        let mut names = BTreeSet::new();
        for child in &literal.children {
            if !names.insert(&child.name) {
                return broken("there are two members of a name");
            }
            let field = expected.and_then(|expected| expected.definition.field(&child.name));
            let expected = field.and_then(|field| self.expected_of(field));
            self.value(&child.value, expected)?;
        }
        Ok(())
    }

    fn defined(&self, name: &str) -> Option<&'a Variable> {
        let operation = self.operation.as_ref()?;
        operation.variables.get(name).copied()
    }

    /// Rule: a variable is defined by the operation, and its type fits. Where it or the place has a
    /// default value, null may come.
    fn use_variable(&mut self, literal: &'a Literal, expected: Option<Expected<'a, 's>>) -> Check {
        let Some(operation) = &mut self.operation else {
            return Ok(());
        };
        operation.used.insert(&literal.raw);
        let Some(variable) = self.defined(&literal.raw) else {
            return broken("a variable is not defined");
        };
        let Some(expected) = expected else {
            return Ok(());
        };
        let has_default = expected.has_default || is_not_null(variable.default.as_ref());
        let non_null = expected.kind.non_null && !has_default;
        if !variable.kind.is_compatible(expected.kind, non_null) {
            return broken("a variable is used where its type does not fit");
        }
        Ok(())
    }

    fn check_value(&mut self, literal: &'a Literal, expected: Expected<'a, 's>) -> Check {
        let definition = expected.definition;
        let is_enum = definition.kind == DefinitionKind::Enum;
        let is_any = |names: &[&str]| names.contains(&definition.name);
        if literal.kind == LiteralKind::Null && expected.kind.non_null {
            return broken("a value is null where it cannot be");
        }
        if definition.kind == DefinitionKind::Scalar && !is_any(KNOWN_SCALARS) {
            return Ok(());
        }
        self.check_raw(literal)?;
        let fits = match literal.kind {
            LiteralKind::Variable | LiteralKind::Null => true,
            LiteralKind::List => expected.kind.element.is_some(),
            LiteralKind::Int => is_any(&["Int", "Float", "ID"]),
            LiteralKind::Float => is_any(&["Float"]),
            LiteralKind::Boolean => is_any(&["Boolean"]),
            LiteralKind::String | LiteralKind::Block => is_any(&["String", "ID"]),
            LiteralKind::Enum => {
                self.work.spend(definition.values.len())?;
                let mut values = definition.values.iter();
                is_enum && values.any(|value| value.name == literal.raw)
            }
            LiteralKind::Object => return self.check_object(literal, definition),
        };
        if !fits {
            return broken("a value is not of the type of its place");
        }
        Ok(())
    }

    /// Rule: an object has what its type needs and nothing else. gqlparser lets an empty one stand for
    /// anything.
    fn check_object(&mut self, literal: &'a Literal, definition: &'a TypeEntry<'s>) -> Check {
        let children = literal.children.iter();
        let names: BTreeSet<_> = children.map(|child| child.name.as_str()).collect();
        self.work.spend(definition.fields.len())?;
        let mut fields = definition.fields.iter();
        let is_satisfied = |field: &&FieldDefinition| {
            let is_needed = field.kind.non_null && field.default.is_none();
            !is_needed || names.contains(field.name.as_str())
        };
        if !fields.all(is_satisfied) {
            return broken("a value lacks a member");
        }
        if names.iter().any(|name| definition.field(name).is_none()) {
            return broken("a value has a member that is not defined");
        }
        let mut directives = definition.directives.iter();
        if directives.any(|directive| directive.name == "oneOf") {
            return self.check_one_of(literal);
        }
        Ok(())
    }

    /// Rule: exactly one member, which is never null.
    fn check_one_of(&self, literal: &'a Literal) -> Check {
        let [only] = literal.children.as_slice() else {
            return broken("a value has not exactly one member");
        };
        let can_be_null = match only.value.kind {
            LiteralKind::Null => true,
            LiteralKind::Variable => {
                let variable = self.defined(&only.value.raw);
                !variable.is_some_and(|variable| variable.kind.non_null)
            }
            _ => false,
        };
        if can_be_null {
            return broken("the only member of a value can be null");
        }
        Ok(())
    }

    /// Rule: numbers are such as Go can hold, wherever in the value they are.
    fn check_raw(&mut self, literal: &Literal) -> Check {
        self.work.spend(1)?;
        let raw = literal.raw.as_str();
        let is_good = match literal.kind {
            LiteralKind::Int => raw.parse::<i64>().is_ok(),
            LiteralKind::Float => raw.parse::<f64>().is_ok_and(f64::is_finite),
            LiteralKind::Boolean => matches!(raw, "true" | "false"),
            _ => true,
        };
        if !is_good {
            return broken("a value is out of range");
        }
        let mut children = literal.children.iter();
        children.try_for_each(|child| self.check_raw(&child.value))
    }
}

fn is_not_null(default: Option<&Literal>) -> bool {
    default.is_some_and(|default| default.kind != LiteralKind::Null)
}

/// What an element of a list may be.
fn element<'a, 's>(expected: Expected<'a, 's>) -> Option<Expected<'a, 's>> {
    Some(Expected {
        kind: expected.kind.element.as_deref()?,
        has_default: false,
        ..expected
    })
}
