//! `.manifest`: what a bundle is called, which part of the document tree it owns, and in which
//! version of Rego it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::yaml::Problem;

/// The manifest of a bundle. Unknown members are left alone, as OPA does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    #[serde(deserialize_with = "or_default")]
    pub revision: String,
    /// Slash-separated paths; `""` owns everything.
    #[serde(deserialize_with = "roots")]
    pub roots: Vec<String>,
    /// Entrypoints that are there as Wasm, which is not evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rego_version: Option<u8>,
    /// By path or glob with a leading slash.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub file_rego_versions: BTreeMap<String, u8>,
    /// Whatever those who built it want to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// `null` is as good as nothing.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn roots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let roots = Option::deserialize(deserializer)?;
    Ok(roots.unwrap_or_else(|| vec![String::new()]))
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            revision: String::new(),
            roots: vec![String::new()],
            wasm: None,
            rego_version: None,
            file_rego_versions: BTreeMap::new(),
            metadata: None,
        }
    }
}

impl Manifest {
    pub(super) fn parse(json: &str) -> Result<Self, Problem> {
        let mut manifest: Self =
            serde_json::from_str(json).map_err(|error| Problem::from_json(&error))?;
        for root in &mut manifest.roots {
            *root = root.trim_matches('/').to_owned();
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Problem> {
        let problem = |message: String| Problem {
            mark: None,
            path: String::new(),
            message,
        };
        for (at, root) in self.roots.iter().enumerate() {
            let other = self
                .roots
                .iter()
                .skip(at + 1)
                .find(|other| overlap(root, other));
            if let Some(other) = other {
                return Err(problem(format!(
                    "manifest has overlapped roots: '{root}' and '{other}'"
                )));
            }
        }
        let versions = self
            .rego_version
            .iter()
            .chain(self.file_rego_versions.values());
        match versions.into_iter().find(|version| **version > 1) {
            Some(version) => Err(problem(format!(
                "rego_version {version} is neither 0 nor 1"
            ))),
            None => Ok(()),
        }
    }

    /// Paths of rules that are there as Wasm.
    pub(super) fn wasm_entrypoints(&self) -> impl Iterator<Item = &str> {
        let resolvers = self.wasm.iter().filter_map(Value::as_array).flatten();
        resolvers.filter_map(|resolver| resolver.get("entrypoint")?.as_str())
    }

    /// Whether a document path lies under one of the roots.
    pub fn owns(&self, path: &str) -> bool {
        self.roots.iter().any(|root| covers(root, path))
    }

    /// Whether a document path lies under one of the roots, or one of them under it.
    pub fn touches(&self, path: &str) -> bool {
        self.roots.iter().any(|root| overlap(root, path))
    }

    /// The pairs of roots by which two bundles would own the same documents.
    pub fn overlaps<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self
            .roots
            .iter()
            .flat_map(|root| other.roots.iter().map(move |other| (root, other)));
        pairs
            .map(|(root, other)| (root.as_str(), other.as_str()))
            .filter(|(root, other)| overlap(root, other))
    }

    /// Whether a file is in version 0, if that is told. Rule: an exact path first, then globs, then the
    /// bundle's version.
    pub(super) fn is_v0(&self, path: &str) -> Option<bool> {
        let path = format!("/{path}");
        let exact = self.file_rego_versions.get(&path);
        let globbed = || {
            let matching = self
                .file_rego_versions
                .iter()
                .find(|(glob, _)| glob_matches(glob, &path));
            matching.map(|(_, version)| version)
        };
        let version = exact.or_else(globbed).or(self.rego_version.as_ref());
        version.map(|version| *version == 0)
    }
}

/// A list as Go prints it.
pub(super) fn go_list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(AsRef::as_ref).collect();
    format!("[{}]", items.join(" "))
}

fn covers(root: &str, path: &str) -> bool {
    root.is_empty()
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether one of two paths lies within the other.
pub fn overlap(left: &str, right: &str) -> bool {
    covers(left, right) || covers(right, left)
}

/// Stars stand for anything inside one segment.
pub fn glob_matches(glob: &str, path: &str) -> bool {
    let (mut globs, mut parts) = (glob.split('/'), path.split('/'));
    loop {
        match (globs.next(), parts.next()) {
            (None, None) => return true,
            (Some(glob), Some(part)) if segment_matches(glob, part) => {}
            _ => return false,
        }
    }
}

/// The leftmost place for each piece between two stars leaves most to the rest, so that taking it
/// finds a match if there is one, in one pass.
fn segment_matches(glob: &str, part: &str) -> bool {
    let Some((first, pieces)) = glob.split_once('*') else {
        return glob == part;
    };
    let (between, last) = pieces.rsplit_once('*').unwrap_or(("", pieces));
    let rest = part.strip_prefix(first);
    let Some(mut rest) = rest.and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    between
        .split('*')
        .all(|piece| match rest.split_once(piece) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}
