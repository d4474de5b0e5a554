//! OPA bundles: policy and data as one unit with a manifest, read from an archive or a folder in
//! memory. Making policy of them is left to `policy`, keeping them to `store`.

mod archive;
mod delta;
mod folder;
mod manifest;
mod object;
mod parts;
mod signature;
mod source;
mod verification;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::policy::rego::{Data, RegoModule};
use crate::policy::{Location, PolicyError};
use crate::yaml::{Document, Mark, Problem};
use manifest::go_list;

pub use archive::Limits;
pub use delta::Delta;
pub use folder::{LooseFiles, Tree, is_policy_file, read_files, tree, walk};
pub use manifest::{Manifest, glob_matches as matches_glob, overlap};
pub use object::{
    AwsKeys, AzureKey, EnvironmentCredentials, ObjectStoreConfig, ObjectUrl, StoreKind, is_region,
};
pub use signature::{
    Claims, SIGNATURES, SigningKey, VerificationKey, sign, verify as verify_files,
};
pub use source::{
    Basic, Bearer, BundleSource, BundleSources, BundleUrl, Credentials, OAuth2, Polling,
    RemoteSource, Secret, SourceTls, SourceUrl, problems_of_asker,
};
pub use verification::{
    KeyConfig, Mode, SigningConfig, Verification, VerificationConfig, VerificationSettings,
};
pub use write::write_archive;

/// Longest name of a bundle.
const MAX_NAME: usize = 253;

/// A bundle, read and checked against its own manifest.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub name: String,
    pub manifest: Manifest,
    pub modules: Vec<RegoModule>,
    pub data: Data,
    /// What it holds that has no effect.
    pub warnings: Vec<PolicyError>,
    /// Whether somebody whose key is configured has signed it.
    pub is_signed: bool,
    /// The signed archives that it is made of: a bundle and deltas to it.
    signed: Vec<Arc<[u8]>>,
}

/// What an archive holds.
#[derive(Debug, Clone)]
pub enum Content {
    Whole(Box<Bundle>),
    Delta(Box<Delta>),
}

/// How bundles are read.
#[derive(Debug, Clone, Default)]
pub struct BundleSettings {
    pub limits: Limits,
    pub verification: VerificationSettings,
    /// Rego is in language version 0 where nothing else is said of it.
    pub v0: bool,
}

/// A file of a bundle: its path without leading slash, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Why a bundle cannot be read.
#[derive(Debug, Error)]
pub enum BundleError {
    #[error("is not a gzip-compressed tar archive: {0}")]
    Archive(String),
    #[error("{0}")]
    Limit(String),
    #[error("bundle file '{path}' exceeded max size ({limit} bytes)")]
    FileSize { path: String, limit: u64 },
    #[error("entry `{path}` {why}")]
    Entry { path: String, why: String },
    #[error("{path}: {problem}")]
    File { path: String, problem: Problem },
    #[error("{0}")]
    Signature(String),
    #[error("{0}")]
    Delta(String),
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

// === impl Bundle ===

impl Bundle {
    /// Reads a `.tar.gz` archive that holds a whole bundle.
    pub fn from_archive(
        name: &str,
        archive: &[u8],
        settings: &BundleSettings,
    ) -> Result<Self, BundleError> {
        Self::read_archive(name, archive, settings)?.whole()
    }

    /// Reads a `.tar.gz` archive.
    pub fn read_archive(
        name: &str,
        archive: &[u8],
        settings: &BundleSettings,
    ) -> Result<Content, BundleError> {
        let files = archive::read(archive, settings.limits)?;
        if files.iter().any(parts::is_part) {
            let whole = parts::read(name, &files, settings)?;
            return Ok(Content::Whole(Box::new(whole)));
        }
        let mut content = Self::verified(name, &files, settings)?;
        content.keep_signed(archive);
        Ok(content.content)
    }

    /// Reads a folder or an archive file.
    pub fn from_path(
        name: &str,
        path: &Path,
        settings: &BundleSettings,
    ) -> Result<Self, BundleError> {
        if path.is_dir() {
            let files = folder::bundle_files(path)?;
            if files.is_empty() {
                return Err(folder::no_policy().into());
            }
            return Self::verified(name, &files, settings)?.content.whole();
        }
        Self::from_archive(name, &folder::read_regular(path)?, settings)
    }

    /// Whether a name can stand in a URL and in error locations.
    pub fn is_name(name: &str) -> bool {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=MAX_NAME).contains(&name.len())
            && name.bytes().all(valid)
            && name != "."
            && name != ".."
    }

    /// Nothing of a file is looked at before its signature was.
    fn verified(
        name: &str,
        files: &[BundleFile],
        settings: &BundleSettings,
    ) -> Result<Verified, BundleError> {
        let verification = settings.verification.of(name);
        let is_signed = verify_files(files, verification).map_err(BundleError::Signature)?;
        let mut content = Self::unverified_content(name, files, settings.v0)?;
        if let Content::Whole(bundle) = &mut content {
            bundle.is_signed = is_signed;
        }
        Ok(Verified { content, is_signed })
    }

