//! Who may say what: every part of the document tree, of Rego or data, belongs to one file, bundle or push,
//! and nobody else adds to it. What is changed, and how, is left to the others.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::ActivationError;
use super::state::{Owner, State};
use crate::bundle::{Bundle, overlap};
use crate::policy::PolicyError;
use crate::policy::rego::RegoModule;

// === impl State ===

impl State {
    /// Refuses what says something where another has its part.
    pub(super) fn check_owners(&self) -> Result<(), ActivationError> {
        let packages = self.file_modules().filter_map(package);
        let of_files: Vec<_> = packages.map(|package| package.join("/")).collect();
        self.check_file_roots(&of_files)?;
        self.check_roots()?;
        self.check_pushed(&of_files)
    }

    /// Rule: what a file says in Rego or data is nobody else's to add to, neither inside of it nor around
    /// it: a rule's name may lead from a package into one inside.
    fn check_file_roots(&self, packages: &[String]) -> Result<(), ActivationError> {
        for bundle in self.foreign_bundles() {
            let touched = packages.iter().find(|path| bundle.manifest.touches(path));
            let in_data = || {
                let data = self.file_data();
                data.find_path(|path| bundle.manifest.touches(path))
            };
            if let Some(path) = touched.cloned().or_else(in_data) {
                return Err(in_file(&format!("data.{}", path.replace('/', "."))));
            }
        }
        Ok(())
    }

    /// Rule: the same for what is pushed by itself, which lies outside of the roots of bundles, too.
    fn check_pushed(&self, packages: &[String]) -> Result<(), ActivationError> {
        for module in self.pushed.policies.values() {
            if self.file_modules().any(|file| file.path == module.path) {
                return Err(in_file(&format!("policy `{}`", module.path)));
            }
            // One that has no package is left to the compiler, which refuses it and says why.
            let Some(package) = package(module) else {
                continue;
            };
            self.check_bundles(&package)?;
            let joined = package.join("/");
            if packages.iter().any(|of_file| overlap(of_file, &joined)) {
                return Err(in_file(&format!("data.{}", package.join("."))));
            }
        }
        let mut paths = self.pushed.documents.paths();
        paths.try_for_each(|path| self.check_path(path))
    }

    /// Refuses a path of a document that is somebody else's.
    pub(super) fn check_path(&self, path: &[String]) -> Result<(), ActivationError> {
        self.check_bundles(path)?;
        let data = self.file_data();
        if !data.meets(path) {
            return Ok(());
        }
        let first = || data.find_path(|_| true).unwrap_or_default();
        let shown = match path {
            [] => first(),
            path => path.join("."),
        };
        Err(in_file(&format!("data.{shown}")))
    }

    fn check_bundles(&self, path: &[String]) -> Result<(), ActivationError> {
        let joined = path.join("/");
        let owner = self
            .all_bundles()
            .find(|bundle| bundle.manifest.touches(&joined));
        let Some(bundle) = owner else { return Ok(()) };
        let name = &bundle.name;
        let owns_all = bundle.manifest.roots.iter().any(String::is_empty);
        Err(ActivationError::InBundle(match (owns_all, path) {
            (true, _) => format!("all paths owned by bundle \"{name}\""),
            (false, []) => "can't write to document root with bundle roots configured".to_owned(),
            (false, _) => format!("path {joined} is owned by bundle \"{name}\""),
        }))
    }

    /// Rule: no two bundles own the same part of the document tree. Texts are OPA's.
    fn check_roots(&self) -> Result<(), ActivationError> {
        let bundles: Vec<_> = self.all_bundles().collect();
        let (mut colliding, mut overlaps) = (BTreeSet::new(), BTreeSet::new());
        for (at, bundle) in bundles.iter().enumerate() {
            for other in bundles.iter().skip(at + 1) {
                for (root, other_root) in bundle.manifest.overlaps(&other.manifest) {
                    colliding.extend([bundle.name.as_str(), other.name.as_str()]);
                    overlaps.insert(overlap_text(root, other_root));
                }
            }
        }
        if colliding.is_empty() {
            return Ok(());
        }
        let owns_all = |bundle: &&&Bundle| bundle.manifest.roots.iter().any(String::is_empty);
        let owning_all: Vec<_> = bundles.iter().filter(owns_all).collect();
        let owning_all: Vec<_> = owning_all
            .iter()
            .map(|bundle| bundle.name.as_str())
            .collect();
        let message = match owning_all.is_empty() {
            false => format!(
                "bundles [{}] have overlapping roots and cannot be activated simultaneously \
                 because bundle(s) [{}] specify empty root paths ('') which overlap with any \
                 other bundle root",
                list(colliding),
                list(owning_all)
            ),
            true => format!(
                "detected overlapping roots in manifests for these bundles: [{}] ({})",
                list(colliding),
                list(overlaps)
            ),
        };
        Err(ActivationError::Invalid(vec![PolicyError::new(
            "bundle_error",
            message,
        )]))
    }
}

fn overlap_text(root: &str, other: &str) -> String {
    match root.cmp(other) {
        Ordering::Equal => format!("root {root} is in multiple bundles"),
        Ordering::Less => format!("{root} overlaps {other}"),
        Ordering::Greater => format!("{other} overlaps {root}"),
    }
}

fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    names.join(", ")
}

/// The package of a module, if it can be told.
fn package(module: &RegoModule) -> Option<Vec<String>> {
    module.package().map(|(package, _)| package)
}

pub(super) fn in_file(what: &str) -> ActivationError {
    ActivationError::Owned {
        what: what.to_owned(),
        owner: Owner::File,
    }
}
