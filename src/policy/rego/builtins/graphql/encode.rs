//! Documents as policies see them: objects with the names of gqlparser's fields, without what is
//! empty or says where something stands.

use std::collections::BTreeMap;

use regorus::Value;

use super::ast::{
    Argument, Comment, Definition, Directive, DirectiveDefinition, EnumValue, FieldDefinition,
    Fragment, Literal, Member, Operation, QueryDocument, Root, SchemaDefinition, SchemaDocument,
    Selection, Type, Variable,
};

pub(super) fn query(document: &QueryDocument) -> Value {
    node([
        ("Operations", list(&document.operations, operation)),
        ("Fragments", list(&document.fragments, fragment)),
        ("Comment", comment(&document.comment)),
    ])
}

pub(super) fn schema(document: &SchemaDocument) -> Value {
    node([
        ("Schema", list(&document.schemas, schema_definition)),
        (
            "SchemaExtension",
            list(&document.schema_extensions, schema_definition),
        ),
        (
            "Directives",
            list(&document.directives, directive_definition),
        ),
        ("Definitions", list(&document.definitions, definition)),
        ("Extensions", list(&document.extensions, definition)),
        ("Comment", comment(&document.comment)),
    ])
}

/// Rule: members that are empty arrays or objects, or null, are left out. Empty strings stay.
fn node<const COUNT: usize>(members: [(&str, Value); COUNT]) -> Value {
    let is_something = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    };
    let members = members
        .into_iter()
        .filter(|(_, value)| is_something(value))
        .map(|(name, value)| (Value::from(name), value));
    Value::from(members.collect::<BTreeMap<_, _>>())
}

