//! Whether a query can be asked of a schema: gqlparser's rules, which are those of the GraphQL
//! specification (section 5) but for what is marked. Values are left to `values`, what follows
//! fragments to `spreads`, fields that join to `overlap`. The first rule broken ends it.

mod overlap;
mod spreads;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{
    Argument, Directive, Field, FieldDefinition, Fragment, Inline, Operation, OperationKind,
    QueryDocument, Selection, Spread, Variable,
};
use super::schema::{Schema, TypeEntry};
use super::{Check, Failure, Work};
use overlap::Overlap;

pub(super) fn check(schema: &Schema<'_>, document: &QueryDocument, work: &mut Work) -> Check {
    let mut fragments = BTreeMap::new();
    for fragment in &document.fragments {
        if fragments.insert(fragment.name.as_str(), fragment).is_some() {
            return broken("there are two fragments of a name");
        }
    }
    let mut walk = Walk {
        schema,
        fragments,
        operation: None,
        walked: BTreeSet::new(),
        reached: BTreeSet::new(),
        overlap: Overlap::default(),
        work,
    };
    walk.document(document)
}

fn broken(rule: &'static str) -> Check {
    Err(Failure::Failed(rule))
}

/// A way through a document, operation by operation.
struct Walk<'a, 's> {
    schema: &'a Schema<'s>,
    fragments: BTreeMap<&'a str, &'a Fragment>,
    operation: Option<InOperation<'a>>,
    /// The fragments that this operation has been in.
    walked: BTreeSet<&'a str>,
    /// The fragments that any operation has been in.
    reached: BTreeSet<&'a str>,
    overlap: Overlap<'a>,
    work: &'a mut Work,
}

/// The operation that the way is in.
struct InOperation<'a> {
    variables: BTreeMap<&'a str, &'a Variable>,
    used: BTreeSet<&'a str>,
}

/// The type that selections are made of; `None` if it is not known.
type Parent<'a, 's> = Option<&'a TypeEntry<'s>>;

// === impl Walk ===

impl<'a, 's> Walk<'a, 's> {
    fn document(&mut self, document: &'a QueryDocument) -> Check {
        self.check_cycles()?;
        let mut names = BTreeSet::new();
        for operation in &document.operations {
            if !names.insert(&operation.name) {
                return broken("there are two operations of a name");
            }
            if operation.name.is_empty() && document.operations.len() > 1 {
                return broken("an operation without a name is not the only one");
            }
            self.operation(operation)?;
        }
        for fragment in &document.fragments {
            self.fragment(fragment)?;
        }
        Ok(())
    }

    fn operation(&mut self, operation: &'a Operation) -> Check {
        self.walked.clear();
        let mut variables = BTreeMap::new();
        for variable in &operation.variables {
            if variables.insert(variable.name.as_str(), variable).is_some() {
                return broken("there are two variables of a name");
            }
        }
        self.operation = Some(InOperation {
            variables,
            used: BTreeSet::new(),
        });
        for variable in &operation.variables {
            self.variable(variable)?;
        }
        // Rule: the schema has such operations.
        let Some(root) = self.schema.root(operation.kind) else {
            return broken("the schema does not support this kind of operation");
        };
        let location = match operation.kind {
            OperationKind::Query | OperationKind::Unnamed => "QUERY",
            OperationKind::Mutation => "MUTATION",
            OperationKind::Subscription => "SUBSCRIPTION",
        };
        self.directives(&operation.directives, location)?;
        self.selections(Some(root), &operation.selections)?;
        self.check_subscription(operation)?;
        self.check_overlaps(Some(root), &operation.selections)?;
        let state = self.operation.take();
        let is_used = |variable: &Variable| {
            let state = state.as_ref();
            variable.used || state.is_some_and(|state| state.used.contains(&*variable.name))
        };
        if !operation.variables.iter().all(is_used) {
            return broken("a variable is not used");
        }
        Ok(())
    }

    fn variable(&mut self, variable: &'a Variable) -> Check {
        let Some(expected) = self.expected(&variable.kind, false) else {
            return broken("the type of a variable is not defined");
        };
        if !expected.definition.kind.is_input() {
            return broken("a variable has a type that it cannot have");
        }
        if let Some(default) = &variable.default {
            self.value(default, Some(expected))?;
        }
        self.directives(&variable.directives, "VARIABLE_DEFINITION")
    }

    /// What is in it has been gone through from the operation that spreads it.
    fn fragment(&mut self, fragment: &'a Fragment) -> Check {
        let Some(condition) = self.schema.get(&fragment.condition) else {
            return broken("the type of a fragment is not defined");
        };
        if !condition.kind.is_composite() {
            return broken("a fragment is on a type without fields");
        }
        if !self.reached.contains(&*fragment.name) {
            return broken("a fragment is not used");
        }
        self.directives(&fragment.directives, "FRAGMENT_DEFINITION")?;
        self.check_overlaps(Some(condition), &fragment.selections)
    }

