//! Delta bundles: changes to the data of a bundle that is there already. What comes out is a whole
//! bundle, and is kept as one.

use std::collections::BTreeSet;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::manifest::{Manifest, go_list};
use super::{Bundle, BundleError, BundleFile, BundleSettings, entry, parse_json};
use crate::policy::rego::{Data, EditError};

/// The file that makes a bundle a delta.
pub(super) const PATCH: &str = "patch.json";
/// Most changes in one.
const MAX_OPERATIONS: usize = 100_000;
/// Most parts of a path.
const MAX_PATH_PARTS: usize = 200;
/// Longest text of a delta that errors show, in characters.
const MAX_SHOWN: usize = 200;
/// Member of the manifest's `metadata` that names the revision which is changed.
const BASE: &str = "base_revision";

/// Most elements of arrays that all changes together may move: each copies the array it is in.
const MAX_MOVED: usize = 200_000_000;

/// Changes to a bundle's data.
#[derive(Debug, Clone)]
pub struct Delta {
    pub manifest: Manifest,
    operations: Vec<Operation>,
    /// The archive it came in, if that is signed.
    pub(super) signed: Option<Arc<[u8]>>,
}

/// How the data is changed at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatchOp {
    /// Makes what is missing on the way, and puts the value in place of what is there.
    Upsert,
    Remove,
    Replace,
}

#[derive(Debug, Clone)]
struct Operation {
    op: PatchOp,
    /// As it is written.
    written: String,
    path: Vec<String>,
    value: Data,
}

// === impl Delta ===

impl Delta {
    pub(super) fn from_files(
        files: &[BundleFile],
        manifest: Manifest,
        patch: &BundleFile,
    ) -> Result<Self, BundleError> {
        // Rule: a delta holds nothing but its changes and its manifest.
        for file in files {
            let base = file.path.rsplit('/').next().unwrap_or_default();
            let what = match base {
                "data.json" | "data.yaml" | "data.yml" => "data",
                _ if base.ends_with(".rego") => "rego",
                _ if base.ends_with(".wasm") => "wasm",
                _ => continue,
            };
            let why =
                format!("delta bundle expected to contain only patch file but {what} files found");
            return Err(BundleError::Delta(why));
        }
        let operations = operations(patch)?;
        for operation in &operations {
            operation.check_roots(&manifest)?;
        }
        Ok(Self {
            manifest,
            operations,
            signed: None,
        })
    }
}

impl Delta {
    /// Rule: it names the revision that it changes, and makes another, so that it cannot be used again or
    /// in another order than it was meant.
    pub(super) fn check_base(&self, base: &Manifest) -> Result<(), BundleError> {
        let named = self.manifest.metadata.as_ref();
        let named = named.and_then(|metadata| metadata.get(BASE)?.as_str());
        let shown = |revision: &str| revision.chars().take(MAX_SHOWN).collect::<String>();
        let why = match named.filter(|named| !named.is_empty()) {
            None => format!(
                "must name the revision it changes in `metadata.{BASE}` of its manifest, as signatures are \
                 required"
            ),
            Some(named) if named != base.revision => format!(
                "changes revision '{}', and the bundle is at '{}'",
                shown(named),
                shown(&base.revision)
            ),
            Some(named) if named == self.manifest.revision => {
                format!("makes revision '{}' of itself", shown(named))
            }
            Some(_) => return Ok(()),
        };
        Err(BundleError::Delta(why))
    }

    /// What is changed, for reading.
    pub fn changes(&self) -> impl Iterator<Item = Value> {
        let operations = self.operations.iter();
        operations.map(|operation| {
            let op = match operation.op {
                PatchOp::Upsert => "upsert",
                PatchOp::Remove => "remove",
                PatchOp::Replace => "replace",
            };
            json!({"op": op, "path": operation.written})
        })
    }
}

fn operations(patch: &BundleFile) -> Result<Vec<Operation>, BundleError> {
    let document = parse_json(patch)?;
    let list = document.member("data").unwrap_or_else(Data::undefined);
    let list = list
        .items()
        .ok_or_else(|| entry(patch, "must hold an object whose `data` is an array"))?;
    if list.len() > MAX_OPERATIONS {
        let why = format!("holds more than {MAX_OPERATIONS} changes");
        return Err(entry(patch, why));
    }
    let operations = list.iter().enumerate().map(|(index, item)| {
        Operation::read(item)
            .map_err(|why| entry(patch, format!("has a bad change {index}: {why}")))
    });
    operations.collect()
}

// === impl Operation ===

impl Operation {
    fn read(item: &Data) -> Result<Self, String> {
        let text = |name| item.member(name).and_then(|member| member.text());
        let op = match text("op").unwrap_or_default().as_str() {
            "upsert" => PatchOp::Upsert,
            "remove" => PatchOp::Remove,
            "replace" => PatchOp::Replace,
            other => {
                let shown: String = other.chars().take(MAX_SHOWN).collect();
                return Err(format!("bad patch operation: {shown}"));
            }
        };
        let written = text("path").ok_or("its `path` must be a string")?;
        let path = parse_path(&written)?;
        let value = item.member("value").unwrap_or_else(Data::null);
        Ok(Self {
            op,
            written,
            path,
            value,
        })
    }

