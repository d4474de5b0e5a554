//! Documents out of the objects that policies give, the way Go's `encoding/json` fills gqlparser's
//! types: unknown members are passed over, missing ones are empty, and what is of the wrong type is
//! an error. Where gqlparser would follow a pointer to nothing, that is an error here.

use regorus::Value;

use super::ast::{
    Argument, Comment, Comments, Definition, DefinitionKind, Directive, DirectiveDefinition,
    EnumValue, Field, FieldDefinition, Fragment, Inline, Literal, LiteralKind, Member, Operation,
    OperationKind, QueryDocument, Root, SchemaDefinition, SchemaDocument, Selection, Spread, Type,
    Variable,
};
use super::{Failure, MAX_DEPTH, MAX_NODES};

/// Objects and arrays that stand for one level of a document's nesting.
const VALUES_A_LEVEL: usize = 4;

/// Why a value is not what it is read as.
#[derive(Debug)]
enum Misfit {
    /// As `encoding/json` has it.
    WrongType,
    /// It could be read, but gqlparser would come to grief over it.
    Unusable,
}

type Decoded<T> = Result<T, Misfit>;

pub(super) fn query(value: &Value) -> Result<QueryDocument, Failure> {
    measure(value, &mut 0, 0)?;
    Ok(query_document(value)?)
}

pub(super) fn schema(value: &Value) -> Result<SchemaDocument, Failure> {
    measure(value, &mut 0, 0)?;
    Ok(schema_document(value)?)
}

fn query_document(value: &Value) -> Decoded<QueryDocument> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(QueryDocument {
        operations: members.list("Operations", operation)?,
        fragments: members.list("Fragments", fragment)?,
        comment: members.comment("Comment")?,
    })
}

fn schema_document(value: &Value) -> Decoded<SchemaDocument> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(SchemaDocument {
        schemas: members.list("Schema", schema_definition)?,
        schema_extensions: members.list("SchemaExtension", schema_definition)?,
        directives: members.list("Directives", directive_definition)?,
        definitions: members.list("Definitions", definition)?,
        extensions: members.list("Extensions", definition)?,
        comment: members.comment("Comment")?,
    })
}

/// Refuses what is too large or too deep to be gone through.
fn measure(value: &Value, nodes: &mut usize, depth: usize) -> Result<(), Failure> {
    *nodes += 1;
    if *nodes > MAX_NODES || depth > MAX_DEPTH * VALUES_A_LEVEL {
        return Err(Failure::Limit(
            "a GraphQL document that is too large or too deep is refused".to_owned(),
        ));
    }
    let mut each = |value| measure(value, nodes, depth + 1);
    match value {
        Value::Array(items) => items.iter().try_for_each(each),
        Value::Set(items) => items.iter().try_for_each(each),
        Value::Object(members) => members.iter().try_for_each(|(_, value)| each(value)),
        _ => Ok(()),
    }
}

fn wrong<T>() -> Decoded<T> {
    Err(Misfit::WrongType)
}

fn unusable<T>() -> Decoded<T> {
    Err(Misfit::Unusable)
}

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        Self::Failed(match misfit {
            Misfit::WrongType => "not the object of a GraphQL document",
            Misfit::Unusable => "the object of a GraphQL document lacks something",
        })
    }
}

/// Whether the letters of a member's name may be of another case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Exact,
    AnyCase,
}

/// The members of an object.
struct Members<'a> {
    value: &'a Value,
    names: Names,
}

// === impl Members ===

impl<'a> Members<'a> {
    /// Null would be a pointer to nothing.
    fn of(value: &'a Value, names: Names) -> Decoded<Self> {
        match value {
            Value::Object(_) => Ok(Self { value, names }),
            Value::Null => unusable(),
            _ => wrong(),
        }
    }

