//! The grammar of what services offer: the schema definition language.

use super::super::Failure;
use super::super::ast::{
    Comment, Comments, Definition, DefinitionKind, DirectiveDefinition, EnumValue, FieldDefinition,
    Root, SchemaDefinition, SchemaDocument,
};
use super::super::lexer::Kind;
use super::{Constant, Parser, unexpected};

/// Where directives can stand.
const LOCATIONS: &[&str] = &[
    "QUERY",
    "MUTATION",
    "SUBSCRIPTION",
    "FIELD",
    "FRAGMENT_DEFINITION",
    "FRAGMENT_SPREAD",
    "INLINE_FRAGMENT",
    "VARIABLE_DEFINITION",
    "SCHEMA",
    "SCALAR",
    "OBJECT",
    "FIELD_DEFINITION",
    "ARGUMENT_DEFINITION",
    "INTERFACE",
    "UNION",
    "ENUM",
    "ENUM_VALUE",
    "INPUT_OBJECT",
    "INPUT_FIELD_DEFINITION",
];

/// A text in front of a definition.
#[derive(Default)]
struct Description {
    text: String,
    comment: Comment,
}

/// What stands in a list of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldKind {
    /// With arguments.
    Output,
    /// With a default value.
    Input,
}

const BRACES: (Kind, Kind) = (Kind::BraceL, Kind::BraceR);

// === impl Parser ===

