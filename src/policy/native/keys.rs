//! Literal text that an attribute of a request must begin or end with, or be, for a rule to match:
//! what rules can be found by.

use super::authorization::{CompiledRule, Facts, Matcher, Test, is_odd_target};
use super::matcher::{PathPattern, Pattern, PrincipalPattern};
use crate::identity::SPIFFE_SCHEME;

/// Attributes that tell rules apart well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Attribute {
    Host,
    Path,
    Principal,
}

/// Literal text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Exact(String),
    Prefix(String),
    Suffix(String),
}

// === impl Attribute ===

impl Attribute {
    const ALL: [Self; 3] = [Self::Host, Self::Path, Self::Principal];

    /// Whether tests of these attributes hold by the attributes alone. Rule: on TCP those of HTTP are
    /// left out, and a target that is no path matches whatever denies.
    pub(super) fn all_hold(facts: &Facts<'_>) -> bool {
        let http = facts.attributes.http();
        http.is_some_and(|http| !is_odd_target(http))
    }

    /// Shows every value of the attribute, as keys are written.
    pub(super) fn values(self, facts: &Facts<'_>, mut show: impl FnMut(&[u8])) {
        let Some(http) = facts.attributes.http() else {
            return;
        };
        match self {
            // Rule: hosts compare without regard to case.
            Self::Host if http.host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                show(http.host.to_ascii_lowercase().as_bytes());
            }
            Self::Host => show(http.host.as_bytes()),
            Self::Path => show(facts.target.path().as_bytes()),
            Self::Principal => {
                let names = facts.peer.names();
                names
                    .filter_map(|name| name.strip_prefix(SPIFFE_SCHEME))
                    .for_each(|name| show(name.as_bytes()));
            }
        }
    }

    /// Keys of which a value has one if the test holds; `None` if a test holds without.
    fn keys(self, test: &Test) -> Option<Vec<Key>> {
        // What is negated holds for values that nobody wrote down.
        if test.negated {
            return None;
        }
        match (self, &test.matcher) {
            (Self::Host, Matcher::Host(values)) => {
                let keys = values.iter().map(Key::of_pattern);
                keys.map(|key| Some(key?.lower_case())).collect()
            }
            (Self::Path, Matcher::Path(values)) => values.iter().map(Key::of_path).collect(),
            (Self::Principal, Matcher::Principal(values)) => {
                values.iter().map(Key::of_principal).collect()
            }
            _ => None,
        }
    }
}

// === impl Key ===

impl Key {
    fn of_pattern(pattern: &Pattern) -> Option<Self> {
        match pattern {
            Pattern::Present => None,
            Pattern::Exact(text) => Some(Self::Exact(text.clone())),
            Pattern::Prefix(text) => Some(Self::Prefix(text.clone())),
            Pattern::Suffix(text) => Some(Self::Suffix(text.clone())),
        }
    }

    fn of_path(path: &PathPattern) -> Option<Self> {
        match path {
            PathPattern::Pattern(pattern) => Self::of_pattern(pattern),
            PathPattern::Template(template) => Some(Self::Prefix(template.literal_head())),
        }
    }

    /// Rule: every pattern but `*` needs the scheme, which keys leave out.
    fn of_principal(principal: &PrincipalPattern) -> Option<Self> {
        Self::of_pattern(principal.pattern())
    }

    fn lower_case(self) -> Self {
        match self {
            Self::Exact(text) => Self::Exact(text.to_ascii_lowercase()),
            Self::Prefix(text) => Self::Prefix(text.to_ascii_lowercase()),
            Self::Suffix(text) => Self::Suffix(text.to_ascii_lowercase()),
        }
    }
}

// === impl CompiledRule ===

impl CompiledRule {
    /// Attributes by which the rule can be found, each with its keys: the rule matches only requests
    /// that have one of them.
    pub(super) fn keys(&self) -> Vec<(Attribute, Vec<Key>)> {
        let keys = |attribute: Attribute| {
            let in_when = self.when.iter().find_map(|test| attribute.keys(test));
            let keys = in_when
                .or_else(|| in_each(&self.from, attribute))
                .or_else(|| in_each(&self.to, attribute));
            keys.map(|keys| (attribute, keys))
        };
        Attribute::ALL.into_iter().filter_map(keys).collect()
    }
}

/// Keys of all alternatives, if each has some.
fn in_each(alternatives: &[Vec<Test>], attribute: Attribute) -> Option<Vec<Key>> {
    if alternatives.is_empty() {
        return None;
    }
    let of = |tests: &Vec<Test>| tests.iter().find_map(|test| attribute.keys(test));
    let keys: Option<Vec<_>> = alternatives.iter().map(of).collect();
    keys.map(|keys| keys.into_iter().flatten().collect())
}
