//! Looking for cases files below the paths given.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ENDING, LoadError};
use crate::bundle::walk;

/// Looks through files and folders, each file once.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LoadError> {
    let mut cases = Vec::new();
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
            match is_cases(&file, is_named, &mut seen) {
                Ok(true) => cases.push(file),
                Ok(false) => {}
                Err(why) => errors.push(why),
            }
        }
    }
    if errors.is_empty() {
        Ok(cases)
    } else {
        Err(LoadError(errors))
    }
}

/// `is_named`: the user gave this very file, so it must be of some use.
fn is_cases(file: &Path, is_named: bool, seen: &mut BTreeSet<PathBuf>) -> Result<bool, String> {
    let known = file.canonicalize();
    let known = known.map_err(|error| format!("{}: {error}", file.display()))?;
    if !seen.insert(known) {
        return Ok(false);
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_for_rego = ["data.json", "data.yaml", "data.yml"].contains(&&*name)
        || [".rego", ".tar.gz"]
            .iter()
            .any(|ending| name.ends_with(ending));
    if name.ends_with(ENDING) {
        Ok(true)
    } else if is_named && !is_for_rego {
        let file = file.display();
        Err(format!(
            "{file}: is neither a folder nor Rego, data, a bundle or a `*{ENDING}` file"
        ))
    } else {
        Ok(false)
    }
}
