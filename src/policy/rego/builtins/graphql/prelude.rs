//! What every schema has without saying so (GraphQL specification, sections 3.5, 3.13 and 4): scalars,
//! directives, and the types by which a schema tells about itself.

use std::sync::LazyLock;

use super::Failure;
use super::ast::{FieldDefinition, SchemaDocument};
use super::parser;

const TYPES: &str = "
scalar Int
scalar Float
scalar String
scalar Boolean
scalar ID

directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @deprecated(reason: String = \"No longer supported\")
    on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE
directive @specifiedBy(url: String!) on SCALAR
directive @oneOf on INPUT_OBJECT

type __Schema {
    description: String
    types: [__Type!]!
    queryType: __Type!
    mutationType: __Type
    subscriptionType: __Type
    directives: [__Directive!]!
}

type __Type {
    kind: __TypeKind!
    name: String
    description: String
    specifiedByURL: String
    fields(includeDeprecated: Boolean = false): [__Field!]
    interfaces: [__Type!]
    possibleTypes: [__Type!]
    enumValues(includeDeprecated: Boolean = false): [__EnumValue!]
    inputFields(includeDeprecated: Boolean = false): [__InputValue!]
    ofType: __Type
    isOneOf: Boolean
}

enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }

type __Field {
    name: String!
    description: String
    args(includeDeprecated: Boolean = false): [__InputValue!]!
    type: __Type!
    isDeprecated: Boolean!
    deprecationReason: String
}

type __InputValue {
    name: String!
    description: String
    type: __Type!
    defaultValue: String
    isDeprecated: Boolean!
    deprecationReason: String
}

type __EnumValue {
    name: String!
    description: String
    isDeprecated: Boolean!
    deprecationReason: String
}

type __Directive {
    name: String!
    description: String
    isRepeatable: Boolean!
    locations: [__DirectiveLocation!]!
    args(includeDeprecated: Boolean = false): [__InputValue!]!
}

enum __DirectiveLocation {
    QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT
    VARIABLE_DEFINITION SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION
    ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION
}
";

/// The fields that stand in no type: the first is everywhere, the others where queries begin.
const META_FIELDS: &str = "
type Meta {
    __typename: String
    __schema: __Schema!
    __type(name: String!): __Type
}
";

static PRELUDE: LazyLock<Result<SchemaDocument, Failure>> = LazyLock::new(|| {
    let mut document = parser::schema(TYPES)?;
    for definition in &mut document.definitions {
        definition.built_in = true;
    }
    Ok(document)
});

static META: LazyLock<Result<SchemaDocument, Failure>> =
    LazyLock::new(|| parser::schema(META_FIELDS));

pub(super) fn document() -> Result<&'static SchemaDocument, Failure> {
    PRELUDE.as_ref().map_err(Clone::clone)
}

pub(super) fn meta_field(name: &str) -> Option<&'static FieldDefinition> {
    let document = META.as_ref().ok()?;
    let mut fields = document.definitions.iter().flat_map(|meta| &meta.fields);
    fields.find(|field| field.name == name)
}