fn list<T>(items: &[T], encode: impl Fn(&T) -> Value) -> Value {
    Value::from(items.iter().map(encode).collect::<Vec<_>>())
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn texts(texts: &[String]) -> Value {
    list(texts, |item| text(item))
}

fn comment(comment: &Comment) -> Value {
    node([("List", list(comment, |line| node([("Value", text(line))])))])
}

fn operation(operation: &Operation) -> Value {
    node([
        ("Operation", text(operation.kind.name())),
        ("Name", text(&operation.name)),
        ("VariableDefinitions", list(&operation.variables, variable)),
        ("Directives", list(&operation.directives, directive)),
        ("SelectionSet", list(&operation.selections, selection)),
        ("Comment", comment(&operation.comment)),
    ])
}

fn variable(variable: &Variable) -> Value {
    node([
        ("Variable", text(&variable.name)),
        ("Type", type_reference(&variable.kind)),
        ("DefaultValue", optional(variable.default.as_ref())),
        ("Directives", list(&variable.directives, directive)),
        ("Used", Value::from(variable.used)),
        ("Comment", comment(&variable.comment)),
    ])
}

fn fragment(fragment: &Fragment) -> Value {
    node([
        ("Name", text(&fragment.name)),
        ("VariableDefinition", list(&fragment.variables, variable)),
        ("TypeCondition", text(&fragment.condition)),
        ("Directives", list(&fragment.directives, directive)),
        ("SelectionSet", list(&fragment.selections, selection)),
        ("Comment", comment(&fragment.comment)),
    ])
}

fn selection(item: &Selection) -> Value {
    match item {
        Selection::Field(field) => node([
            ("Alias", text(&field.alias)),
            ("Name", text(&field.name)),
            ("Arguments", list(&field.arguments, argument)),
            ("Directives", list(&field.directives, directive)),
            ("SelectionSet", list(&field.selections, selection)),
            ("Comment", comment(&field.comment)),
        ]),
        Selection::Spread(spread) => node([
            ("Name", text(&spread.name)),
            ("Directives", list(&spread.directives, directive)),
            ("Comment", comment(&spread.comment)),
        ]),
        Selection::Inline(inline) => node([
            ("TypeCondition", text(&inline.condition)),
            ("Directives", list(&inline.directives, directive)),
            ("SelectionSet", list(&inline.selections, selection)),
            ("Comment", comment(&inline.comment)),
        ]),
    }
}

fn argument(argument: &Argument) -> Value {
    node([
        ("Name", text(&argument.name)),
        ("Value", literal(&argument.value)),
        ("Comment", comment(&argument.comment)),
    ])
}

fn directive(directive: &Directive) -> Value {
    node([
        ("Name", text(&directive.name)),
        ("Arguments", list(&directive.arguments, argument)),
        ("Location", text(&directive.location)),
    ])
}

fn optional(value: Option<&Literal>) -> Value {
    value.map_or(Value::Null, literal)
}

fn literal(literal: &Literal) -> Value {
    node([
        ("Raw", text(&literal.raw)),
        ("Children", list(&literal.children, member)),
        ("Kind", Value::from(literal.kind.number())),
        (
            "ExpectedTypeHasDefault",
            Value::from(literal.expected_has_default),
        ),
        ("Comment", comment(&literal.comment)),
    ])
}

fn member(member: &Member) -> Value {
    node([
        ("Name", text(&member.name)),
        ("Value", literal(&member.value)),
        ("Comment", comment(&member.comment)),
    ])
}

fn type_reference(kind: &Type) -> Value {
    let element = kind.element.as_deref();
    node([
        ("NamedType", text(&kind.named)),
        ("Elem", element.map_or(Value::Null, type_reference)),
        ("NonNull", Value::from(kind.non_null)),
    ])
}

fn schema_definition(schema: &SchemaDefinition) -> Value {
    node([
        ("Description", text(&schema.description)),
        ("Directives", list(&schema.directives, directive)),
        ("OperationTypes", list(&schema.roots, root)),
        ("BeforeDescriptionComment", comment(&schema.comments.before)),
        ("AfterDescriptionComment", comment(&schema.comments.after)),
        ("EndOfDefinitionComment", comment(&schema.comments.end)),
    ])
}

fn root(root: &Root) -> Value {
    node([
        ("Operation", text(root.operation.name())),
        ("Type", text(&root.name)),
        ("Comment", comment(&root.comment)),
    ])
}

fn definition(definition: &Definition) -> Value {
    let comments = &definition.comments;
    node([
        ("Kind", text(definition.kind.name())),
        ("Description", text(&definition.description)),
        ("Name", text(&definition.name)),
        ("Directives", list(&definition.directives, directive)),
        ("Interfaces", texts(&definition.interfaces)),
        ("Fields", list(&definition.fields, field_definition)),
        ("Types", texts(&definition.types)),
        ("EnumValues", list(&definition.values, enum_value)),
        ("BuiltIn", Value::from(definition.built_in)),
        ("BeforeDescriptionComment", comment(&comments.before)),
        ("AfterDescriptionComment", comment(&comments.after)),
        ("EndOfDefinitionComment", comment(&comments.end)),
    ])
}

fn field_definition(field: &FieldDefinition) -> Value {
    node([
        ("Description", text(&field.description)),
        ("Name", text(&field.name)),
        ("Arguments", list(&field.arguments, field_definition)),
        ("DefaultValue", optional(field.default.as_ref())),
        ("Type", type_reference(&field.kind)),
        ("Directives", list(&field.directives, directive)),
        ("BeforeDescriptionComment", comment(&field.comments.before)),
        ("AfterDescriptionComment", comment(&field.comments.after)),
    ])
}

fn enum_value(value: &EnumValue) -> Value {
    node([
        ("Description", text(&value.description)),
        ("Name", text(&value.name)),
        ("Directives", list(&value.directives, directive)),
        ("BeforeDescriptionComment", comment(&value.comments.before)),
        ("AfterDescriptionComment", comment(&value.comments.after)),
    ])
}

fn directive_definition(directive: &DirectiveDefinition) -> Value {
    let comments = &directive.comments;
    node([
        ("Description", text(&directive.description)),
        ("Name", text(&directive.name)),
        ("Arguments", list(&directive.arguments, field_definition)),
        ("Locations", texts(&directive.locations)),
        ("IsRepeatable", Value::from(directive.repeatable)),
        ("BeforeDescriptionComment", comment(&comments.before)),
        ("AfterDescriptionComment", comment(&comments.after)),
    ])
}
