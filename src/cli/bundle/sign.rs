//! `doorward bundle sign`: the signature of a bundle's files, by itself or in a new archive.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args as ClapArgs;

use super::SigningArgs;
use crate::bundle::{Limits, SIGNATURES, files_of, write_archive};
use crate::cli::{Outcome, say};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Taken for the sake of `opa sign`: PATH always is a bundle.
    #[arg(long, short = 'b')]
    bundle: bool,
    /// Folder for `.signatures.json`, or with `.tar.gz` at its end the signed bundle to write.
    #[arg(
        long = "output-file-path",
        short = 'o',
        value_name = "PATH",
        default_value = "."
    )]
    output: PathBuf,
    #[command(flatten)]
    signing: SigningArgs,
    /// Folder or archive.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let shown = args.path.display().to_string();
    let mut files = files_of(&args.path, Limits::default()).with_context(|| shown.clone())?;
    files.retain(|file| file.path != SIGNATURES);
    let signatures = args.signing.sign(&files)?;
    let signatures = signatures.context("give the key to sign with as `--signing-key`")?;
    let (output, bytes) = match args.output.to_string_lossy().ends_with(".tar.gz") {
        true => {
            files.push(signatures);
            (args.output.clone(), write_archive(&files)?)
        }
        false => (args.output.join(SIGNATURES), signatures.bytes),
    };
    std::fs::write(&output, bytes).with_context(|| output.display().to_string())?;
    Ok(say(&format!("signed {shown}: {}", output.display())))
}
