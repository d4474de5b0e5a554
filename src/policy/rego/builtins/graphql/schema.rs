//! A schema made of a document and what every schema has: types with their extensions put into them,
//! found by name. What they must fulfil is left to `rules`.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{
    Definition, DefinitionKind, Directive, DirectiveDefinition, EnumValue, FieldDefinition,
    OperationKind, SchemaDocument,
};
use super::{Check, Failure, Work, prelude};

/// Directives that a document may define although they are there already.
const REDEFINABLE: &[&str] = &[
    "include",
    "skip",
    "deprecated",
    "specifiedBy",
    "defer",
    "oneOf",
];

#[derive(Default)]
pub(super) struct Schema<'a> {
    types: BTreeMap<&'a str, TypeEntry<'a>>,
    directives: BTreeMap<&'a str, &'a DirectiveDefinition>,
    /// By the name of an interface or union, the types a value of it can have; objects have
    /// themselves.
    possible: BTreeMap<&'a str, BTreeSet<&'a str>>,
    query: Option<&'a str>,
    mutation: Option<&'a str>,
    subscription: Option<&'a str>,
}

/// A type with its extensions.
pub(super) struct TypeEntry<'a> {
    pub(super) kind: DefinitionKind,
    pub(super) name: &'a str,
    pub(super) directives: Vec<&'a Directive>,
    pub(super) fields: Vec<&'a FieldDefinition>,
    pub(super) values: Vec<&'a EnumValue>,
    fields_by_name: BTreeMap<&'a str, &'a FieldDefinition>,
    interfaces: Vec<&'a str>,
    members: Vec<&'a str>,
    built_in: bool,
}

// === impl TypeEntry ===

impl<'a> TypeEntry<'a> {
    fn new(definition: &'a Definition, built_in: bool) -> Self {
        Self {
            kind: definition.kind,
            name: &definition.name,
            directives: Vec::new(),
            fields: Vec::new(),
            values: Vec::new(),
            fields_by_name: BTreeMap::new(),
            interfaces: Vec::new(),
            members: Vec::new(),
            built_in,
        }
    }

    fn extend(&mut self, definition: &'a Definition) {
        self.directives.extend(&definition.directives);
        self.values.extend(&definition.values);
        let names = definition.interfaces.iter().map(String::as_str);
        self.interfaces.extend(names);
        self.members
            .extend(definition.types.iter().map(String::as_str));
        self.fields.extend(&definition.fields);
        for field in &definition.fields {
            self.fields_by_name.entry(&field.name).or_insert(field);
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&'a FieldDefinition> {
        self.fields_by_name.get(name).copied()
    }
}

// === impl Schema ===

impl<'a> Schema<'a> {
    /// A schema that fulfils the rules.
    pub(super) fn new(document: &'a SchemaDocument, work: &mut Work) -> Result<Self, Failure> {
        let prelude = prelude::document()?;
        let mut schema = Self::default();
        for definition in prelude.definitions.iter().chain(&document.definitions) {
            schema.define(definition)?;
        }
        for extension in &document.extensions {
            schema.extend(extension)?;
        }
        schema.find_possible_types();
        for directive in prelude.directives.iter().chain(&document.directives) {
            let name = directive.name.as_str();
            let earlier = schema.directives.insert(name, directive);
            if earlier.is_some() && !REDEFINABLE.contains(&name) {
                return Err(Failure::Failed("a directive is defined twice"));
            }
        }
        schema.find_roots(document)?;
        schema.check(document, work)?;
        Ok(schema)
    }

    fn define(&mut self, definition: &'a Definition) -> Check {
        let mut entry = TypeEntry::new(definition, definition.built_in);
        entry.extend(definition);
        match self.types.insert(&definition.name, entry) {
            None => Ok(()),
            Some(_) => Err(Failure::Failed("a type is defined twice")),
        }
    }

