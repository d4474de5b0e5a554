//! Names that tell what others stand for: those of rules and imports, by package, over all modules. What
//! is made of them is left to the steps of lowering.

use std::collections::{BTreeMap, BTreeSet};

use super::keywords::Statements;
use super::metadata::{self, Annotations};
use super::template;

/// Names by package.
type ByPackage = BTreeMap<String, BTreeSet<String>>;

/// Names of rules and of imports, over all modules; and what their comments say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::policy::rego) struct Names {
    rules: ByPackage,
    imports: ByPackage,
    annotations: Annotations,
}

/// What one module adds to the names of all.
#[derive(Debug, PartialEq)]
pub(in crate::policy::rego) struct OwnNames {
    /// Its parts joined by dots.
    package: String,
    rules: BTreeSet<String>,
    imports: BTreeSet<String>,
    /// Whether it asks for what comments say.
    asks: bool,
}

// === impl Names ===

impl Names {
    /// Of modules alone.
    pub(in crate::policy::rego) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let texts: Vec<_> = texts.collect();
        let own: Vec<_> = texts.iter().map(|text| OwnNames::of(text)).collect();
        Self::of_all(&texts, own.iter())
    }

    /// Of all modules, each of whose own are known.
    pub(in crate::policy::rego) fn of_all<'a>(
        texts: &[&str],
        own: impl Iterator<Item = &'a OwnNames>,
    ) -> Self {
        let mut names = Self::default();
        let mut are_asked = false;
        for module in own {
            let imports = names.imports.entry(module.package.clone()).or_default();
            imports.extend(module.imports.iter().cloned());
            let rules = names.rules.entry(module.package.clone()).or_default();
            rules.extend(module.rules.iter().cloned());
            are_asked |= module.asks;
        }
        if are_asked {
            names.annotations = Annotations::of(texts);
        }
        names
    }

    /// All that matters for one module: those of its package, and of packages inside of it, to which its
    /// rules may be moved.
    pub(in crate::policy::rego) fn within(&self, module: &OwnNames) -> Self {
        let package = &module.package;
        let inside = |all: &ByPackage| {
            let from = all.range(package.clone()..);
            let same = from.take_while(|(name, _)| name.starts_with(package.as_str()));
            let inside = same.filter(|(name, _)| {
                let rest = name.strip_prefix(package.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            let inside = inside.map(|(name, names)| (name.clone(), names.clone()));
            inside.collect()
        };
        Self {
            rules: inside(&self.rules),
            imports: inside(&self.imports),
            annotations: match module.asks {
                true => self.annotations.clone(),
                false => Annotations::default(),
            },
        }
    }

    pub(super) fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// Names of the rules of a package.
    pub(super) fn of_package(&self, package: &str) -> impl Iterator<Item = String> {
        let names = self.rules.get(package).into_iter().flatten();
        names.cloned()
    }

    /// Whether any module imports anything.
    pub(super) fn has_imports(&self) -> bool {
        self.imports.values().any(|names| !names.is_empty())
    }

    /// Names of the imports of all modules of a package.
    pub(super) fn imported_in(&self, package: &str) -> impl Iterator<Item = String> {
        let names = self.imports.get(package).into_iter().flatten();
        names.cloned()
    }
}

// === impl OwnNames ===

impl OwnNames {
    pub(in crate::policy::rego) fn of(text: &str) -> Self {
        let text = super::without_mark(text);
        let lowered = template::lower(text);
        let statements = Statements::of(lowered.as_ref().map_or(text, |map| &map.lowered));
        Self {
            package: statements.package_name(),
            rules: statements.rule_names().map(str::to_owned).collect(),
            imports: statements.import_names().map(str::to_owned).collect(),
            asks: metadata::asks(text),
        }
    }
}
