//! `doorward bundle inspect`: manifest, packages and data, and signature of a bundle, unverified.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use crate::bundle::{Bundle, BundleFile, Content, Limits, SIGNATURES, files_of};
use crate::cli::{Outcome, complain, say};

/// What errors of files are said to be in.
const NAME: &str = "bundle";

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// How to show it.
    #[arg(long, short = 'f', value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Folder or archive.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Pretty,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let files =
        files_of(&args.path, Limits::default()).with_context(|| args.path.display().to_string())?;
    let content = match Bundle::unverified_content(NAME, &files, false) {
        Ok(content) => content,
        Err(error) => {
            complain(&error.into_policy_error(NAME).to_string());
            return Ok(Outcome::No);
        }
    };
    let shown = describe(&content, &files);
    Ok(match args.format {
        Format::Json => say(&format!("{shown:#}")),
        Format::Pretty => say(table(&shown).trim_end()),
    })
}

/// Members are named as `opa inspect` names them.
fn describe(content: &Content, files: &[BundleFile]) -> Value {
    let mut shown = match content {
        Content::Whole(bundle) => json!({
            "manifest": bundle.manifest,
            "namespaces": namespaces(bundle, files),
        }),
        Content::Delta(delta) => json!({
            "manifest": delta.manifest,
            "patch": delta.changes().collect::<Vec<_>>(),
        }),
    };
    let signatures = files.iter().find(|file| file.path == SIGNATURES);
    if let Some(shown) = shown.as_object_mut() {
        if let Some(file) = signatures {
            let parsed: Value = serde_json::from_slice(&file.bytes).unwrap_or_default();
            shown.insert("signatures_config".to_owned(), parsed);
        }
        if let Content::Whole(bundle) = content
            && !bundle.warnings.is_empty()
        {
            shown.insert("warnings".to_owned(), json!(bundle.warnings));
        }
    }
    shown
}

/// Packages with their modules, and places in `data` with their files.
fn namespaces(bundle: &Bundle, files: &[BundleFile]) -> BTreeMap<String, Vec<String>> {
    let mut namespaces: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |place: String, path: &str| {
        let files = namespaces.entry(place).or_default();
        files.push(format!("/{path}"));
        files.sort();
    };
    for module in &bundle.modules {
        let package = module
            .package()
            .map_or_else(Vec::new, |(package, _)| package);
        let place = [vec!["data".to_owned()], package].concat().join(".");
        add(place, bundle.path_inside(module));
    }
    for file in files {
        let (folder, base) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        if matches!(base, "data.json" | "data.yaml" | "data.yml") {
            let parts = folder.split('/').filter(|part| !part.is_empty());
            let place: Vec<_> = std::iter::once("data").chain(parts).collect();
            add(place.join("."), &file.path);
        }
    }
    namespaces
}

fn table(shown: &Value) -> String {
    let mut text = String::from("MANIFEST\n");
    let manifest = shown.get("manifest").and_then(Value::as_object);
    for (name, value) in manifest.into_iter().flatten() {
        text.push_str(&row(name, &plain(value)));
    }
    if let Some(namespaces) = shown.get("namespaces").and_then(Value::as_object) {
        text.push_str("\nNAMESPACES\n");
        for (place, files) in namespaces {
            text.push_str(&row(place, &plain(files)));
        }
    }
    if let Some(patch) = shown.get("patch").and_then(Value::as_array) {
        text.push_str("\nCHANGES\n");
        for change in patch {
            text.push_str(&format!("  {}\n", plain(change)));
        }
    }
    let signatures = shown.pointer("/signatures_config/signatures");
    let signed = match signatures.and_then(Value::as_array) {
        Some(_) => "there is one; `doorward bundle verify` checks it",
        None => "none",
    };
    text.push_str(&format!("\nSIGNATURE\n  {signed}\n"));
    let warnings = shown.get("warnings").and_then(Value::as_array);
    for (at, warning) in warnings.into_iter().flatten().enumerate() {
        let heading = if at == 0 { "\nWARNINGS\n" } else { "" };
        let message = warning.get("message").map(plain).unwrap_or_default();
        text.push_str(&format!("{heading}  {message}\n"));
    }
    text
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<24} {value}\n")
}

/// What a bundle says is not to be trusted with the terminal.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            items.join(", ")
        }
        other => other.to_string(),
    };
    text.chars()
        .map(|character| match character.is_control() {
            true => '\u{fffd}',
            false => character,
        })
        .collect()
}