    /// Rule: the extension of a type that is not there makes one.
    fn extend(&mut self, extension: &'a Definition) -> Check {
        let new = || TypeEntry::new(extension, false);
        let entry = self.types.entry(&extension.name).or_insert_with(new);
        if entry.kind != extension.kind {
            return Err(Failure::Failed("a type is extended as one of another kind"));
        }
        entry.extend(extension);
        Ok(())
    }

    /// Rule: the types of an interface are those that say they implement it, other interfaces
    /// included; it is not one of its own.
    fn find_possible_types(&mut self) {
        for entry in self.types.values() {
            for interface in &entry.interfaces {
                let types = self.possible.entry(interface).or_default();
                types.insert(entry.name);
            }
            let own = self.possible.entry(entry.name).or_default();
            match entry.kind {
                DefinitionKind::Union => own.extend(&entry.members),
                DefinitionKind::Object | DefinitionKind::InputObject => {
                    own.insert(entry.name);
                }
                DefinitionKind::Scalar | DefinitionKind::Enum | DefinitionKind::Interface => {}
            }
        }
    }

    /// Rule: what is not said is looked for by its usual name, unless there is a schema definition.
    fn find_roots(&mut self, document: &'a SchemaDocument) -> Check {
        if document.schemas.len() > 1 {
            return Err(Failure::Failed("more than one schema definition"));
        }
        let schemas = document.schemas.iter().chain(&document.schema_extensions);
        for root in schemas.flat_map(|schema| &schema.roots) {
            if !self.types.contains_key(root.name.as_str()) {
                return Err(Failure::Failed("a root type is not defined"));
            }
            *self.root_name(root.operation) = Some(&root.name);
        }
        if !document.schemas.is_empty() {
            return Ok(());
        }
        let usual = [
            (OperationKind::Query, "Query"),
            (OperationKind::Mutation, "Mutation"),
            (OperationKind::Subscription, "Subscription"),
        ];
        for (operation, name) in usual {
            let name = self.types.get(name).map(|entry| entry.name);
            let root = self.root_name(operation);
            *root = root.or(name);
        }
        Ok(())
    }

    fn root_name(&mut self, operation: OperationKind) -> &mut Option<&'a str> {
        match operation {
            OperationKind::Query | OperationKind::Unnamed => &mut self.query,
            OperationKind::Mutation => &mut self.mutation,
            OperationKind::Subscription => &mut self.subscription,
        }
    }

    /// The type an operation begins at.
    pub(super) fn root(&self, operation: OperationKind) -> Option<&TypeEntry<'a>> {
        let name = match operation {
            OperationKind::Query | OperationKind::Unnamed => self.query,
            OperationKind::Mutation => self.mutation,
            OperationKind::Subscription => self.subscription,
        };
        self.get(name?)
    }

    pub(super) fn get(&self, name: &str) -> Option<&TypeEntry<'a>> {
        self.types.get(name)
    }

    pub(super) fn directive(&self, name: &str) -> Option<&'a DirectiveDefinition> {
        self.directives.get(name).copied()
    }

    /// Rule: `__typename` is everywhere, `__schema` and `__type` are where queries begin.
    pub(super) fn field(
        &self,
        parent: Option<&TypeEntry<'a>>,
        name: &str,
    ) -> Option<&'a FieldDefinition> {
        if name == "__typename" {
            return prelude::meta_field(name);
        }
        let parent = parent?;
        let is_query = || self.query == Some(parent.name);
        let meta = || is_query().then(|| prelude::meta_field(name)).flatten();
        parent.field(name).or_else(meta)
    }

    /// The types a value of this type can have.
    pub(super) fn possible(&self, name: &str) -> impl Iterator<Item = &'a str> + '_ {
        self.possible.get(name).into_iter().flatten().copied()
    }

    pub(super) fn is_possible(&self, name: &str, object: &str) -> bool {
        let possible = self.possible.get(name);
        possible.is_some_and(|possible| possible.contains(object))
    }
}
