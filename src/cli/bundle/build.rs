//! `doorward bundle build`: Rego and data of files and folders as a bundle, compiled once so that it
//! can be loaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;

use super::SigningArgs;
use crate::bundle::{
    Bundle, BundleFile, Limits, Manifest, SIGNATURES, files_of, matches_glob, write_archive,
};
use crate::cli::{Outcome, complain, say};
use crate::config::Config;
use crate::policy::{PolicyError, PolicySet, PolicySources};

const MANIFEST: &str = ".manifest";
/// What errors of files are said to be in.
const NAME: &str = "bundle";

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// PATH is a bundle, folder or archive, whose manifest counts.
    #[arg(long, short = 'b')]
    bundle: bool,
    /// File to write.
    #[arg(
        long,
        short = 'o',
        value_name = "FILE",
        default_value = "bundle.tar.gz"
    )]
    output: PathBuf,
    /// Revision in the manifest.
    #[arg(long, short = 'r', value_name = "REVISION")]
    revision: Option<String>,
    /// Path of documents that the bundle owns, in place of the manifest's; may be repeated.
    #[arg(long = "root", value_name = "ROOT")]
    roots: Vec<String>,
    /// Names of files and folders to leave out, with stars; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    ignore: Vec<String>,
    /// The Rego is in language version 0.
    #[arg(long)]
    v0_compatible: bool,
    #[command(flatten)]
    signing: SigningArgs,
    /// Files and folders of Rego and data.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        !args.bundle || args.paths.len() == 1,
        "`--bundle` takes one PATH: a manifest is for one bundle"
    );
    let bundle = match args.bundle() {
        Ok(bundle) => bundle,
        Err(Problem::Invalid(errors)) => {
            errors.iter().for_each(|error| complain(&error.to_string()));
            return Ok(Outcome::No);
        }
        Err(Problem::Other(error)) => return Err(error),
    };
    let warnings = bundle.warnings.iter();
    warnings.for_each(|warning| complain(&warning.to_string()));
    let mut files = bundle.to_files().context("the bundle cannot be written")?;
    files.extend(args.signing.sign(&files)?);
    let archive = write_archive(&files).context("the bundle cannot be written")?;
    std::fs::write(&args.output, &archive).with_context(|| args.output.display().to_string())?;
    Ok(say(&format!(
        "built {}: {} bytes, {} modules",
        args.output.display(),
        archive.len(),
        bundle.modules.len()
    )))
}

enum Problem {
    Invalid(Vec<PolicyError>),
    Other(anyhow::Error),
}

impl Args {
    /// Everything read, checked against its manifest, and compiled.
    fn bundle(&self) -> Result<Bundle, Problem> {
        let mut files = self.files().map_err(Problem::Other)?;
        let manifest = self.manifest(&files).map_err(Problem::Other)?;
        files.retain(|file| file.path != MANIFEST && file.path != SIGNATURES);
        let bytes = serde_json::to_vec(&manifest);
        files.push(BundleFile {
            path: MANIFEST.to_owned(),
            bytes: bytes.map_err(|error| Problem::Other(error.into()))?,
        });
        let bundle = Bundle::unverified(NAME, &files, self.v0_compatible)
            .map_err(|error| Problem::Invalid(vec![error.into_policy_error(NAME)]))?;
        compile(&bundle)?;
        Ok(bundle)
    }

    fn files(&self) -> anyhow::Result<Vec<BundleFile>> {
        let mut all = Vec::new();
        for path in &self.paths {
            let files = match path.is_dir() || self.bundle {
                true => files_of(path, Limits::default()),
                false => single(path).map_err(Into::into),
            };
            let files = files.map_err(|error| {
                let error = error.into_policy_error(&path.display().to_string());
                anyhow::anyhow!("{}: {}", path.display(), error.message)
            })?;
            let is_kept = |file: &BundleFile| !self.is_ignored(&file.path);
            let kept = files.into_iter().filter(is_kept);
            all.extend(kept.map(|file| self.named(file, path)));
        }
        let mut seen = BTreeSet::new();
        let modules = all.iter().filter(|file| file.path.ends_with(".rego"));
        for module in modules {
            anyhow::ensure!(
                seen.insert(&module.path),
                "there are two files that would be {} in the bundle",
                module.path
            );
        }
        Ok(all)
    }

    /// Rego of several folders keeps the names of these; where data belongs is told by its place
    /// inside of them.
    fn named(&self, mut file: BundleFile, root: &Path) -> BundleFile {
        if self.paths.len() > 1
            && root.is_dir()
            && file.path.ends_with(".rego")
            && let Some(folder) = root.file_name()
        {
            file.path = format!("{}/{}", folder.to_string_lossy(), file.path);
        }
        file
    }

    fn is_ignored(&self, path: &str) -> bool {
        let parts = path.split('/');
        let mut names = parts.chain(std::iter::once(path));
        names.any(|name| self.ignore.iter().any(|glob| matches_glob(glob, name)))
    }

    fn manifest(&self, files: &[BundleFile]) -> anyhow::Result<Manifest> {
        let own = files.iter().find(|file| file.path == MANIFEST);
        let mut manifest = match own.filter(|_| self.bundle) {
            Some(file) => serde_json::from_slice(&file.bytes).context(MANIFEST)?,
            None => Manifest::default(),
        };
        if let Some(revision) = &self.revision {
            manifest.revision.clone_from(revision);
        }
        if !self.roots.is_empty() {
            manifest.roots.clone_from(&self.roots);
        }
        let version = u8::from(!self.v0_compatible);
        manifest.rego_version.get_or_insert(version);
        Ok(manifest)
    }
}

fn single(path: &Path) -> std::io::Result<Vec<BundleFile>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(vec![BundleFile {
        path: name.into_owned(),
        bytes: std::fs::read(path)?,
    }])
}

/// Compiles the bundle by itself. Whether it may ask others is a matter of the server.
fn compile(bundle: &Bundle) -> Result<(), Problem> {
    let mut config = Config::default();
    config.rego.http_send = true;
    let settings = config.policy_settings();
    let settings = settings.map_err(|error| Problem::Other(error.into()))?;
    let sources = PolicySources {
        modules: bundle.modules.clone(),
        data: bundle.data.clone(),
        has_rego: true,
        ..PolicySources::default()
    };
    PolicySet::compile(sources, &settings)
        .map(drop)
        .map_err(Problem::Invalid)
}
