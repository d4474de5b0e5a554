//! Policy on disk: a folder as a bundle, or loose files and folders of policy as they are given on
//! the command line.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{BundleError, BundleFile, SIGNATURES};
use crate::policy::PolicyError;
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

/// The files of a bundle folder. Hidden files are left out, but for
/// manifest and signature.
pub(super) fn bundle_files(root: &Path) -> Result<Vec<BundleFile>, BundleError> {
    let mut files = Vec::new();
    for path in walk(root)? {
        let relative = path.strip_prefix(root).unwrap_or(&path);
        let relative = relative.to_string_lossy().replace('\\', "/");
        files.push(BundleFile {
            path: relative,
            bytes: read_regular(&path)?,
        });
    }
    Ok(files)
}

/// Reads files and folders: `.rego` is policy, `data.json` and `data.yaml` are data at the place
/// their folder gives them, other YAML holds native policies. Goes on after a file that cannot be
/// read, and tells all of them.
pub fn read_files(paths: &[PathBuf], v0: bool) -> (LooseFiles, Vec<PolicyError>) {
    let mut loose = LooseFiles::default();
    let mut errors = Vec::new();
    for root in paths {
        let files = if root.is_dir() {
            walk(root)
        } else {
            Ok(vec![root.clone()])
        };
        match files {
            // Rule: a folder that was meant to be empty would not be named.
            Ok(files) if root.is_dir() && !files.iter().any(|file| is_policy_file(file)) => {
                errors.push(unreadable(root, &no_policy()));
            }
            Ok(files) => {
                let added = files
                    .iter()
                    .map(|path| (path, add(&mut loose, root, path, v0)));
                errors.extend(added.filter_map(|(path, added)| {
                    let error = added.err()?;
                    Some(error.located(|_| path.display().to_string()))
                }));
            }
            Err(error) => errors.push(unreadable(root, &error)),
        }
    }
    (loose, errors)
}

/// Reads a file. Reading a pipe or a device might never end.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    match path.metadata()?.is_file() {
        true => std::fs::read(path),
        false => Err(io::Error::other("is not a regular file")),
    }
}

/// Whether a file of a folder has a say in what is decided, by its name.
pub fn is_policy_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
    name == "data.json" || name.ends_with(".rego") || is_yaml && !name.ends_with(".cases.yaml")
}

/// What is most likely a volume that is not there.
pub(super) fn no_policy() -> io::Error {
    io::Error::other("the folder holds no policy: is its volume mounted?")
}

fn unreadable(path: &Path, error: &io::Error) -> PolicyError {
    PolicyError::new("file_error", format!("{}: {error}", path.display()))
}

fn add(loose: &mut LooseFiles, root: &Path, path: &Path, v0: bool) -> Result<(), BundleError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let read = || -> Result<BundleFile, BundleError> {
        let path_and = |error: io::Error| BundleError::Entry {
            path: path.display().to_string(),
            why: format!("cannot be read: {error}"),
        };
        Ok(BundleFile {
            path: path.display().to_string(),
            bytes: read_regular(path).map_err(path_and)?,
        })
    };
    match &*name {
        "data.json" | "data.yaml" | "data.yml" => {
            let file = read()?;
            let folder = path
                .strip_prefix(root)
                .ok()
                .and_then(Path::parent)
                .unwrap_or(Path::new(""));
            let data = super::read_data(&file, &folder.to_string_lossy(), &name)?;
            loose
                .data
                .merge(data)
                .map_err(|why| super::entry(&file, why))
        }
        name if name.ends_with(".rego") => {
            let file = read()?;
            let text = super::text(&file)?;
            loose.modules.push(RegoModule {
                path: file.path,
                text,
                v0,
            });
            Ok(())
        }
        // Test cases of the policies beside them.
        name if name.ends_with(".cases.yaml") => Ok(()),
        name if name.ends_with(".yaml") || name.ends_with(".yml") => {
            let file = read()?;
            let text = super::text(&file)?;
            loose.documents.push((file.path, text));
            Ok(())
        }
        // Rule: what it is for cannot be told, since it may be a folder of a volume that is gone.
        _ if path != root && path.is_symlink() && !path.exists() => Err(BundleError::Entry {
            path: path.display().to_string(),
            why: "is a link that leads nowhere".to_owned(),
        }),
        _ if path == root => Err(BundleError::Entry {
            path: path.display().to_string(),
            why: match path.exists() {
                true => "is neither Rego, data nor YAML".to_owned(),
                false => "does not exist".to_owned(),
            },
        }),
        _ => Ok(()),
    }
}

/// What lies below a folder.
#[derive(Debug, Default)]
pub struct Tree {
    /// Whatever is no folder, in a fixed order.
    pub files: Vec<PathBuf>,
    /// The folder itself as well.
    pub folders: Vec<PathBuf>,
}

/// The files below a folder in a fixed order, hidden ones left out.
pub fn walk(root: &Path) -> io::Result<Vec<PathBuf>> {
    tree(root).map(|tree| tree.files)
}

/// All below a folder, hidden files and folders left out.
pub fn tree(root: &Path) -> io::Result<Tree> {
    let mut found = Tree::default();
    let mut folders = vec![(root.to_owned(), 0)];
    let mut seen = HashSet::new();
    while let Some((folder, depth)) = folders.pop() {
        // Links may lead in circles.
        if !seen.insert(folder.canonicalize()?) {
            continue;
        }
        let mut entries = std::fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.')
                && name != ".manifest"
                && name != SIGNATURES;
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
                found.files.push(path);
            }
        }
        found.folders.push(folder);
    }
    found.files.sort();
    Ok(found)
}
