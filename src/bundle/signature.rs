//! `.signatures.json`: whether a bundle is what somebody whose key is configured has signed, file by
//! file. The key's algorithm is ours to say; a token that names another is refused. Which keys there
//! are is told by `verification`.

mod hash;
mod key;
mod sign;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::BundleFile;
use super::manifest::{glob_matches, go_list};
use super::verification::{Mode, Verification};
pub use key::{SigningKey, VerificationKey};
pub use sign::{Claims, sign};

/// Where a bundle's signature stands.
pub const SIGNATURES: &str = ".signatures.json";
/// Longest key id that errors show.
const MAX_SHOWN: usize = 100;

#[derive(Deserialize)]
struct SignaturesFile {
    #[serde(default)]
    signatures: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Payload {
    files: Vec<ListedFile>,
    /// An older place for the key's name.
    keyid: Option<String>,
    #[serde(default)]
    scope: String,
}

/// A file as a signature lists it.
#[derive(Serialize, Deserialize)]
struct ListedFile {
    name: String,
    /// Hexadecimal.
    hash: String,
    #[serde(default)]
    algorithm: String,
}

/// Checks files against the signature among them. The answer is whether there is one.
pub fn verify(files: &[BundleFile], rules: &Verification) -> Result<bool, String> {
    let signatures = files.iter().find(|file| file.path == SIGNATURES);
    let signatures = match (rules.mode, signatures) {
        (Mode::Off, _) | (Mode::VerifyIfPresent, None) => return Ok(false),
        (Mode::Required, None) => return Err(format!("bundle missing {SIGNATURES} file")),
        (Mode::VerifyIfPresent | Mode::Required, Some(file)) => file,
    };
    let token = only_token(signatures)?;
    let listed = verify_token(&token, rules)?;
    check_files(files, listed, rules)?;
    Ok(true)
}

/// Rule: exactly one.
fn only_token(file: &BundleFile) -> Result<String, String> {
    let parsed: SignaturesFile = serde_json::from_slice(&file.bytes)
        .map_err(|error| format!("bundle load failed on signatures decode: {error}"))?;
    let mut tokens = parsed.signatures.into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(format!("{SIGNATURES}: missing JWT (expected exactly one)")),
        (Some(_), Some(_)) => Err(format!(
            "{SIGNATURES}: multiple JWTs not supported (expected exactly one)"
        )),
    }
}

/// The files that a token lists, once it is known to be good.
fn verify_token(token: &str, rules: &Verification) -> Result<BTreeMap<String, ListedFile>, String> {
    let malformed = || format!("{SIGNATURES}: the JWT is malformed");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed())?;
    let payload: Payload = serde_json::from_slice(&decode(payload)?).map_err(|_| malformed())?;
    if header.crit.is_some() {
        return Err(malformed());
    }
    // Rule: the configured name of the key, else the token's, else the payload's. It only chooses
    // among keys that are ours.
    let ids = [&rules.key_id, &header.kid, &payload.keyid];
    let id = ids.into_iter().flatten().find(|id| !id.is_empty());
    let key = find_key(rules, id)?;
    let algorithm = key.algorithm().to_string();
    if header.alg != algorithm {
        return Err(format!(
            "{SIGNATURES}: the JWT is not signed with {algorithm}, for which its key is configured"
        ));
    }
    if !key.verifies(signed.as_bytes(), &decode(signature)?) {
        return Err("failed to verify JWT signature".to_owned());
    }
    // Rule: the configured scope, else the key's, and what is not said is the same as `""`.
    let scope = rules.scope.as_ref().or(key.scope.as_ref());
    if payload.scope != *scope.unwrap_or(&String::new()) {
        return Err("scope mismatch".to_owned());
    }
    let mut listed = BTreeMap::new();
    for file in payload.files {
        let name = file.name.strip_prefix('/').unwrap_or(&file.name).to_owned();
        if listed.contains_key(&name) {
            return Err(format!("file {name} is in the bundle signature twice"));
        }
        listed.insert(name, file);
    }
    Ok(listed)
}

fn find_key<'a>(
    rules: &'a Verification,
    id: Option<&String>,
) -> Result<&'a VerificationKey, String> {
    let keys = &rules.keys;
    match id {
        _ if keys.is_empty() => Err("verification key not provided".to_owned()),
        Some(id) => keys.get(id).ok_or_else(|| {
            let shown: String = id.chars().take(MAX_SHOWN).collect();
            format!("verification key corresponding to ID {shown} not found")
        }),
        // Nobody says which, and there is no choice.
        None if keys.len() == 1 => keys.values().next().ok_or_else(String::new),
        None => Err("verification key ID is empty".to_owned()),
    }
}

/// Rule: every file is listed with its hash, and every file that is listed is there.
fn check_files(
    files: &[BundleFile],
    mut listed: BTreeMap<String, ListedFile>,
    rules: &Verification,
) -> Result<(), String> {
    for file in files.iter().filter(|file| file.path != SIGNATURES) {
        let path = &file.path;
        let entry = listed.remove(path);
        if rules
            .exclude_files
            .iter()
            .any(|glob| glob_matches(glob, path))
        {
            // Where signatures are required, nothing goes without.
            if rules.mode == Mode::Required && super::is_loaded(path) {
                return Err(format!(
                    "file {path} is excluded from verification, and cannot be loaded where \
                     signatures are required"
                ));
            }
            continue;
        }
        let entry = entry.ok_or_else(|| format!("file {path} not included in bundle signature"))?;
        if entry.algorithm.is_empty() {
            return Err(format!("no hashing algorithm provided for file {path}"));
        }
        let expected = entry.hash.to_ascii_lowercase();
        let found = hex(&hash::hash(file, &entry.algorithm)?);
        if expected != found {
            let expected: String = expected.chars().take(2 * MAX_SHOWN).collect();
            return Err(format!(
                "{path}: digest mismatch (want: {expected}, got: {found})"
            ));
        }
    }
    match listed.is_empty() {
        true => Ok(()),
        false => {
            let names: Vec<_> = listed.keys().collect();
            Err(format!(
                "file(s) {} specified in bundle signatures but not found in the target bundle",
                go_list(&names)
            ))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
