//! Section `bundle_verification`: which bundles must be signed, by whom and what for.
//! Checking a signature is left to `signature`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::signature::VerificationKey;
use super::source::BundleSources;
use crate::identity::JwsAlgorithm;

/// Whether a bundle must be signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Signatures are not looked at.
    #[default]
    Off,
    /// A signature that is there must be good.
    VerifyIfPresent,
    /// What is not signed is not loaded.
    Required,
}

/// Section `bundle_verification` of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerificationConfig {
    pub mode: Mode,
    /// By name.
    pub keys: BTreeMap<String, KeyConfig>,
    /// The key that must have signed; otherwise the signature says which of them did.
    pub key_id: Option<String>,
    /// What signatures must be for.
    pub scope: Option<String>,
    /// Paths, with stars inside of segments, that need not be in the signature.
    pub exclude_files: Vec<String>,
}

/// A key that may sign bundles.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    #[serde(default = "rs256", with = "algorithm")]
    algorithm: JwsAlgorithm,
    /// PEM of a public key or certificate, or a secret.
    #[serde(default, skip_serializing)]
    key: Option<KeyText>,
    /// File with the same.
    #[serde(default)]
    key_file: Option<PathBuf>,
    #[serde(default)]
    scope: Option<String>,
}

/// Text of a key, which may be a secret.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct KeyText(String);

/// What differs for one bundle from `bundle_verification`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigningConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_files: Option<Vec<String>>,
}

/// How the signature of a bundle is checked.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    pub mode: Mode,
    pub keys: Arc<BTreeMap<String, VerificationKey>>,
    pub key_id: Option<String>,
    pub scope: Option<String>,
    pub exclude_files: Vec<String>,
}

/// The same for all bundles.
#[derive(Debug, Clone, Default)]
pub struct VerificationSettings {
    general: Verification,
    bundles: BTreeMap<String, Verification>,
}

// === impl VerificationSettings ===

impl VerificationSettings {
    /// Reads the keys. Everything that is wrong is told, with the setting it is about.
    pub fn new(
        config: &VerificationConfig,
        sources: &BundleSources,
    ) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut keys = BTreeMap::new();
        for (id, key) in &config.keys {
            match key.read() {
                Ok(key) => drop(keys.insert(id.clone(), key)),
                Err(why) => problems.push((format!("bundle_verification.keys.{id}"), why)),
            }
        }
        let general = Verification {
            mode: config.mode,
            keys: Arc::new(keys),
            key_id: config.key_id.clone(),
            scope: config.scope.clone(),
            exclude_files: config.exclude_files.clone(),
        };
        let all_keys = &config.keys;
        problems.extend(general.problems("bundle_verification", all_keys));
        let mut bundles = BTreeMap::new();
        for (name, source) in sources {
            if let Some(signing) = &source.signing {
                let verification = general.with(signing);
                problems
                    .extend(verification.problems(&format!("bundles.{name}.signing"), all_keys));
                bundles.insert(name.clone(), verification);
            }
        }
        match problems.is_empty() {
            true => Ok(Self { general, bundles }),
            false => Err(problems),
        }
    }

    /// The same rules for every bundle.
    pub fn for_all(general: Verification) -> Self {
        Self {
            general,
            bundles: BTreeMap::new(),
        }
    }

    pub(super) fn of(&self, bundle: &str) -> &Verification {
        self.bundles.get(bundle).unwrap_or(&self.general)
    }

    /// The bundles of which the configuration says that they must be signed.
    pub fn required_bundles(&self) -> impl Iterator<Item = &str> {
        let required = self.bundles.iter();
        let required = required.filter(|(_, rules)| rules.mode == Mode::Required);
        required.map(|(name, _)| name.as_str())
    }

    /// Whether policy that cannot carry a signature must stay out.
    pub fn is_required(&self) -> bool {
        self.general.mode == Mode::Required
    }
}

// === impl Verification ===

impl Verification {
    fn with(&self, signing: &SigningConfig) -> Self {
        let mut verification = self.clone();
        if let Some(mode) = signing.mode {
            verification.mode = mode;
        }
        if signing.key_id.is_some() {
            verification.key_id.clone_from(&signing.key_id);
        }
        if signing.scope.is_some() {
            verification.scope.clone_from(&signing.scope);
        }
        if let Some(exclude_files) = &signing.exclude_files {
            verification.exclude_files.clone_from(exclude_files);
        }
        verification
    }

    fn problems(&self, section: &str, keys: &BTreeMap<String, KeyConfig>) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.mode != Mode::Off && keys.is_empty() {
            let why = "needs a key in `bundle_verification.keys`".to_owned();
            problems.push((format!("{section}.mode"), why));
        }
        if let Some(id) = self.key_id.as_ref().filter(|id| !keys.contains_key(*id)) {
            let why = format!("there is no `{id}` in `bundle_verification.keys`");
            problems.push((format!("{section}.key_id"), why));
        }
        let odd = |glob: &&String| glob.contains(['?', '[', '\\']);
        for glob in self.exclude_files.iter().filter(odd) {
            let why = format!("`{glob}`: of patterns only `*` is known");
            problems.push((format!("{section}.exclude_files"), why));
        }
        problems
    }
}

// === impl KeyConfig ===

impl KeyConfig {
    fn read(&self) -> Result<VerificationKey, String> {
        let scope = self.scope.clone();
        match (&self.key, &self.key_file) {
            (Some(key), None) => VerificationKey::new(self.algorithm, &key.0, scope),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("{}: {error}", file.display()))?;
                // Editors end files with a line's end.
                let text = text.trim_end_matches(['\r', '\n']);
                VerificationKey::new(self.algorithm, text, scope)
                    .map_err(|why| format!("{}: {why}", file.display()))
            }
            _ => Err("needs one of `key` and `key_file`".to_owned()),
        }
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyText(..)")
    }
}

/// Rule: as in OPA.
fn rs256() -> JwsAlgorithm {
    JwsAlgorithm::Rs256
}

/// Algorithms by their names.
mod algorithm {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::identity::JwsAlgorithm;

    pub(super) fn serialize<S: Serializer>(
        algorithm: &JwsAlgorithm,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(algorithm)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<JwsAlgorithm, D::Error> {
        let name = String::deserialize(deserializer)?;
        let parsed = name.parse();
        parsed.map_err(|_| de::Error::custom(format!("unknown signature algorithm: {name}")))
    }
}
