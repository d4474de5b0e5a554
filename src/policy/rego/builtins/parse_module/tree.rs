//! The syntax tree of a module: as much as OPA's JSON shows of it. Variants stand in the order in
//! which OPA sorts, which is the order of a set's members and an object's keys.

use regorus::Value;

#[derive(Debug)]
pub(super) struct Module {
    pub(super) package: Vec<Term>,
    pub(super) imports: Vec<Import>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: Vec<Term>,
    pub(super) alias: Option<String>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) is_default: bool,
    pub(super) head: Head,
    pub(super) body: Vec<Expression>,
    pub(super) otherwise: Option<Box<Self>>,
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    /// Only of heads that older versions knew.
    pub(super) name: Option<String>,
    pub(super) reference: Vec<Term>,
    pub(super) arguments: Vec<Term>,
    pub(super) key: Option<Term>,
    pub(super) value: Option<Term>,
    pub(super) assigns: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expression {
    pub(super) terms: Terms,
    pub(super) is_negated: bool,
    pub(super) with: Vec<With>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Terms {
    Some(Vec<Term>),
    Single(Term),
    /// An operator and its operands.
    Call(Vec<Term>),
    Every(Box<Every>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Every {
    pub(super) key: Option<Term>,
    pub(super) value: Term,
    pub(super) domain: Term,
    pub(super) body: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct With {
    pub(super) target: Term,
    pub(super) value: Term,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Term {
    Null,
    Boolean(bool),
    Number(Value),
    String(String),
    Var(String),
    Ref(Vec<Self>),
    Array(Vec<Self>),
    /// In order of keys, each once.
    Object(Vec<(Self, Self)>),
    /// In order, each once.
    Set(Vec<Self>),
    ArrayComprehension(Box<Self>, Vec<Expression>),
    ObjectComprehension(Box<(Self, Self)>, Vec<Expression>),
    SetComprehension(Box<Self>, Vec<Expression>),
    /// An operator and its operands.
    Call(Vec<Self>),
}

// === impl Expression ===

impl Expression {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            is_negated: false,
            with: Vec::new(),
        }
    }

    /// The body of a rule that is written without one.
    pub(super) fn always() -> Vec<Self> {
        vec![Self::new(Terms::Single(Term::Boolean(true)))]
    }
}

// === impl Term ===

impl Term {
    /// A reference to an operator: `eq`, `internal.member_2`.
    pub(super) fn operator(name: &str) -> Self {
        let mut parts = name.split('.');
        let first = parts.next().map(|name| Self::Var(name.to_owned()));
        let rest = parts.map(|name| Self::String(name.to_owned()));
        Self::Ref(first.into_iter().chain(rest).collect())
    }

    pub(super) fn set(mut items: Vec<Self>) -> Self {
        items.sort();
        items.dedup();
        Self::Set(items)
    }

    /// Rule: of a key that comes again, the last value holds.
    pub(super) fn object(mut members: Vec<(Self, Self)>) -> Self {
        members.reverse();
        members.sort_by(|one, other| one.0.cmp(&other.0));
        members.dedup_by(|later, kept| later.0 == kept.0);
        Self::Object(members)
    }

    /// Whether there is no variable in it, a reference's first part aside.
    pub(super) fn is_ground(&self) -> bool {
        let all = |terms: &[Self]| terms.iter().all(Self::is_ground);
        match self {
            Self::Null | Self::Boolean(_) | Self::Number(_) | Self::String(_) => true,
            Self::Ref(parts) => all(parts.get(1..).unwrap_or_default()),
            Self::Array(terms) | Self::Set(terms) | Self::Call(terms) => all(terms),
            Self::Object(members) => members
                .iter()
                .all(|(key, value)| key.is_ground() && value.is_ground()),
            Self::Var(_)
            | Self::ArrayComprehension(..)
            | Self::ObjectComprehension(..)
            | Self::SetComprehension(..) => false,
        }
    }

    /// Rule: a default value holds no reference, variable or call, but in comprehensions.
    pub(super) fn is_constant(&self) -> bool {
        match self {
            Self::Var(_) | Self::Ref(_) | Self::Call(_) => false,
            Self::Array(terms) | Self::Set(terms) => terms.iter().all(Self::is_constant),
            Self::Object(members) => members
                .iter()
                .all(|(key, value)| key.is_constant() && value.is_constant()),
            _ => true,
        }
    }
}
