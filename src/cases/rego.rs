//! Rego tests below the paths given, and all that they are about: every Rego file and data document
//! there, compiled as one. Running them is left to `policy`, telling what came of them to the command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LoadError;
use crate::bundle::{Bundle, BundleSettings, read_files};
use crate::policy::PolicyError;
use crate::policy::rego::{Data, RegoModule, RegoTests};

/// How Rego is read and run.
#[derive(Debug, Clone)]
pub struct RegoOptions {
    /// Each path is a bundle.
    pub bundle: bool,
    /// Files are in language version 0, unless a manifest says otherwise.
    pub v0: bool,
    /// Longest a test may take.
    pub timeout: Duration,
    /// What tests reach is seen.
    pub coverage: bool,
}

/// Compiles the tests below paths; `None` if there is none.
pub fn load_rego(paths: &[PathBuf], options: &RegoOptions) -> Result<Option<RegoTests>, LoadError> {
    let is_bundle = |path: &PathBuf| options.bundle || path.to_string_lossy().ends_with(".tar.gz");
    let (bundles, loose): (Vec<PathBuf>, _) = paths.iter().cloned().partition(is_bundle);
    let (loose, mut errors) = read_files(&loose, options.v0);
    let mut source = Source {
        modules: loose.modules,
        data: loose.data,
    };
    for path in bundles {
        if let Err(error) = source.add_bundle(&path, options.v0) {
            errors.push(error);
        }
    }
    // Files without tests may not fit together, and need not.
    if errors.is_empty() && !RegoTests::are_in(&source.modules) {
        return Ok(None);
    }
    if !errors.is_empty() {
        return Err(LoadError(errors.iter().map(ToString::to_string).collect()));
    }
    let Source { modules, data } = source;
    let compiled = RegoTests::compile(&modules, data, options.timeout, options.coverage);
    let lines = |errors: Vec<_>| LoadError(errors.iter().map(ToString::to_string).collect());
    compiled.map(Some).map_err(lines)
}

struct Source {
    modules: Vec<RegoModule>,
    data: Data,
}

impl Source {
    fn add_bundle(&mut self, path: &Path, v0: bool) -> Result<(), PolicyError> {
        // Named by its path, so that places of tests and errors are those of files.
        let name = path.to_string_lossy();
        let name = name.trim_end_matches('/');
        let settings = BundleSettings {
            v0,
            ..BundleSettings::default()
        };
        let bundle = Bundle::from_path(name, path, &settings);
        let bundle = bundle.map_err(|error| error.into_policy_error(name))?;
        self.modules.extend(bundle.modules);
        let merged = self.data.merge(bundle.data);
        merged.map_err(|why| PolicyError::new("bundle_error", format!("{name}: {why}")))
    }
}