impl Parser<'_> {
    pub(super) fn schema_document(mut self) -> Result<SchemaDocument, Failure> {
        let mut document = SchemaDocument::default();
        while !self.sees(Kind::End) {
            let description = self.description()?;
            if !self.sees(Kind::Name) {
                return unexpected();
            }
            match self.next.value.as_ref() {
                "schema" => document.schemas.push(self.schema(description)?),
                "directive" => document.directives.push(self.directive(description)?),
                "extend" => {
                    // Rule: extensions have no description, unless it is empty.
                    if !description.text.is_empty() {
                        return unexpected();
                    }
                    self.extension(&mut document)?;
                }
                _ => {
                    let kind = self.definition_kind()?;
                    let definition = self.definition(kind, description)?;
                    document.definitions.push(definition);
                }
            }
        }
        document.comment = self.comment();
        Ok(document)
    }

    fn description(&mut self) -> Result<Description, Failure> {
        if !self.sees(Kind::String) && !self.sees(Kind::Block) {
            return Ok(Description::default());
        }
        let token = self.advance()?;
        Ok(Description {
            text: token.value.into_owned(),
            comment: token.comment,
        })
    }

    /// The description and comments of what is inside of a definition. An empty description is none.
    fn description_and_comments(&mut self) -> Result<(String, Comments), Failure> {
        let description = self.description()?;
        let mut comments = Comments::default();
        if !description.text.is_empty() {
            comments.before = description.comment;
        }
        comments.after = self.comment();
        Ok((description.text, comments))
    }

    fn definition_kind(&self) -> Result<DefinitionKind, Failure> {
        match self.next.value.as_ref() {
            "scalar" => Ok(DefinitionKind::Scalar),
            "type" => Ok(DefinitionKind::Object),
            "interface" => Ok(DefinitionKind::Interface),
            "union" => Ok(DefinitionKind::Union),
            "enum" => Ok(DefinitionKind::Enum),
            "input" => Ok(DefinitionKind::InputObject),
            _ => unexpected(),
        }
    }

    fn schema(&mut self, description: Description) -> Result<SchemaDefinition, Failure> {
        let after = self.keyword("schema")?;
        let directives = self.directives(Constant::Yes)?;
        let (roots, end) = self.some(BRACES, Self::root)?;
        Ok(SchemaDefinition {
            description: description.text,
            directives,
            roots,
            comments: Comments {
                before: description.comment,
                after,
                end,
            },
        })
    }

    fn root(&mut self) -> Result<Root, Failure> {
        let comment = self.comment();
        let operation = self.operation_kind()?;
        self.take(Kind::Colon)?;
        Ok(Root {
            operation,
            name: self.name()?,
            comment,
        })
    }

    fn definition(
        &mut self,
        kind: DefinitionKind,
        description: Description,
    ) -> Result<Definition, Failure> {
        let after = self.take(Kind::Name)?.comment;
        let mut definition = self.body(kind, true)?;
        definition.description = description.text;
        definition.comments.before = description.comment;
        definition.comments.after = after;
        Ok(definition)
    }

    /// What follows the keyword of a definition, or of an extension.
    fn body(&mut self, kind: DefinitionKind, is_new: bool) -> Result<Definition, Failure> {
        let mut definition = Definition {
            kind,
            name: self.name()?,
            ..Definition::default()
        };
        // Rule: an extension does not make an interface implement another.
        if kind == DefinitionKind::Object || kind == DefinitionKind::Interface && is_new {
            definition.interfaces = self.interfaces()?;
        }
        // Rule: variables are let into the directives of extended inputs.
        let is_lax = kind == DefinitionKind::InputObject && !is_new;
        let constant = if is_lax { Constant::No } else { Constant::Yes };
        definition.directives = self.directives(constant)?;
        let end = &mut definition.comments.end;
        match kind {
            DefinitionKind::Scalar => {}
            DefinitionKind::Object | DefinitionKind::Interface => {
                (definition.fields, *end) = self.fields(FieldKind::Output)?;
            }
            DefinitionKind::InputObject => {
                (definition.fields, *end) = self.fields(FieldKind::Input)?;
            }
            DefinitionKind::Union => definition.types = self.members()?,
            DefinitionKind::Enum => {
                (definition.values, *end) = self.some(BRACES, Self::enum_value)?;
            }
        }
        Ok(definition)
    }

    fn interfaces(&mut self) -> Result<Vec<String>, Failure> {
        if !self.sees_word("implements") {
            return Ok(Vec::new());
        }
        self.advance()?;
        self.names_between(Kind::Amp)
    }

    fn members(&mut self) -> Result<Vec<String>, Failure> {
        if !self.skip(Kind::Equals)? {
            return Ok(Vec::new());
        }
        self.names_between(Kind::Pipe)
    }

    /// Rule: names with a separator between them, and one in front if one likes.
    fn names_between(&mut self, separator: Kind) -> Result<Vec<String>, Failure> {
        self.skip(separator)?;
        let mut names = vec![self.name()?];
        while self.skip(separator)? {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn fields(&mut self, kind: FieldKind) -> Result<(Vec<FieldDefinition>, Comment), Failure> {
        self.some(BRACES, |parser| parser.field_definition(kind))
    }

    fn field_definition(&mut self, kind: FieldKind) -> Result<FieldDefinition, Failure> {
        let (description, comments) = self.description_and_comments()?;
        let name = self.name()?;
        let arguments = match kind {
            FieldKind::Output => self.argument_definitions()?,
            FieldKind::Input => Vec::new(),
        };
        self.take(Kind::Colon)?;
        let reference = self.type_reference()?;
        let default = match kind {
            FieldKind::Output => None,
            FieldKind::Input => self.default_value()?,
        };
        Ok(FieldDefinition {
            description,
            name,
            arguments,
            default,
            kind: reference,
            directives: self.directives(Constant::Yes)?,
            comments,
        })
    }

    fn argument_definitions(&mut self) -> Result<Vec<FieldDefinition>, Failure> {
        let argument = |parser: &mut Self| parser.field_definition(FieldKind::Input);
        Ok(self.some((Kind::ParenL, Kind::ParenR), argument)?.0)
    }

    fn enum_value(&mut self) -> Result<EnumValue, Failure> {
        let (description, comments) = self.description_and_comments()?;
        Ok(EnumValue {
            description,
            name: self.name()?,
            directives: self.directives(Constant::Yes)?,
            comments,
        })
    }

    /// Rule: an extension adds something.
    fn extension(&mut self, document: &mut SchemaDocument) -> Result<(), Failure> {
        let comment = self.keyword("extend")?;
        if !self.sees(Kind::Name) {
            return unexpected();
        }
        if self.sees_word("schema") {
            let mut schema = self.schema(Description::default())?;
            schema.comments.after = comment;
            if schema.directives.is_empty() && schema.roots.is_empty() {
                return unexpected();
            }
            document.schema_extensions.push(schema);
            return Ok(());
        }
        let kind = self.definition_kind()?;
        self.advance()?;
        let mut extension = self.body(kind, false)?;
        extension.comments.after = comment;
        let lists = [
            extension.interfaces.is_empty(),
            extension.directives.is_empty(),
            extension.fields.is_empty(),
            extension.types.is_empty(),
            extension.values.is_empty(),
        ];
        if lists.into_iter().all(|is_empty| is_empty) {
            return unexpected();
        }
        document.extensions.push(extension);
        Ok(())
    }

    fn directive(&mut self, description: Description) -> Result<DirectiveDefinition, Failure> {
        let after = self.keyword("directive")?;
        self.take(Kind::At)?;
        let name = self.name()?;
        let arguments = self.argument_definitions()?;
        let repeatable = self.sees(Kind::Name) && self.sees_word("repeatable");
        if repeatable {
            self.advance()?;
        }
        self.keyword("on")?;
        let locations = self.names_between(Kind::Pipe)?;
        if !locations
            .iter()
            .all(|name| LOCATIONS.contains(&name.as_str()))
        {
            return unexpected();
        }
        Ok(DirectiveDefinition {
            description: description.text,
            name,
            arguments,
            locations,
            repeatable,
            comments: Comments {
                before: description.comment,
                after,
                end: Comment::new(),
            },
        })
    }
}
