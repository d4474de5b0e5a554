//! `doorward bundle verify`: whether a bundle is what the holder of a key has signed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args as ClapArgs;

use super::{DEFAULT_ALGORITHM, algorithm, key_text};
use crate::bundle::{
    Limits, Mode, SIGNATURES, Verification, VerificationKey, files_of, verify_files,
};
use crate::cli::{Outcome, complain, count, say};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Taken for the sake of OPA's commands: PATH always is a bundle.
    #[arg(long, short = 'b')]
    bundle: bool,
    /// File with the public key or certificate in PEM, or for HMAC with the secret, which may also
    /// stand here itself.
    #[arg(long, value_name = "KEY")]
    verification_key: String,
    /// Name of the key.
    #[arg(long, value_name = "ID", default_value = "default")]
    verification_key_id: String,
    /// Algorithm of the key.
    #[arg(long, value_name = "ALGORITHM", default_value = DEFAULT_ALGORITHM)]
    signing_alg: String,
    /// What the signature must be for.
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Paths that need not be in the signature, with stars; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    exclude_files_verify: Vec<String>,
    /// Folder or archive.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let files =
        files_of(&args.path, Limits::default()).with_context(|| args.path.display().to_string())?;
    let algorithm = algorithm(&args.signing_alg)?;
    let text = key_text(&args.verification_key, algorithm)?;
    let key = VerificationKey::new(algorithm, &text, None).map_err(anyhow::Error::msg)?;
    let id = args.verification_key_id.clone();
    let rules = Verification {
        mode: Mode::VerifyIfPresent,
        keys: Arc::new(BTreeMap::from([(id.clone(), key)])),
        key_id: Some(id),
        scope: args.scope.clone(),
        exclude_files: args.exclude_files_verify.clone(),
    };
    match verify_files(&files, &rules) {
        Ok(true) => {
            let files = count(files.len() - 1, "file", "files");
            Ok(say(&format!("verified {}: {files}", args.path.display())))
        }
        Ok(false) => {
            complain(&format!("bundle missing {SIGNATURES} file"));
            Ok(Outcome::No)
        }
        Err(why) => {
            complain(&why);
            Ok(Outcome::No)
        }
    }
}
