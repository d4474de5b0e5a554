//! What callers may do: roles, a closed set, and the scope that a caller's changes are kept to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::management::path::DocumentPath;

/// Most entries of one scope.
const MAX_AREAS: usize = 64;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// List and read policy, ask for decisions by hand.
    PoliciesRead,
    /// Ask for decisions as applications do.
    AccessEvaluate,
    /// Change policy within the scope.
    PoliciesWrite,
    /// Change data documents within the scope.
    DataWrite,
    /// Read the decision log.
    LogsRead,
    /// Metrics and status.
    MetricsRead,
    /// Everything.
    Admin,
}

/// A part of policy that changes can be kept to: `bundles/NAME`, `resources/NAMESPACE` or `data/PATH`,
/// the name with `*` at its end for all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    kind: AreaKind,
    name: String,
    is_prefix: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AreaKind {
    /// By name.
    Bundles,
    /// By namespace.
    Resources,
    /// By path, with all that lies below.
    Data,
}

/// What access was granted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::management) struct Grants {
    roles: Vec<Role>,
    /// `None` is all of it.
    scope: Option<Vec<Area>>,
}

/// Roles and scope that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    #[error(
        "`{0}` is no role: there are policies:read, access:evaluate, policies:write, data:write, logs:read, metrics:read and admin"
    )]
    Role(String),
    #[error("without roles nothing is permitted")]
    NoRoles,
    #[error(
        "`{0}` is none of `bundles/NAME`, `resources/NAMESPACE` and `data/PATH`, with at most one `*`, at the end"
    )]
    Area(String),
    #[error("an empty scope permits nothing; leave it out for all of policy")]
    EmptyScope,
    #[error("a scope has {MAX_AREAS} entries at most")]
    LargeScope,
    #[error(
        "a scope limits `policies:write` and `data:write`: it goes neither with `admin` nor without these"
    )]
    UselessScope,
}

// === impl Role ===

impl Role {
    pub const ALL: [Self; 7] = [
        Self::PoliciesRead,
        Self::AccessEvaluate,
        Self::PoliciesWrite,
        Self::DataWrite,
        Self::LogsRead,
        Self::MetricsRead,
        Self::Admin,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::PoliciesRead => "policies:read",
            Self::AccessEvaluate => "access:evaluate",
            Self::PoliciesWrite => "policies:write",
            Self::DataWrite => "data:write",
            Self::LogsRead => "logs:read",
            Self::MetricsRead => "metrics:read",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let known = Self::ALL.into_iter().find(|role| role.name() == text);
        known.ok_or_else(|| GrantError::Role(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

// === impl Area ===

impl Area {
    fn covers(&self, kind: AreaKind, name: &str) -> bool {
        self.kind == kind
            && match self.is_prefix {
                true => name.starts_with(&self.name),
                false => name == self.name,
            }
    }
}

impl Area {
    /// Rule: a path covers all that lies below; with a star, its last segment is the beginning of one.
    fn covers_path(&self, path: &[String]) -> bool {
        let parts: Vec<_> = self.name.split('/').collect();
        let Some((last, parents)) = parts.split_last() else {
            return false;
        };
        let begins =
            parents.len() < path.len() && parents.iter().zip(path).all(|(one, other)| one == other);
        let here = path.get(parents.len());
        self.kind == AreaKind::Data
            && begins
            && here.is_some_and(|here| match self.is_prefix {
                true => here.starts_with(last),
                false => here == last,
            })
    }
}

impl FromStr for Area {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let wrong = || GrantError::Area(text.to_owned());
        let (kind, name) = match text.split_once('/') {
            Some(("bundles", name)) => (AreaKind::Bundles, name),
            Some(("resources", name)) => (AreaKind::Resources, name),
            Some(("data", path)) => (AreaKind::Data, path.trim_matches('/')),
            _ => return Err(wrong()),
        };
        let (name, is_prefix) = match name.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (name, false),
        };
        let has_slash = kind != AreaKind::Data && name.contains('/');
        let is_name = !has_slash && !name.contains('*') && (is_prefix || !name.is_empty());
        is_name
            .then(|| Self {
                kind,
                name: name.to_owned(),
                is_prefix,
            })
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Area {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            AreaKind::Bundles => "bundles",
            AreaKind::Resources => "resources",
            AreaKind::Data => "data",
        };
        let star = if self.is_prefix { "*" } else { "" };
        write!(formatter, "{kind}/{}{star}", self.name)
    }
}

/// Both are written as text.
macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_text!(Role, Area);

// === impl Grants ===

impl Grants {
    pub(super) fn new(roles: Vec<Role>, scope: Option<Vec<Area>>) -> Result<Self, GrantError> {
        if roles.is_empty() {
            return Err(GrantError::NoRoles);
        }
        if let Some(scope) = &scope {
            let writes = [Role::PoliciesWrite, Role::DataWrite];
            if roles.contains(&Role::Admin) || !writes.iter().any(|role| roles.contains(role)) {
                return Err(GrantError::UselessScope);
            }
            match scope.len() {
                0 => return Err(GrantError::EmptyScope),
                1..=MAX_AREAS => {}
                _ => return Err(GrantError::LargeScope),
            }
        }
        Ok(Self { roles, scope })
    }

    /// As a token claims them: there may be no role at all, and a scope that covers nothing.
    pub(super) fn claimed(roles: Vec<Role>, scope: Option<Vec<Area>>) -> Self {
        Self { roles, scope }
    }

    /// May do everything.
    pub(super) fn admin() -> Self {
        Self {
            roles: vec![Role::Admin],
            scope: None,
        }
    }

    pub(super) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role) || self.roles.contains(&Role::Admin)
    }

    /// Whether changes may be made to this part of policy.
    pub(in crate::management) fn covers(&self, kind: AreaKind, name: &str) -> bool {
        let scope = self.scope.as_ref();
        scope.is_none_or(|areas| areas.iter().any(|area| area.covers(kind, name)))
    }

    /// Whether changes may be made to a document.
    pub(super) fn covers_data(&self, document: &DocumentPath) -> bool {
        let Some(scope) = &self.scope else {
            return true;
        };
        let DocumentPath(path) = document;
        // A slash within a segment would be taken for one between two.
        let has_slash = path.iter().any(|segment| segment.contains('/'));
        !has_slash && scope.iter().any(|area| area.covers_path(path))
    }

    /// Whether changes may be made to all of policy.
    pub(in crate::management) fn covers_all(&self) -> bool {
        self.scope.is_none()
    }
}