    /// How many elements of an array it moves.
    fn moves(&self, data: &Data) -> usize {
        let parents = self
            .path
            .split_last()
            .map_or(&[][..], |(_, parents)| parents);
        match self.op {
            PatchOp::Replace => 0,
            PatchOp::Upsert | PatchOp::Remove => {
                data.at(parents).map_or(0, |parent| parent.array_length())
            }
        }
    }

    fn apply(&self, data: &mut Data) -> Result<(), EditError> {
        match self.op {
            PatchOp::Upsert => data.put(&self.path, self.value.clone()),
            PatchOp::Replace => data.replace(&self.path, self.value.clone()),
            PatchOp::Remove => data.remove(&self.path),
        }
    }

    /// Rule: what is changed lies under the manifest's roots, part by part: a part may hold slashes.
    fn check_roots(&self, manifest: &Manifest) -> Result<(), BundleError> {
        let is_owned = |root: &String| {
            let parts = root.split('/').filter(|part| !part.is_empty());
            let parts: Vec<_> = parts.collect();
            parts.len() <= self.path.len() && parts.iter().zip(&self.path).all(|(a, b)| a == b)
        };
        match manifest.roots.iter().any(is_owned) {
            true => Ok(()),
            false => Err(BundleError::Delta(format!(
                "manifest roots {} do not permit data patch at path '{}'",
                go_list(&manifest.roots),
                self.written.trim_matches('/')
            ))),
        }
    }
}

/// Rule: a JSON pointer (RFC 6901), of which OPA also decodes what is escaped as in a URL; slashes at
/// its ends do not count.
fn parse_path(written: &str) -> Result<Vec<String>, String> {
    let failed = || "error parsing patch path".to_owned();
    let trimmed = written.trim_matches('/');
    let parts = trimmed.split('/').map(|part| {
        let escapes_are_whole = part.split('%').skip(1).all(|rest| {
            let digits = rest.as_bytes().get(..2).unwrap_or_default();
            digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
        });
        let decoded = percent_decode_str(part).decode_utf8();
        match decoded {
            Ok(decoded) if escapes_are_whole => Ok(decoded.replace("~1", "/").replace("~0", "~")),
            _ => Err(failed()),
        }
    });
    let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
    let is_usable = !trimmed.is_empty() && parts.len() <= MAX_PATH_PARTS;
    is_usable.then_some(parts).ok_or_else(failed)
}

// === impl Bundle ===

impl Bundle {
    /// The bundle that a delta makes, and the archive to keep of it.
    pub fn changed_by(
        &self,
        delta: &Delta,
        settings: &BundleSettings,
    ) -> Result<(Self, Vec<u8>), BundleError> {
        let changed = self.with_delta(delta)?;
        let archive = changed.to_archive()?;
        // Rule: what is active is what will be read again.
        let bundle = Self::from_archive(&self.name, &archive, settings)?;
        match bundle.data == changed.data && bundle.modules.len() == self.modules.len() {
            true => Ok((bundle, archive)),
            false => Err(BundleError::Delta(
                "the changed data holds a number that cannot be stored exactly".to_owned(),
            )),
        }
    }

    /// The bundle with changes made to its data.
    pub fn with_delta(&self, delta: &Delta) -> Result<Self, BundleError> {
        let roots = |manifest: &Manifest| manifest.roots.iter().cloned().collect::<BTreeSet<_>>();
        if roots(&self.manifest) != roots(&delta.manifest)
            || self.manifest.wasm != delta.manifest.wasm
        {
            return Err(BundleError::Delta(format!(
                "delta bundle '{}' has wasm resolvers or manifest roots that are different from \
                 those in the store",
                self.name
            )));
        }
        let mut changed = self.clone();
        let mut moved = 0_usize;
        for operation in &delta.operations {
            moved = moved.saturating_add(operation.moves(&changed.data));
            if moved > MAX_MOVED {
                let why = format!("moves more than {MAX_MOVED} elements of arrays");
                return Err(BundleError::Delta(why));
            }
            let applied = operation.apply(&mut changed.data);
            applied.map_err(|error| BundleError::Delta(error.to_string()))?;
        }
        changed
            .manifest
            .revision
            .clone_from(&delta.manifest.revision);
        if delta.manifest.metadata.is_some() {
            changed
                .manifest
                .metadata
                .clone_from(&delta.manifest.metadata);
        }
        // Rule: what is put together of signed parts is signed as long as all of them are.
        changed.signed = match (&delta.signed, self.signed.is_empty()) {
            (Some(part), false) => {
                let mut signed = self.signed.clone();
                signed.push(Arc::clone(part));
                signed
            }
            _ => Vec::new(),
        };
        changed.is_signed = !changed.signed.is_empty();
        Ok(changed)
    }
}
