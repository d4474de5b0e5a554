//! What files of policy look like without being read: which there are, and what the file system knows
//! of each. Tells whether they may have changed, and a change that nobody means. What is in them is
//! left to `load`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::FileSources;
use crate::bundle::{Tree, is_policy_file, tree};

/// A file changed this recently may change again without looking different: file systems count time in
/// steps of up to two seconds.
const SETTLED_AFTER_SECS: u64 = 2;

/// The files of all sources, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<Source>);

/// A file, or a folder with all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    root: PathBuf,
    files: BTreeMap<PathBuf, Seen>,
    folders: BTreeSet<PathBuf>,
    /// Why the folder could not be walked.
    error: Option<String>,
}

/// What is known of a file without reading it, links followed. That is enough for a replaced link, as
/// Kubernetes makes it: another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    File {
        device: u64,
        inode: u64,
        bytes: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// A pipe, a device: reading it might never end.
    Other,
    Missing,
}

// === impl Fingerprint ===

impl Fingerprint {
    pub(super) fn of(sources: &FileSources) -> Self {
        let bundles = sources.bundles.iter().map(|(_, path)| path);
        let roots = sources.paths.iter().chain(bundles);
        Self(roots.map(|root| Source::of(root)).collect())
    }

    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each further change will be seen. Asked right after the look.
    pub(super) fn is_settled(&self) -> bool {
        let now = jiff::Timestamp::now().as_second();
        let mut files = self.0.iter().flat_map(|source| source.files.values());
        files.all(|seen| match seen {
            Seen::File { changed, .. } => now.abs_diff(changed.0) > SETTLED_AFTER_SECS,
            Seen::Other | Seen::Missing => true,
        })
    }

    /// Why this must not replace what was loaded, whatever is in the files. Rule: policy ends by a file
    /// that says so, not because a volume is gone or a disk was full.
    pub(super) fn objection(&self, loaded: &Self) -> Option<String> {
        let mut pairs = self.0.iter().zip(&loaded.0);
        pairs.find_map(|(now, then)| now.objection(then))
    }
}

impl Source {
    fn of(root: &Path) -> Self {
        let found = match root.is_dir() {
            true => tree(root),
            false => Ok(Tree {
                files: vec![root.to_owned()],
                folders: Vec::new(),
            }),
        };
        let (found, error) = match found {
            Ok(found) => (found, None),
            Err(error) => (Tree::default(), Some(error.to_string())),
        };
        let seen = found.files.into_iter().map(|path| {
            let seen = Seen::of(&path);
            (path, seen)
        });
        Self {
            root: root.to_owned(),
            files: seen.collect(),
            folders: found.folders.into_iter().collect(),
            error,
        }
    }

    fn objection(&self, then: &Self) -> Option<String> {
        let root = self.root.display();
        if let Some(error) = &self.error {
            return Some(format!("{root} cannot be read: {error}"));
        }
        let emptied = |place: &Path| {
            let place = place.display();
            Some(format!("{place} held policy and holds none any more"))
        };
        if then.holds_policy() && !self.holds_policy() {
            return emptied(&self.root);
        }
        // Rule: a folder that was removed is meant to be gone. One that is still there may be where a
        // volume was mounted.
        let holding = self.folders_with_policy();
        let lost = |folder: &&&Path| self.folders.contains(**folder) && !holding.contains(**folder);
        if let Some(folder) = then.folders_with_policy().iter().find(lost) {
            return emptied(folder);
        }
        let was_filled = |path| matches!(then.files.get(path), Some(seen) if seen.is_filled());
        self.policy_files().find_map(|(path, seen)| match seen {
            Seen::Other => Some(format!("{} is not a regular file", path.display())),
            Seen::File { bytes: 0, .. } if was_filled(path) => {
                Some(format!("{} is empty, and was not", path.display()))
            }
            Seen::File { .. } | Seen::Missing => None,
        })
    }

    fn holds_policy(&self) -> bool {
        self.policy_files().any(|(_, seen)| seen.is_filled())
    }

    /// The folders with policy in them, or further below.
    fn folders_with_policy(&self) -> BTreeSet<&Path> {
        let filled = self.policy_files().filter(|(_, seen)| seen.is_filled());
        let folders = filled.flat_map(|(path, _)| path.ancestors().skip(1));
        folders
            .filter(|path| path.starts_with(&self.root))
            .collect()
    }

    /// Files with a say in what is decided.
    fn policy_files(&self) -> impl Iterator<Item = (&Path, &Seen)> {
        let files = self.files.iter().map(|(path, seen)| (path.as_path(), seen));
        files.filter(|(path, _)| *path == self.root || is_policy_file(path))
    }
}

impl Seen {
    fn of(path: &Path) -> Self {
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => Self::File {
                device: metadata.dev(),
                inode: metadata.ino(),
                bytes: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
            Ok(_) => Self::Other,
            Err(_) => Self::Missing,
        }
    }

    fn is_filled(&self) -> bool {
        matches!(self, Self::File { bytes, .. } if *bytes > 0)
    }
}