    /// The type of a field's value.
    fn type_of(&self, field: Option<&'a FieldDefinition>) -> Parent<'a, 's> {
        field.and_then(|field| self.schema.get(field.kind.name()))
    }

    fn selections(&mut self, parent: Parent<'a, 's>, selections: &'a [Selection]) -> Check {
        self.work.enter()?;
        for selection in selections {
            self.work.spend(1)?;
            match selection {
                Selection::Field(field) => self.field(parent, field)?,
                Selection::Inline(inline) => self.inline(parent, inline)?,
                Selection::Spread(spread) => self.spread(parent, spread)?,
            }
        }
        self.work.leave();
        Ok(())
    }

    fn field(&mut self, parent: Parent<'a, 's>, field: &'a Field) -> Check {
        let definition = self.schema.field(parent, &field.name);
        let kind = self.type_of(definition);
        // Rule: the type has such a field.
        if parent.is_some() && definition.is_none() {
            return broken("a field is not defined by its type");
        }
        if let Some(definition) = definition {
            self.arguments(&field.arguments, &definition.arguments)?;
        }
        self.directives(&field.directives, "FIELD")?;
        self.selections(kind, &field.selections)?;
        // Rule: what has fields has some of them selected, and what has none has not.
        if kind.is_some_and(|kind| kind.kind.is_leaf() != field.selections.is_empty()) {
            return broken("a selection is missing, or is where none can be");
        }
        if matches!(field.name.as_str(), "__schema" | "__type") {
            self.check_introspection(field)?;
        }
        self.check_overlaps(kind, &field.selections)
    }

    fn inline(&mut self, parent: Parent<'a, 's>, inline: &'a Inline) -> Check {
        let mut kind = parent;
        if !inline.condition.is_empty() {
            let condition = self.schema.get(&inline.condition);
            let Some(condition) = condition else {
                return broken("the type of a fragment is not defined");
            };
            if !condition.kind.is_composite() {
                return broken("a fragment is on a type without fields");
            }
            self.check_possible(parent, condition)?;
            kind = Some(condition);
        }
        self.directives(&inline.directives, "INLINE_FRAGMENT")?;
        self.selections(kind, &inline.selections)?;
        self.check_overlaps(kind, &inline.selections)
    }

    fn spread(&mut self, parent: Parent<'a, 's>, spread: &'a Spread) -> Check {
        let Some(fragment) = self.fragments.get(&*spread.name).copied() else {
            return broken("a fragment is not defined");
        };
        self.directives(&spread.directives, "FRAGMENT_SPREAD")?;
        let condition = self.schema.get(&fragment.condition);
        if let Some(condition) = condition {
            self.check_possible(parent, condition)?;
        }
        if self.walked.insert(&fragment.name) {
            self.reached.insert(&fragment.name);
            self.selections(condition, &fragment.selections)?;
        }
        Ok(())
    }

    /// Rule: a fragment is where there can be an object of its type.
    fn check_possible(&mut self, parent: Parent<'a, 's>, condition: &TypeEntry<'s>) -> Check {
        let Some(parent) = parent else { return Ok(()) };
        if !parent.kind.is_composite() || !condition.kind.is_composite() {
            return Ok(());
        }
        for name in self.schema.possible(parent.name) {
            self.work.spend(1)?;
            if self.schema.is_possible(condition.name, name) {
                return Ok(());
            }
        }
        broken("a fragment is where no object of its type can be")
    }

    /// Rule: a directive is known, can be at this place, and is there once; gqlparser holds this for
    /// repeatable ones as well, but for one with just this name.
    fn directives(&mut self, directives: &'a [Directive], location: &str) -> Check {
        let mut names = BTreeSet::new();
        for directive in directives {
            self.work.spend(1)?;
            if !names.insert(&directive.name) && directive.name != "repeatable" {
                return broken("a directive is used twice");
            }
            let Some(definition) = self.schema.directive(&directive.name) else {
                return broken("a directive is not defined");
            };
            self.arguments(&directive.arguments, &definition.arguments)?;
            if !definition.locations.iter().any(|known| known == location) {
                return broken("a directive cannot be used here");
            }
        }
        Ok(())
    }

    /// Rule: arguments are defined and there once; those that are needed are there.
    fn arguments(&mut self, given: &'a [Argument], defined: &'a [FieldDefinition]) -> Check {
        self.work.spend(defined.len() * (1 + given.len()))?;
        let mut names = BTreeSet::new();
        for argument in given {
            if !names.insert(argument.name.as_str()) {
                return broken("there are two arguments of a name");
            }
            let mut all = defined.iter();
            let Some(definition) = all.find(|known| known.name == argument.name) else {
                return broken("an argument is not defined");
            };
            self.value(&argument.value, self.expected_of(definition))?;
        }
        let is_needed = |known: &&FieldDefinition| known.kind.non_null && known.default.is_none();
        let mut needed = defined.iter().filter(is_needed);
        if !needed.all(|needed| names.contains(needed.name.as_str())) {
            return broken("an argument is missing");
        }
        Ok(())
    }
}
