//! What a schema must fulfil, as gqlparser checks it.

use super::super::ast::{
    DefinitionKind, Directive, FieldDefinition, LiteralKind, SchemaDocument, Type,
};
use super::super::{Check, Failure, Work};
use super::{Schema, TypeEntry};

fn broken(rule: &'static str) -> Check {
    Err(Failure::Failed(rule))
}

/// Rule: names that begin with two underscores belong to GraphQL.
fn check_name(name: &str) -> Check {
    if name.starts_with("__") {
        return broken("a name begins with `__`");
    }
    Ok(())
}

fn argument<'a>(field: &'a FieldDefinition, name: &str) -> Option<&'a FieldDefinition> {
    let mut arguments = field.arguments.iter();
    arguments.find(|argument| argument.name == name)
}

// === impl Schema ===

impl<'a> Schema<'a> {
    pub(super) fn check(&self, document: &SchemaDocument, work: &mut Work) -> Check {
        for schema in document.schemas.iter().chain(&document.schema_extensions) {
            self.check_directives(&schema.directives, "SCHEMA", None, work)?;
        }
        for entry in self.types.values() {
            self.check_type(entry, work)?;
        }
        for directive in self.directives.values() {
            check_name(&directive.name)?;
            self.check_arguments(&directive.arguments, Some(&directive.name), work)?;
        }
        Ok(())
    }

    fn check_type(&self, entry: &TypeEntry<'a>, work: &mut Work) -> Check {
        self.check_fields(entry, work)?;
        // Rule: members of a union are objects.
        for member in &entry.members {
            if self.get(member).map(|member| member.kind) != Some(DefinitionKind::Object) {
                return broken("a member of a union is not an object type");
            }
        }
        for interface in &entry.interfaces {
            self.check_implements(entry, interface, work)?;
        }
        if entry.kind == DefinitionKind::Enum {
            self.check_values(entry, work)?;
        }
        if !entry.built_in {
            check_name(entry.name)?;
        }
        let directives = entry.directives.iter().copied();
        self.check_directives(directives, entry.kind.name(), None, work)
    }

    fn check_fields(&self, entry: &TypeEntry<'a>, work: &mut Work) -> Check {
        // Rule: each field is there once.
        if entry.fields.len() != entry.fields_by_name.len() {
            return broken("a field is defined twice");
        }
        let needs_fields = matches!(
            entry.kind,
            DefinitionKind::Object | DefinitionKind::Interface | DefinitionKind::InputObject
        );
        if needs_fields && entry.fields.is_empty() {
            return broken("a type has no fields");
        }
        for field in &entry.fields {
            work.spend(1)?;
            check_name(&field.name)?;
            let kind = self.referred(&field.kind)?.kind;
            // Rule: input types are made of input types, and no other types are.
            let fits = match entry.kind {
                DefinitionKind::InputObject => kind.is_input(),
                DefinitionKind::Object | DefinitionKind::Interface => {
                    kind != DefinitionKind::InputObject
                }
                DefinitionKind::Scalar | DefinitionKind::Union | DefinitionKind::Enum => true,
            };
            if !fits {
                return broken("a field has a type that it cannot have");
            }
            self.check_arguments(&field.arguments, None, work)?;
            let location = match entry.kind {
                DefinitionKind::InputObject => "INPUT_FIELD_DEFINITION",
                _ => "FIELD_DEFINITION",
            };
            self.check_directives(&field.directives, location, None, work)?;
        }
        Ok(())
    }

    fn check_values(&self, entry: &TypeEntry<'a>, work: &mut Work) -> Check {
        if entry.values.is_empty() {
            return broken("an enum has no values");
        }
        for value in &entry.values {
            work.spend(1)?;
            if matches!(value.name.as_str(), "true" | "false" | "null") {
                return broken("a value of an enum has a name that it cannot have");
            }
            self.check_directives(&value.directives, "ENUM_VALUE", None, work)?;
        }
        Ok(())
    }