    /// The content of files, whoever they are from; with `v0`, in language version 0 unless they say
    /// otherwise.
    pub fn unverified_content(
        name: &str,
        files: &[BundleFile],
        v0: bool,
    ) -> Result<Content, BundleError> {
        match files.iter().find(|file| file.path == delta::PATCH) {
            Some(patch) => {
                let delta = Delta::from_files(files, manifest_of(files)?, patch)?;
                Ok(Content::Delta(Box::new(delta)))
            }
            None => {
                let bundle = Self::unverified(name, files, v0)?;
                Ok(Content::Whole(Box::new(bundle)))
            }
        }
    }

    /// The bundle that files are, whoever they are from.
    pub fn unverified(name: &str, files: &[BundleFile], v0: bool) -> Result<Self, BundleError> {
        let manifest = manifest_of(files)?;
        let mut modules = Vec::new();
        let mut data = Data::default();
        for file in files {
            let (folder, base) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            match base {
                "data.json" | "data.yaml" | "data.yml" => {
                    let document = read_data(file, folder, base)?;
                    check_data_roots(&manifest, file, &document)?;
                    data.merge(document)
                        .map_err(|why| entry(file, format!("cannot be merged: {why}")))?;
                }
                _ if base.ends_with(".rego") => modules.push(RegoModule {
                    path: format!("{name}/{}", file.path),
                    text: text(file)?,
                    v0: manifest.is_v0(&file.path).unwrap_or(v0),
                }),
                // Whatever else lies there is not read, as OPA does it.
                _ => {}
            }
        }
        let mut bundle = Self {
            name: name.to_owned(),
            manifest,
            modules,
            data,
            warnings: Vec::new(),
            is_signed: false,
            signed: Vec::new(),
        };
        bundle.check_package_roots()?;
        bundle.note_ignored(files);
        Ok(bundle)
    }

    /// Rule: packages lie under the manifest's roots. A module that cannot be parsed is left to
    /// the compiler, which says why.
    fn check_package_roots(&self) -> Result<(), BundleError> {
        for module in &self.modules {
            let Some((package, row)) = module.package() else {
                continue;
            };
            if !self.manifest.owns(&package.join("/")) {
                let path = self.path_inside(module).to_owned();
                let message = format!(
                    "manifest roots {} do not permit 'package {}' in module '{path}'",
                    go_list(&self.manifest.roots),
                    package.join(".")
                );
                return Err(BundleError::File {
                    path,
                    problem: Problem {
                        mark: Some(Mark { row, col: 1 }),
                        path: String::new(),
                        message,
                    },
                });
            }
        }
        Ok(())
    }

    /// The path of a module inside the bundle.
    pub fn path_inside<'a>(&self, module: &'a RegoModule) -> &'a str {
        let rest = module.path.strip_prefix(&self.name);
        let rest = rest.and_then(|rest| rest.strip_prefix('/'));
        rest.unwrap_or(&module.path)
    }

    /// Notes policy in another form than Rego: whoever built it that way may count on it.
    fn note_ignored(&mut self, files: &[BundleFile]) {
        for file in files {
            let form = match file.path.rsplit('/').next() {
                Some("plan.json") if file.path == "plan.json" => "a plan",
                Some(base) if base.ends_with(".wasm") => "Wasm",
                _ => continue,
            };
            let message = format!(
                "{} is ignored: policy is evaluated as Rego, not as {form}",
                file.path
            );
            self.warn(&file.path, message);
        }
        let entrypoints = self.manifest.wasm_entrypoints();
        for entrypoint in entrypoints.map(str::to_owned).collect::<Vec<_>>() {
            let package = entrypoint
                .rsplit_once('/')
                .map_or("", |(package, _)| package);
            let is_there = |module: &RegoModule| {
                let found = module.package();
                found.is_none_or(|(parts, _)| parts.join("/") == package)
            };
            if !self.modules.iter().any(is_there) {
                let message = format!(
                    "entrypoint '{entrypoint}' is there as Wasm only, which is ignored: \
                     build the bundle with Rego in it"
                );
                self.warn(".manifest", message);
            }
        }
    }

    fn warn(&mut self, path: &str, message: String) {
        self.warnings.push(PolicyError {
            code: "warning",
            message,
            location: Some(Location {
                file: format!("{}/{path}", self.name),
                row: 0,
                col: 0,
            }),
        });
    }
}

/// Content, and whether somebody has signed it.
struct Verified {
    content: Content,
    is_signed: bool,
}

