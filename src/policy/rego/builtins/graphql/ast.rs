//! GraphQL documents in the shape that gqlparser gives them, which policies see. How they come about
//! is left to `parser` and `decode`, how policies see them to `encode`.

/// Comments that stand together, each with its `#`.
pub(super) type Comment = Vec<String>;

/// What a client asks for.
#[derive(Debug, Default)]
pub(super) struct QueryDocument {
    pub(super) operations: Vec<Operation>,
    pub(super) fragments: Vec<Fragment>,
    pub(super) comment: Comment,
}

#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) name: String,
    pub(super) variables: Vec<Variable>,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
    pub(super) comment: Comment,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum OperationKind {
    /// Of an object that does not say; it is validated as a query.
    #[default]
    Unnamed,
    Query,
    Mutation,
    Subscription,
}

#[derive(Debug, Default)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) default: Option<Literal>,
    pub(super) directives: Vec<Directive>,
    /// Only an object can say so before validation.
    pub(super) used: bool,
    pub(super) comment: Comment,
}

#[derive(Debug, Default)]
pub(super) struct Fragment {
    pub(super) name: String,
    pub(super) variables: Vec<Variable>,
    pub(super) condition: String,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
    pub(super) comment: Comment,
}

#[derive(Debug)]
pub(super) enum Selection {
    Field(Field),
    Spread(Spread),
    Inline(Inline),
}

#[derive(Debug, Default)]
pub(super) struct Field {
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
    pub(super) comment: Comment,
}

#[derive(Debug, Default)]
pub(super) struct Spread {
    pub(super) name: String,
    pub(super) directives: Vec<Directive>,
    pub(super) comment: Comment,
}

#[derive(Debug, Default)]
pub(super) struct Inline {
    /// Empty if there is none.
    pub(super) condition: String,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
    pub(super) comment: Comment,
}

#[derive(Debug, Default)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) value: Literal,
    pub(super) comment: Comment,
}

#[derive(Debug, Default)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    /// Only an object can tell it before validation.
    pub(super) location: String,
}

/// A value as it is written.
#[derive(Debug, Default)]
pub(super) struct Literal {
    pub(super) kind: LiteralKind,
    pub(super) raw: String,
    /// Elements of a list, which have no names, or members of an object.
    pub(super) children: Vec<Member>,
    /// Only an object can tell it before validation.
    pub(super) expected_has_default: bool,
    pub(super) comment: Comment,
}

/// In the order of their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LiteralKind {
    #[default]
    Variable,
    Int,
    Float,
    String,
    Block,
    Boolean,
    Null,
    Enum,
    List,
    Object,
}

#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) value: Literal,
    pub(super) comment: Comment,
}

/// A type as it is referred to: one with a name, or a list.
#[derive(Debug, Default)]
pub(super) struct Type {
    /// Empty for a list.
    pub(super) named: String,
    pub(super) element: Option<Box<Self>>,
    pub(super) non_null: bool,
}

/// What a service offers.
#[derive(Debug, Default)]
pub(super) struct SchemaDocument {
    pub(super) schemas: Vec<SchemaDefinition>,
    pub(super) schema_extensions: Vec<SchemaDefinition>,
    pub(super) directives: Vec<DirectiveDefinition>,
    pub(super) definitions: Vec<Definition>,
    pub(super) extensions: Vec<Definition>,
    pub(super) comment: Comment,
}

/// The comments of a definition: before and after its description, and before its end.
#[derive(Debug, Default)]
pub(super) struct Comments {
    pub(super) before: Comment,
    pub(super) after: Comment,
    pub(super) end: Comment,
}

#[derive(Debug, Default)]
pub(super) struct SchemaDefinition {
    pub(super) description: String,
    pub(super) directives: Vec<Directive>,
    pub(super) roots: Vec<Root>,
    pub(super) comments: Comments,
}

/// The type an operation begins at.
#[derive(Debug, Default)]
pub(super) struct Root {
    pub(super) operation: OperationKind,
    pub(super) name: String,
    pub(super) comment: Comment,
}