    fn referred(&self, kind: &Type) -> Result<&TypeEntry<'a>, Failure> {
        self.get(kind.name())
            .ok_or(Failure::Failed("a type is not defined"))
    }

    /// The arguments of a field, or of the directive of that name.
    fn check_arguments(
        &self,
        arguments: &[FieldDefinition],
        directive: Option<&str>,
        work: &mut Work,
    ) -> Check {
        for argument in arguments {
            work.spend(1)?;
            check_name(&argument.name)?;
            if !self.referred(&argument.kind)?.kind.is_input() {
                return broken("an argument has a type that it cannot have");
            }
            let location = "ARGUMENT_DEFINITION";
            self.check_directives(&argument.directives, location, directive, work)?;
        }
        Ok(())
    }

    /// Rule: a directive is defined, for this place, and does not stand in its own definition.
    fn check_directives<'d>(
        &self,
        directives: impl IntoIterator<Item = &'d Directive>,
        location: &str,
        inside_of: Option<&str>,
        work: &mut Work,
    ) -> Check {
        for directive in directives {
            work.spend(1)?;
            check_name(&directive.name)?;
            if inside_of == Some(&directive.name) {
                return broken("a directive refers to itself");
            }
            let Some(definition) = self.directive(&directive.name) else {
                return broken("a directive is not defined");
            };
            if !definition.locations.iter().any(|known| known == location) {
                return broken("a directive cannot be used here");
            }
            work.spend(definition.arguments.len() * (1 + directive.arguments.len()))?;
            // Rule: its arguments are defined.
            for given in &directive.arguments {
                let mut known = definition.arguments.iter();
                if !known.any(|known| known.name == given.name) {
                    return broken("a directive has an argument that is not defined");
                }
            }
            // Rule: what it needs is there, and not null.
            for needed in &definition.arguments {
                let mut given = directive.arguments.iter();
                let given = given.find(|given| given.name == needed.name);
                let is_given = given.is_some_and(|given| given.value.kind != LiteralKind::Null);
                if needed.kind.non_null && needed.default.is_none() && !is_given {
                    return broken("a directive lacks an argument");
                }
            }
        }
        Ok(())
    }

    /// Rule: a type has the fields of its interfaces, with their types or narrower ones, their
    /// arguments, and no further arguments that are needed.
    fn check_implements(&self, entry: &TypeEntry<'a>, name: &str, work: &mut Work) -> Check {
        let interface = self.get(name);
        let Some(interface) = interface.filter(|found| found.kind == DefinitionKind::Interface)
        else {
            return broken("what is implemented is not an interface");
        };
        for required in &interface.fields {
            let Some(found) = entry.field(&required.name) else {
                return broken("a field of an interface is missing");
            };
            if !self.is_covariant(&required.kind, &found.kind) {
                return broken("a field has not the type of its interface");
            }
            work.spend((1 + required.arguments.len()) * (1 + found.arguments.len()))?;
            for required in &required.arguments {
                let found = argument(found, &required.name);
                let fits = |found: &FieldDefinition| {
                    let kind = &found.kind;
                    required.kind.is_compatible(kind, kind.non_null)
                };
                if !found.is_some_and(fits) {
                    return broken("an argument of an interface is missing, or of another type");
                }
            }
            for found in &found.arguments {
                let is_needed = found.kind.non_null && found.default.is_none();
                if is_needed && argument(required, &found.name).is_none() {
                    return broken("a further argument is needed");
                }
            }
        }
        // Rule: and it implements what they implement.
        work.spend(interface.interfaces.len() * entry.interfaces.len())?;
        let mut inherited = interface.interfaces.iter();
        if !inherited.all(|inherited| entry.interfaces.contains(inherited)) {
            return broken("an interface that an interface implements is not implemented");
        }
        Ok(())
    }

    /// Rule: the same type, or one that the required one can have. What is never null is narrower.
    fn is_covariant(&self, required: &Type, actual: &Type) -> bool {
        if required.non_null && !actual.non_null {
            return false;
        }
        if !required.named.is_empty() {
            return required.named == actual.named
                || self.is_possible(&required.named, &actual.named);
        }
        match (&required.element, &actual.element) {
            (Some(required), Some(actual)) => self.is_covariant(required, actual),
            _ => false,
        }
    }
}
