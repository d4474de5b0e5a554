//! The hash of a file as OPA's signatures list it: over the bytes, or for documents over their
//! content, so that layout does not count.

use aws_lc_rs::digest;
use md5::Digest as _;

use crate::bundle::BundleFile;
use crate::policy::rego::{canonical_json, canonical_value};
use crate::yaml::Document;

/// How files are hashed when nothing else is said.
pub(super) const DEFAULT: &str = "SHA-256";

/// The digest of a file by a hash of that name.
pub(super) fn hash(file: &BundleFile, algorithm: &str) -> Result<Vec<u8>, String> {
    let digest = |bytes: &[u8]| digest_by(algorithm, bytes);
    if !is_structured(&file.path) {
        return digest(&file.bytes);
    }
    digest(structure(file)?.as_bytes())
}

/// Rule: by the last part of the name. `data.yml` is not among them, although it is data.
fn is_structured(path: &str) -> bool {
    let base = path.rsplit('/').next().unwrap_or(path);
    matches!(
        base,
        "data.json" | "data.yaml" | ".manifest" | ".signatures.json"
    )
}

/// Rule: JSON, whatever the file is called, else YAML.
fn structure(file: &BundleFile) -> Result<String, String> {
    let not_json = match canonical_json(&file.bytes) {
        Ok(canonical) => return Ok(canonical),
        Err(error) => error,
    };
    // Only where it is loaded as YAML too.
    if !file.path.ends_with(".yaml") {
        return Err(format!("{}: {not_json}", file.path));
    }
    let text = std::str::from_utf8(&file.bytes).map_err(|error| error.to_string())?;
    let documents = Document::parse_stream(text);
    let documents = documents.map_err(|problem| format!("{}: {problem}", file.path))?;
    let value = documents.into_iter().next().map(|first| first.value);
    Ok(canonical_value(
        &value.unwrap_or_else(|| serde_json::json!({})),
    ))
}

fn digest_by(algorithm: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let algorithm = match algorithm {
        "MD5" => return Ok(md5::Md5::digest(bytes).to_vec()),
        "SHA-512-224" => return Ok(sha2::Sha512_224::digest(bytes).to_vec()),
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-224" => &digest::SHA224,
        "SHA-256" => &digest::SHA256,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        "SHA-512-256" => &digest::SHA512_256,
        _ => {
            let shown: String = algorithm.chars().take(50).collect();
            return Err(format!("unsupported hashing algorithm: {shown}"));
        }
    };
    Ok(digest::digest(algorithm, bytes).as_ref().to_vec())
}