/// A definition of a type, or an extension of one.
#[derive(Debug, Default)]
pub(super) struct Definition {
    pub(super) kind: DefinitionKind,
    pub(super) description: String,
    pub(super) name: String,
    pub(super) directives: Vec<Directive>,
    pub(super) interfaces: Vec<String>,
    pub(super) fields: Vec<FieldDefinition>,
    /// Members of a union.
    pub(super) types: Vec<String>,
    pub(super) values: Vec<EnumValue>,
    pub(super) built_in: bool,
    pub(super) comments: Comments,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum DefinitionKind {
    #[default]
    Scalar,
    Object,
    Interface,
    Union,
    Enum,
    InputObject,
}

/// A field of a type, or an argument of a field or directive.
#[derive(Debug, Default)]
pub(super) struct FieldDefinition {
    pub(super) description: String,
    pub(super) name: String,
    /// None of an argument.
    pub(super) arguments: Vec<Self>,
    pub(super) default: Option<Literal>,
    pub(super) kind: Type,
    pub(super) directives: Vec<Directive>,
    pub(super) comments: Comments,
}

#[derive(Debug, Default)]
pub(super) struct EnumValue {
    pub(super) description: String,
    pub(super) name: String,
    pub(super) directives: Vec<Directive>,
    pub(super) comments: Comments,
}

#[derive(Debug, Default)]
pub(super) struct DirectiveDefinition {
    pub(super) description: String,
    pub(super) name: String,
    pub(super) arguments: Vec<FieldDefinition>,
    pub(super) locations: Vec<String>,
    pub(super) repeatable: bool,
    pub(super) comments: Comments,
}

// === impl OperationKind ===

impl OperationKind {
    const NAMES: [(&'static str, Self); 3] = [
        ("query", Self::Query),
        ("mutation", Self::Mutation),
        ("subscription", Self::Subscription),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::NAMES.into_iter();
        all.find_map(|(known, kind)| (known == name).then_some(kind))
    }

    pub(super) fn name(self) -> &'static str {
        let mut all = Self::NAMES.into_iter();
        all.find_map(|(name, kind)| (kind == self).then_some(name))
            .unwrap_or_default()
    }
}

// === impl LiteralKind ===

impl LiteralKind {
    const ALL: [Self; 10] = [
        Self::Variable,
        Self::Int,
        Self::Float,
        Self::String,
        Self::Block,
        Self::Boolean,
        Self::Null,
        Self::Enum,
        Self::List,
        Self::Object,
    ];

    pub(super) fn numbered(number: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    pub(super) fn number(self) -> i64 {
        self as i64
    }
}

// === impl Type ===

impl Type {
    /// The name of the type, or of what a list holds.
    pub(super) fn name(&self) -> &str {
        let mut innermost = self;
        while let (true, Some(element)) = (innermost.named.is_empty(), &innermost.element) {
            innermost = element;
        }
        &innermost.named
    }

    /// Rule: whether a value of this type can be where `other` is wanted. What is never null can be
    /// where null may be, and not the other way round.
    pub(super) fn is_compatible(&self, other: &Self, other_non_null: bool) -> bool {
        let elements = match (&self.element, &other.element) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own.is_compatible(other, other.non_null),
        };
        self.named == other.named && elements && (self.non_null || !other_non_null)
    }
}

// === impl DefinitionKind ===

impl DefinitionKind {
    const NAMES: [(&'static str, Self); 6] = [
        ("SCALAR", Self::Scalar),
        ("OBJECT", Self::Object),
        ("INTERFACE", Self::Interface),
        ("UNION", Self::Union),
        ("ENUM", Self::Enum),
        ("INPUT_OBJECT", Self::InputObject),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::NAMES.into_iter();
        all.find_map(|(known, kind)| (known == name).then_some(kind))
    }

    /// Also the name of the place where directives on such a type stand.
    pub(super) fn name(self) -> &'static str {
        let mut all = Self::NAMES.into_iter();
        all.find_map(|(name, kind)| (kind == self).then_some(name))
            .unwrap_or_default()
    }

    pub(super) fn is_leaf(self) -> bool {
        matches!(self, Self::Scalar | Self::Enum)
    }

    pub(super) fn is_composite(self) -> bool {
        matches!(self, Self::Object | Self::Interface | Self::Union)
    }

    pub(super) fn is_input(self) -> bool {
        matches!(self, Self::Scalar | Self::Enum | Self::InputObject)
    }
}
