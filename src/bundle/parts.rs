//! Bundles put together of a signed bundle and signed deltas. Nobody has signed the result, so the
//! archive that is kept of it holds, beside the whole content, the signed parts; whoever reads it puts
//! them together again, each verified, and takes nothing else.

use std::sync::Arc;

use super::verification::Mode;
use super::write::write_archive;
use super::{Bundle, BundleError, BundleFile, BundleSettings, Content, archive};
use crate::units::Size;

/// Where the parts lie in the archive.
const FOLDER: &str = ".doorward/signed/";
/// Most parts: the bundle and its deltas.
const MAX_PARTS: usize = 100;

/// Whether a file is a part, and not content.
pub(super) fn is_part(file: &BundleFile) -> bool {
    file.path.starts_with(FOLDER)
}

/// Reads what was put together.
pub(super) fn read(
    name: &str,
    files: &[BundleFile],
    settings: &BundleSettings,
) -> Result<Bundle, BundleError> {
    let (mut parts, content): (Vec<_>, Vec<_>) = files.iter().cloned().partition(is_part);
    parts.sort_by(|one, other| one.path.cmp(&other.path));
    if parts.len() > MAX_PARTS {
        return Err(too_many());
    }
    // All parts together may be as large as one bundle.
    let mut left = settings.clone();
    let mut whole: Option<Bundle> = None;
    for part in &parts {
        let files = archive::read(&part.bytes, left.limits)?;
        let size: u64 = files.iter().map(|file| file.bytes.len() as u64).sum();
        left.limits.max_bytes = Size(left.limits.max_bytes.0.saturating_sub(size));
        if files.iter().any(is_part) {
            return Err(BundleError::Delta("a part holds parts".to_owned()));
        }
        let mut verified = Bundle::verified(name, &files, settings)?;
        verified.keep_signed(&part.bytes);
        whole = Some(match (whole, verified.content) {
            (None, Content::Whole(bundle)) => *bundle,
            (Some(bundle), Content::Delta(delta)) => {
                // Rule: where signatures are required, who signs says what comes of it.
                if settings.verification.of(name).mode == Mode::Required {
                    delta.check_base(&bundle.manifest)?;
                }
                bundle.with_delta(&delta)?
            }
            _ => return Err(BundleError::Delta("its parts do not fit".to_owned())),
        });
    }
    let whole = whole.ok_or_else(|| BundleError::Delta("it has no parts".to_owned()))?;
    let shown = Bundle::unverified(name, &content, settings.v0)?;
    let is_same = shown.manifest == whole.manifest
        && shown.data == whole.data
        && sorted(&shown) == sorted(&whole);
    match is_same {
        true => Ok(whole),
        false => Err(BundleError::Delta(
            "its content is not what its signed parts make".to_owned(),
        )),
    }
}

fn sorted(bundle: &Bundle) -> Vec<(&str, &str, bool)> {
    let modules = bundle.modules.iter();
    let mut modules: Vec<_> = modules
        .map(|module| (module.path.as_str(), module.text.as_str(), module.v0))
        .collect();
    modules.sort_unstable();
    modules
}

fn too_many() -> BundleError {
    BundleError::Delta(format!(
        "more than {} deltas since the last whole bundle: push it whole",
        MAX_PARTS - 1
    ))
}

// === impl Bundle ===

impl Bundle {
    /// The files of the bundle, in one form: one manifest, one document of data, and its Rego.
    pub fn to_files(&self) -> Result<Vec<BundleFile>, BundleError> {
        let manifest = serde_json::to_vec(&self.manifest)
            .map_err(|error| BundleError::Delta(error.to_string()))?;
        let modules = self.modules.iter().map(|module| BundleFile {
            path: self.path_inside(module).to_owned(),
            bytes: module.text.clone().into_bytes(),
        });
        let mut files: Vec<_> = modules.collect();
        files.push(BundleFile {
            path: ".manifest".to_owned(),
            bytes: manifest,
        });
        files.push(BundleFile {
            path: "data.json".to_owned(),
            bytes: self.data.to_text().into_bytes(),
        });
        Ok(files)
    }

    /// The bundle as it is kept, with the signed parts it was put together of.
    pub fn to_archive(&self) -> Result<Vec<u8>, BundleError> {
        if self.signed.len() > MAX_PARTS {
            return Err(too_many());
        }
        let mut files = self.to_files()?;
        for (number, part) in self.signed.iter().map(Arc::clone).enumerate() {
            files.push(BundleFile {
                path: format!("{FOLDER}{number:04}.tar.gz"),
                bytes: part.to_vec(),
            });
        }
        Ok(write_archive(&files)?)
    }
}