    /// Rule: null is as if it was not there. Of several the last one counts.
    fn get(&self, name: &str) -> Option<&'a Value> {
        let Value::Object(members) = self.value else {
            return None;
        };
        let found = match self.names {
            Names::Exact => members.get(&Value::from(name)),
            Names::AnyCase => {
                let is_meant = |key: &Value| match key {
                    Value::String(key) => key.eq_ignore_ascii_case(name),
                    _ => false,
                };
                let meant = members.iter().filter(|(key, _)| is_meant(key));
                meant.last().map(|(_, value)| value)
            }
        };
        found.filter(|value| !matches!(value, Value::Null))
    }

    fn text(&self, name: &str) -> Decoded<String> {
        self.get(name).map_or(Ok(String::new()), text)
    }

    fn flag(&self, name: &str) -> Decoded<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => wrong(),
        }
    }

    fn list<T>(&self, name: &str, decode: impl Fn(&'a Value) -> Decoded<T>) -> Decoded<Vec<T>> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(decode).collect(),
            Some(Value::Set(items)) => items.iter().map(decode).collect(),
            Some(_) => wrong(),
        }
    }

    fn optional<T>(
        &self,
        name: &str,
        decode: impl Fn(&'a Value) -> Decoded<T>,
    ) -> Decoded<Option<T>> {
        self.get(name).map(decode).transpose()
    }

    /// What gqlparser cannot do without.
    fn needed<T>(&self, name: &str, decode: impl Fn(&'a Value) -> Decoded<T>) -> Decoded<T> {
        self.get(name).map_or_else(unusable, decode)
    }

    fn directives(&self) -> Decoded<Vec<Directive>> {
        self.list("Directives", directive)
    }

    fn comment(&self, name: &str) -> Decoded<Comment> {
        let Some(group) = self.get(name) else {
            return Ok(Comment::new());
        };
        let line = |line| Members::of(line, Names::AnyCase)?.text("Value");
        Members::of(group, Names::AnyCase)?.list("List", line)
    }

    fn comments(&self) -> Decoded<Comments> {
        Ok(Comments {
            before: self.comment("BeforeDescriptionComment")?,
            after: self.comment("AfterDescriptionComment")?,
            end: self.comment("EndOfDefinitionComment")?,
        })
    }

    fn selections(&self) -> Decoded<Vec<Selection>> {
        let selections = self.list("SelectionSet", selection)?;
        Ok(selections.into_iter().flatten().collect())
    }

    fn operation_kind(&self) -> Decoded<OperationKind> {
        match self.text("Operation")?.as_str() {
            "" => Ok(OperationKind::Unnamed),
            name => OperationKind::named(name).map_or_else(unusable, Ok),
        }
    }
}

fn text(value: &Value) -> Decoded<String> {
    match value {
        Value::String(text) => Ok(text.to_string()),
        _ => wrong(),
    }
}

fn operation(value: &Value) -> Decoded<Operation> {
    let members = Members::of(value, Names::Exact)?;
    Ok(Operation {
        kind: members.operation_kind()?,
        name: members.text("Name")?,
        variables: members.list("VariableDefinitions", variable)?,
        directives: members.directives()?,
        selections: members.selections()?,
        comment: Comment::new(),
    })
}

fn variable(value: &Value) -> Decoded<Variable> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(Variable {
        name: members.text("Variable")?,
        kind: members.needed("Type", type_reference)?,
        default: members.optional("DefaultValue", literal)?,
        directives: members.directives()?,
        used: members.flag("Used")?,
        comment: members.comment("Comment")?,
    })
}

fn fragment(value: &Value) -> Decoded<Fragment> {
    let members = Members::of(value, Names::Exact)?;
    Ok(Fragment {
        name: members.text("Name")?,
        variables: members.list("VariableDefinition", variable)?,
        condition: members.text("TypeCondition")?,
        directives: members.directives()?,
        selections: members.selections()?,
        comment: Comment::new(),
    })
}

/// Rule: whatever can be read as a field is one, spreads and inline fragments as well, so that
/// documents with fragments which are given as objects are never valid. What can be read as none of
/// the three is passed over.
fn selection(value: &Value) -> Decoded<Option<Selection>> {
    let readings: [fn(&Value) -> Decoded<Selection>; 3] = [
        |value| field(value).map(Selection::Field),
        |value| spread(value).map(Selection::Spread),
        |value| inline(value).map(Selection::Inline),
    ];
    for read in readings {
        match read(value) {
            Err(Misfit::WrongType) => {}
            read => return read.map(Some),
        }
    }
    Ok(None)
}

/// Selections last: an object that is no field must not be gone through more than once.
fn field(value: &Value) -> Decoded<Field> {
    let members = Members::of(value, Names::Exact)?;
    Ok(Field {
        alias: members.text("Alias")?,
        name: members.text("Name")?,
        arguments: members.list("Arguments", argument)?,
        directives: members.directives()?,
        selections: members.selections()?,
        comment: Comment::new(),
    })
}

