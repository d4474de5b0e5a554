//! Looking for cases files below the paths given, and for Rego tests, which are not run yet and
//! must not be taken for passed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ENDING, LoadError};
use crate::bundle::walk;

/// What is below the paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub cases: Vec<PathBuf>,
    /// Rego files with tests.
    pub rego_tests: Vec<PathBuf>,
}

/// Looks through files and folders, each file once.
pub fn find(paths: &[PathBuf]) -> Result<Found, LoadError> {
    let mut found = Found::default();
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let files = if path.is_dir() {
            walk(path)
        } else {
            Ok(vec![path.clone()])
        };
        let files = files.unwrap_or_else(|error| {
            errors.push(format!("{}: {error}", path.display()));
            Vec::new()
        });
        for file in files {
            let is_named = file == *path;
            match found.add(file, is_named, &mut seen) {
                Ok(()) => {}
                Err(why) => errors.push(why),
            }
        }
    }
    if errors.is_empty() {
        Ok(found)
    } else {
        Err(LoadError(errors))
    }
}

impl Found {
    /// `is_named`: the user gave this very file, so it must be of some use.
    fn add(
        &mut self,
        file: PathBuf,
        is_named: bool,
        seen: &mut BTreeSet<PathBuf>,
    ) -> Result<(), String> {
        let known = file.canonicalize();
        let known = known.map_err(|error| format!("{}: {error}", file.display()))?;
        if !seen.insert(known) {
            return Ok(());
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(ENDING) {
            self.cases.push(file);
        } else if name.ends_with("_test.rego") || (name.ends_with(".rego") && holds_tests(&file)) {
            self.rego_tests.push(file);
        } else if is_named {
            let file = file.display();
            return Err(format!(
                "{file}: is neither a folder nor a `*{ENDING}` file"
            ));
        }
        Ok(())
    }
}

/// Whether a Rego file has a rule that OPA would run as a test.
fn holds_tests(file: &Path) -> bool {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().any(|line| line.starts_with("test_"))
}
