//! Policy of files alone, with no store and no server: for commands that want to look at what
//! `serve` would load, or to compile it with a part left out.

use std::sync::Arc;

use super::state::State;
use super::{ActivationError, ActivationSettings, FileSources, compile, load, test_files};
use crate::bundle::BundleSettings;
use crate::policy::resource::{Resource, ResourceId};
use crate::policy::{PolicyError, PolicySet};
use crate::store::Stored;

/// What files hold, read and not yet compiled.
#[derive(Debug, Clone)]
pub struct FilePolicies(State);

/// What files hold.
#[derive(Debug)]
pub struct Checked {
    pub resources: usize,
    /// Rego files that belong to no bundle.
    pub modules: usize,
    pub bundles: usize,
    /// Whether any Rego calls what reaches outside.
    pub asks_others: bool,
    pub warnings: Vec<PolicyError>,
}

/// Loads files as a start would, and says how much there is.
pub fn check_files(
    files: &FileSources,
    settings: &ActivationSettings,
) -> Result<Checked, ActivationError> {
    let files = FilePolicies::load(files, &settings.bundles)?;
    let policies = files.compile(settings)?;
    files.test(settings)?;
    let warnings = policies.warnings.into_iter().map(|warning| warning.problem);
    Ok(Checked {
        resources: policies.native.len(),
        modules: files.modules(),
        bundles: files.bundles(),
        asks_others: policies.rego.is_some_and(|rego| rego.asks_others()),
        warnings: files.bundle_warnings().chain(warnings).collect(),
    })
}

impl FilePolicies {
    /// Reads files as a start would.
    pub fn load(files: &FileSources, settings: &BundleSettings) -> Result<Self, ActivationError> {
        load(files, Stored::default(), settings).map(Self)
    }

    /// Compiles everything as a start would.
    pub fn compile(&self, settings: &ActivationSettings) -> Result<PolicySet, ActivationError> {
        compile(&self.0, settings)
    }

    /// Runs the tests that a start would run.
    pub fn test(&self, settings: &ActivationSettings) -> Result<(), ActivationError> {
        test_files(&self.0, settings)
    }

    /// The native objects.
    pub fn objects(&self) -> Vec<Arc<Resource>> {
        let objects = self.0.resources().into_iter();
        objects.map(|(object, _)| object).collect()
    }

    /// The same without one object.
    pub fn without(&self, id: &ResourceId) -> Self {
        let mut state = self.0.clone();
        state.leave_out(id);
        Self(state)
    }

    /// How many Rego files there are that belong to no bundle.
    pub fn modules(&self) -> usize {
        self.0.loose_modules()
    }

    /// What of the bundles has no effect.
    pub(super) fn bundle_warnings(&self) -> impl Iterator<Item = PolicyError> {
        self.0.bundle_warnings().cloned()
    }

    /// How many bundles there are.
    pub fn bundles(&self) -> usize {
        self.0.bundle_status().len()
    }
}
