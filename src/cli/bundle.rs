//! `doorward bundle`: bundles made, looked at, signed, verified and pushed. One file a subcommand; what
//! several of them need stands here.

mod build;
mod inspect;
mod push;
mod sign;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;

use super::Outcome;
use crate::bundle::{BundleFile, Claims, SigningKey, sign as sign_files};
use crate::identity::JwsAlgorithm;

/// Algorithm of keys unless another is given, as in OPA.
const DEFAULT_ALGORITHM: &str = "RS256";

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a bundle of Rego and data; the same files make the same bytes.
    Build(Box<build::Args>),
    /// Show what a bundle says of itself and holds.
    Inspect(inspect::Args),
    /// Make `.signatures.json` for the files of a bundle.
    Sign(Box<sign::Args>),
    /// Check a bundle against its signature.
    Verify(Box<verify::Args>),
    /// Send a bundle to a running server.
    Push(Box<push::Args>),
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Build(args) => build::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Push(args) => push::run(args),
    }
}

/// How a bundle is signed.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Signing")]
struct SigningArgs {
    /// File with the private key in PEM, or for HMAC with the secret, which may also stand here itself.
    #[arg(long, value_name = "KEY")]
    signing_key: Option<String>,
    /// RS256, RS384, RS512, PS256 … PS512, ES256 … ES512, HS256 … HS512 or EdDSA.
    #[arg(long, value_name = "ALGORITHM", default_value = DEFAULT_ALGORITHM)]
    signing_alg: String,
    /// Name by which verifiers find the key.
    #[arg(long, value_name = "ID")]
    signing_key_id: Option<String>,
    /// JSON file with more claims for the token.
    #[arg(long, value_name = "FILE")]
    claims_file: Option<PathBuf>,
    /// What the signature is for.
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
}

impl SigningArgs {
    /// The content of `.signatures.json`, if there is a key to sign with.
    fn sign(&self, files: &[BundleFile]) -> anyhow::Result<Option<BundleFile>> {
        let Some(key) = &self.signing_key else {
            return Ok(None);
        };
        let algorithm = algorithm(&self.signing_alg)?;
        let text = key_text(key, algorithm)?;
        let key = SigningKey::new(algorithm, &text).map_err(anyhow::Error::msg)?;
        let signatures = sign_files(files, &key, &self.claims()?).map_err(anyhow::Error::msg)?;
        Ok(Some(BundleFile {
            path: crate::bundle::SIGNATURES.to_owned(),
            bytes: signatures,
        }))
    }

    fn claims(&self) -> anyhow::Result<Claims> {
        let mut more = serde_json::Map::new();
        if let Some(file) = &self.claims_file {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            more = serde_json::from_slice(&text)
                .with_context(|| format!("{} holds no JSON object", file.display()))?;
        }
        if let Some(scope) = &self.scope {
            more.insert("scope".to_owned(), Value::from(scope.as_str()));
        }
        Ok(Claims {
            key_id: self.signing_key_id.clone(),
            more,
        })
    }
}

fn algorithm(name: &str) -> anyhow::Result<JwsAlgorithm> {
    name.parse()
        .map_err(|_| anyhow::anyhow!("unknown signature algorithm: {name}"))
}

/// The text of a key: a file's, or for HMAC what was given itself.
fn key_text(given: &str, algorithm: JwsAlgorithm) -> anyhow::Result<String> {
    if Path::new(given).is_file() {
        let text = std::fs::read_to_string(given).with_context(|| given.to_owned())?;
        // Editors end files with a line's end.
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    match algorithm {
        JwsAlgorithm::Hs256 | JwsAlgorithm::Hs384 | JwsAlgorithm::Hs512 => Ok(given.to_owned()),
        _ => anyhow::bail!("there is no such file for the key, which must be one in PEM"),
    }
}