fn spread(value: &Value) -> Decoded<Spread> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(Spread {
        name: members.text("Name")?,
        directives: members.directives()?,
        comment: members.comment("Comment")?,
    })
}

fn inline(value: &Value) -> Decoded<Inline> {
    let members = Members::of(value, Names::Exact)?;
    Ok(Inline {
        condition: members.text("TypeCondition")?,
        directives: members.directives()?,
        selections: members.selections()?,
        comment: Comment::new(),
    })
}

fn argument(value: &Value) -> Decoded<Argument> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(Argument {
        name: members.text("Name")?,
        value: members.needed("Value", literal)?,
        comment: members.comment("Comment")?,
    })
}

fn directive(value: &Value) -> Decoded<Directive> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(Directive {
        name: members.text("Name")?,
        arguments: members.list("Arguments", argument)?,
        location: members.text("Location")?,
    })
}

fn literal(value: &Value) -> Decoded<Literal> {
    let members = Members::of(value, Names::AnyCase)?;
    let kind = |value: &Value| {
        let number = value.as_i64().ok();
        let number = number.map_or_else(wrong, Ok)?;
        LiteralKind::numbered(number).map_or_else(unusable, Ok)
    };
    Ok(Literal {
        kind: members.optional("Kind", kind)?.unwrap_or_default(),
        raw: members.text("Raw")?,
        children: members.list("Children", member)?,
        expected_has_default: members.flag("ExpectedTypeHasDefault")?,
        comment: members.comment("Comment")?,
    })
}

fn member(value: &Value) -> Decoded<Member> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(Member {
        name: members.text("Name")?,
        value: members.needed("Value", literal)?,
        comment: members.comment("Comment")?,
    })
}

fn type_reference(value: &Value) -> Decoded<Type> {
    let members = Members::of(value, Names::AnyCase)?;
    let kind = Type {
        named: members.text("NamedType")?,
        element: members.optional("Elem", type_reference)?.map(Box::new),
        non_null: members.flag("NonNull")?,
    };
    if kind.name().is_empty() {
        return unusable();
    }
    Ok(kind)
}

fn schema_definition(value: &Value) -> Decoded<SchemaDefinition> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(SchemaDefinition {
        description: members.text("Description")?,
        directives: members.directives()?,
        roots: members.list("OperationTypes", root)?,
        comments: members.comments()?,
    })
}

fn root(value: &Value) -> Decoded<Root> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(Root {
        operation: members.operation_kind()?,
        name: members.text("Type")?,
        comment: members.comment("Comment")?,
    })
}

fn definition(value: &Value) -> Decoded<Definition> {
    let members = Members::of(value, Names::AnyCase)?;
    let kind = DefinitionKind::named(&members.text("Kind")?);
    Ok(Definition {
        kind: kind.map_or_else(unusable, Ok)?,
        description: members.text("Description")?,
        name: members.text("Name")?,
        directives: members.directives()?,
        interfaces: members.list("Interfaces", text)?,
        fields: members.list("Fields", field_definition)?,
        types: members.list("Types", text)?,
        values: members.list("EnumValues", enum_value)?,
        built_in: members.flag("BuiltIn")?,
        comments: members.comments()?,
    })
}

fn field_definition(value: &Value) -> Decoded<FieldDefinition> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(FieldDefinition {
        description: members.text("Description")?,
        name: members.text("Name")?,
        arguments: members.list("Arguments", field_definition)?,
        default: members.optional("DefaultValue", literal)?,
        kind: members.needed("Type", type_reference)?,
        directives: members.directives()?,
        comments: members.comments()?,
    })
}

fn enum_value(value: &Value) -> Decoded<EnumValue> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(EnumValue {
        description: members.text("Description")?,
        name: members.text("Name")?,
        directives: members.directives()?,
        comments: members.comments()?,
    })
}

fn directive_definition(value: &Value) -> Decoded<DirectiveDefinition> {
    let members = Members::of(value, Names::AnyCase)?;
    Ok(DirectiveDefinition {
        description: members.text("Description")?,
        name: members.text("Name")?,
        arguments: members.list("Arguments", field_definition)?,
        locations: members.list("Locations", text)?,
        repeatable: members.flag("IsRepeatable")?,
        comments: members.comments()?,
    })
}