impl Verified {
    /// Keeps the archive of what is signed: nobody could sign it again.
    fn keep_signed(&mut self, archive: &[u8]) {
        if self.is_signed {
            match &mut self.content {
                Content::Whole(bundle) => bundle.signed = vec![archive.into()],
                Content::Delta(delta) => delta.signed = Some(archive.into()),
            }
        }
    }
}

impl Content {
    fn whole(self) -> Result<Bundle, BundleError> {
        match self {
            Self::Whole(bundle) => Ok(*bundle),
            Self::Delta(_) => Err(BundleError::Delta(
                "is a delta bundle, which can only be pushed onto a bundle that is there"
                    .to_owned(),
            )),
        }
    }
}

/// The files of a folder or an archive file.
pub fn files_of(path: &Path, limits: Limits) -> Result<Vec<BundleFile>, BundleError> {
    match path.is_dir() {
        true => folder::bundle_files(path),
        false => archive::read(&folder::read_regular(path)?, limits),
    }
}

fn manifest_of(files: &[BundleFile]) -> Result<Manifest, BundleError> {
    match files.iter().find(|file| file.path == ".manifest") {
        Some(file) => Manifest::parse(&text(file)?).map_err(|problem| in_file(file, problem)),
        None => Ok(Manifest::default()),
    }
}

/// Whether a file has a say in what is decided.
fn is_loaded(path: &str) -> bool {
    let base = path.rsplit('/').next().unwrap_or(path);
    matches!(base, "data.json" | "data.yaml" | "data.yml")
        || matches!(path, ".manifest" | "patch.json")
        || base.ends_with(".rego")
}

/// Rule: data lies under the manifest's roots.
fn check_data_roots(
    manifest: &Manifest,
    file: &BundleFile,
    data: &Data,
) -> Result<(), BundleError> {
    match data.find_path(|path| !manifest.owns(path)) {
        None => Ok(()),
        Some(path) => Err(entry(
            file,
            format!(
                "is outside the bundle: manifest roots {} do not permit data at path '/{path}' \
                 (hint: check bundle directory structure)",
                go_list(&manifest.roots)
            ),
        )),
    }
}

/// The document of a data file, at the place its folder gives it.
fn read_data(file: &BundleFile, folder: &str, base: &str) -> Result<Data, BundleError> {
    let data = if base.ends_with(".json") {
        parse_json(file)?
    } else if let Ok(json) = Data::parse(&file.bytes) {
        // Rule: what is JSON is read as such, whatever it is called.
        json
    } else {
        let text = text(file)?;
        let documents = Document::parse_stream(&text).map_err(|problem| in_file(file, problem))?;
        let value = documents.into_iter().next().map(|document| document.value);
        Data::from_json(value.unwrap_or_else(|| serde_json::json!({})))
    };
    if folder.is_empty() && !data.is_object() {
        return Err(entry(
            file,
            "must hold an object, as it is the root of all data",
        ));
    }
    let path: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    Ok(data.nested_under(&path))
}

fn parse_json(file: &BundleFile) -> Result<Data, BundleError> {
    Data::parse(&file.bytes).map_err(|error| {
        let mark = Mark {
            row: error.row,
            col: error.col,
        };
        in_file(
            file,
            Problem {
                mark: Some(mark),
                path: String::new(),
                message: error.message,
            },
        )
    })
}

fn text(file: &BundleFile) -> Result<String, BundleError> {
    String::from_utf8(file.bytes.clone()).map_err(|_| entry(file, "is not UTF-8"))
}

fn entry(file: &BundleFile, why: impl Into<String>) -> BundleError {
    BundleError::Entry {
        path: file.path.clone(),
        why: why.into(),
    }
}

fn in_file(file: &BundleFile, problem: Problem) -> BundleError {
    BundleError::File {
        path: file.path.clone(),
        problem,
    }
}

// === impl BundleError ===

impl BundleError {
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    fn archive(error: std::io::Error) -> Self {
        Self::Archive(error.to_string())
    }

    /// The error in the shape of the API, with the file inside the bundle.
    pub fn into_policy_error(self, bundle: &str) -> PolicyError {
        self.located(|path| format!("{bundle}/{path}"))
    }

    /// The error in the shape of the API; `file` tells the name of a file from its path.
    fn located(self, file: impl Fn(&str) -> String) -> PolicyError {
        let location = match &self {
            Self::File { path, problem } => {
                let mark = problem.mark.unwrap_or_default();
                Some((path.clone(), mark.row, mark.col))
            }
            Self::Entry { path, .. } | Self::FileSize { path, .. } => Some((path.clone(), 0, 0)),
            Self::Archive(_)
            | Self::Limit(_)
            | Self::Signature(_)
            | Self::Delta(_)
            | Self::Io(_) => None,
        };
        PolicyError {
            code: "bundle_error",
            message: match self {
                Self::File { problem, .. } => problem.message,
                other => other.to_string(),
            },
            location: location.map(|(path, row, col)| Location {
                file: file(&path),
                row,
                col,
            }),
        }
    }
}
