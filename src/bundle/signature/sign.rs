//! Making `.signatures.json` as `opa sign` does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::hash;
use super::key::SigningKey;
use super::{ListedFile, SIGNATURES, hex};
use crate::bundle::BundleFile;

/// What is signed besides the files.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Name of the key, by which verifiers find it.
    pub key_id: Option<String>,
    /// Members of the payload.
    pub more: Map<String, Value>,
}

/// The content of `.signatures.json` for files. One that is among them does not count.
pub fn sign(files: &[BundleFile], key: &SigningKey, claims: &Claims) -> Result<Vec<u8>, String> {
    let mut listed = files
        .iter()
        .filter(|file| file.path != SIGNATURES)
        .map(|file| {
            Ok(ListedFile {
                name: file.path.clone(),
                hash: hex(&hash::hash(file, hash::DEFAULT)?),
                algorithm: hash::DEFAULT.to_owned(),
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    let mut payload = claims.more.clone();
    payload.insert("files".to_owned(), json!(listed));
    let mut header = json!({"alg": key.algorithm().to_string(), "typ": "JWT"});
    if let (Some(id), Some(header)) = (&claims.key_id, header.as_object_mut()) {
        header.insert("kid".to_owned(), json!(id));
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&Value::Object(payload)));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    let content = json!({
        "signatures": [format!("{signed}.{signature}")],
        "plugin": "_default",
    });
    Ok(format!("{content:#}").into_bytes())
}
