//! Policy on disk: a folder as a bundle, or loose files and folders of policy as they are given on
//! the command line.

use std::io;
use std::path::{Path, PathBuf};

use super::{BundleError, BundleFile};
use crate::policy::rego::{Data, RegoModule};

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 32;

/// Policy out of files that belong to no bundle.
#[derive(Debug, Clone, Default)]
pub struct LooseFiles {
    pub modules: Vec<RegoModule>,
    pub data: Data,
    /// Path and text of YAML files, which hold native policies.
    pub documents: Vec<(String, String)>,
}

/// The files of a bundle folder. Hidden files but the manifest are left out.
pub(super) fn bundle_files(root: &Path) -> Result<Vec<BundleFile>, BundleError> {
    let mut files = Vec::new();
    for path in walk(root)? {
        let relative = path.strip_prefix(root).unwrap_or(&path);
        let relative = relative.to_string_lossy().replace('\\', "/");
        files.push(BundleFile {
            path: relative,
            bytes: std::fs::read(&path)?,
        });
    }
    Ok(files)
}

/// Reads files and folders: `.rego` is policy, `data.json` data, `.yaml` native policies. Data in
/// folders is at the root, as `opa run` has it for a path without prefix.
pub fn read_files(paths: &[PathBuf], v0: bool) -> Result<LooseFiles, (PathBuf, String)> {
    let mut loose = LooseFiles::default();
    for root in paths {
        let explain = |error: io::Error| (root.clone(), error.to_string());
        let files = if root.is_dir() {
            walk(root).map_err(explain)?
        } else {
            vec![root.clone()]
        };
        for path in files {
            add(&mut loose, root, &path, v0).map_err(|why| (path, why))?;
        }
    }
    Ok(loose)
}

fn add(loose: &mut LooseFiles, root: &Path, path: &Path, v0: bool) -> Result<(), String> {
    let read = || std::fs::read_to_string(path).map_err(|error| error.to_string());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let shown = path.display().to_string();
    if name.ends_with(".rego") {
        loose.modules.push(RegoModule {
            path: shown,
            text: read()?,
            v0,
        });
    } else if name == "data.json" {
        let relative = path
            .strip_prefix(root)
            .ok()
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        let folders: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let folders: Vec<&str> = folders.iter().map(AsRef::as_ref).collect();
        let data = Data::parse(&read()?)?.nested_under(&folders);
        loose.data.merge(data)?;
    } else if name.ends_with(".cases.yaml") {
        // Test cases of the policies beside them.
    } else if name.ends_with(".yaml") || name.ends_with(".yml") {
        loose.documents.push((shown, read()?));
    } else if path == root {
        return Err("is neither Rego, `data.json` nor YAML".to_owned());
    }
    Ok(())
}

/// Regular files below a folder in a fixed order.
fn walk(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let mut entries = std::fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.') && name != ".manifest";
            // Follows links: Kubernetes mounts files as links into a hidden folder.
            let path = entry.path();
            if hidden {
                continue;
            }
            if path.is_dir() {
                if depth >= MAX_DEPTH {
                    return Err(io::Error::other(format!(
                        "{} is nested too deep",
                        path.display()
                    )));
                }
                folders.push((path, depth + 1));
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
