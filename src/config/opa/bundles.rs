//! OPA's `bundles`, the older `bundle`, and `keys`: which bundles come from where, and who must have
//! signed them. They become sources of ours, so that both configurations have one meaning.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::Url;

use super::Reader;
use super::decisions::RecordRuleNames;
use super::section::Section;
use super::services::Services;
use crate::bundle::{
    Bundle, BundleSource, BundleSources, KeyConfig, Mode, Polling, SigningConfig,
    VerificationConfig,
};
use crate::sinks::SinkConfig;
use crate::units::{Size, Span};

/// What the file says of bundles.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    sources: BundleSources,
    keys: BTreeMap<String, KeyConfig>,
    /// Where decisions go, which has its servers from the same part of the file.
    pub(super) sinks: Vec<SinkConfig>,
    /// Which rules say what is masked, and what is not recorded.
    pub(super) record_rules: RecordRuleNames,
}

// === impl Bundles ===

impl Bundles {
    /// Rule: what both configurations name is nobody's.
    pub(super) fn put_over(
        self,
        sources: &mut BundleSources,
        verification: &mut VerificationConfig,
    ) -> Result<(), String> {
        for (name, mut source) in self.sources {
            // A rule that holds for all bundles is not made weaker here.
            if let Some(signing) = &mut source.signing
                && signing.mode == Some(Mode::VerifyIfPresent)
                && verification.mode == Mode::Required
            {
                signing.mode = None;
            }
            if sources.insert(name.clone(), source).is_some() {
                return Err(format!("`bundles`: there is a bundle `{name}` already"));
            }
        }
        for (id, key) in self.keys {
            if verification.keys.insert(id.clone(), key).is_some() {
                return Err(format!("`keys`: there is a key `{id}` already"));
            }
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn bundles(&mut self, file: &Map<String, Value>) -> Bundles {
        let member = |name| file.get(name).unwrap_or(&Value::Null);
        let keys = self.keys(member("keys"));
        let mut services = self.services(member("services"));
        let mut sources = BundleSources::new();
        let given = match member("bundles") {
            Value::Null => Map::new(),
            Value::Object(given) => given.clone(),
            _ => {
                self.wrong("bundles", "is no mapping");
                Map::new()
            }
        };
        for (name, value) in &given {
            let path = format!("bundles.{name}");
            let section = self.section(&path, value);
            let resource = format!("bundles/{name}");
            let source = self.source(section, resource, &mut services, &keys);
            self.add(&path, name, source, &mut sources);
        }
        if let Some(value) = file.get("bundle").filter(|value| !value.is_null()) {
            self.only_bundle(value, &mut sources, &mut services, &keys);
        }
        let (sinks, record_rules) = self.decision_logs(file, &mut services);
        self.unused(&services);
        Bundles {
            sources,
            keys,
            sinks,
            record_rules,
        }
    }

    /// The older way to name one.
    fn only_bundle(
        &mut self,
        value: &Value,
        sources: &mut BundleSources,
        services: &mut Services,
        keys: &BTreeMap<String, KeyConfig>,
    ) {
        let mut section = self.section("bundle", value);
        let Some(name) = self.take_text(&mut section, "name") else {
            return self.wrong("bundle", "needs a `name`");
        };
        let prefix = self.take_text(&mut section, "prefix");
        let prefix = prefix.unwrap_or_else(|| "bundles".to_owned());
        let resource = format!("{}/{name}", prefix.trim_matches('/'));
        let source = self.source(section, resource, services, keys);
        self.add("bundle", &name, source, sources);
    }

    fn add(&mut self, path: &str, name: &str, source: BundleSource, sources: &mut BundleSources) {
        if !Bundle::is_name(name) {
            let why = format!(
                "`{name}` is not a name for a bundle: write `bundles: {{ NAME: {{ resource: … }} }}`"
            );
            self.wrong(path, &why);
        }
        for (key, why) in source.problems() {
            self.wrong(path, &format!("{key} {why}"));
        }
        if sources.insert(name.to_owned(), source).is_some() {
            self.wrong(path, &format!("there is a bundle `{name}` already"));
        }
    }

    fn source(
        &mut self,
        mut section: Section,
        usual: String,
        services: &mut Services,
        keys: &BTreeMap<String, KeyConfig>,
    ) -> BundleSource {
        let mut source = BundleSource {
            signing: self.signing(&mut section, keys),
            ..BundleSource::default()
        };
        let resource = self.take_text(&mut section, "resource").unwrap_or(usual);
        let service = self.take_text(&mut section, "service");
        if resource.starts_with("file:") {
            let url = Url::parse(&resource);
            // A relative one would be read as if it began at the root.
            let url = url.ok().filter(|_| resource.starts_with("file:/"));
            match url.and_then(|url| url.to_file_path().ok()) {
                Some(path) => source.path = Some(path),
                None => self.wrong(&section.path_of("resource"), "is no URL of a file"),
            }
        } else {
            source.persist = Some(self.take_switch(&mut section, "persist"));
            source.polling = self.polling(&mut section);
            let limit = self.take_number(&mut section, "size_limit_bytes", 1);
            source.size_limit = limit.map(Size);
            self.ask(&section.path, &mut source, service, &resource, services);
        }
        match self.take_text(&mut section, "trigger").as_deref() {
            None | Some("periodic") => {}
            Some(_) => {
                let why = "nothing triggers downloads but time: only `periodic` is supported";
                self.wrong(&section.path_of("trigger"), why);
            }
        }
        self.rest(&section);
        source
    }

    /// Rule: both delays, or none.
    fn polling(&mut self, section: &mut Section) -> Option<Polling> {
        let mut section = self.take_section(section, "polling")?;
        let mut polling = Polling::default();
        let least = self.take_number(&mut section, "min_delay_seconds", 0);
        let most = self.take_number(&mut section, "max_delay_seconds", 0);
        match (least, most) {
            (Some(least), Some(most)) => {
                polling.min_delay = Span::from_secs(least);
                polling.max_delay = Span::from_secs(most);
            }
            (None, None) => {}
            (Some(_), None) => self.wrong(&section.path, "misses `max_delay_seconds`"),
            (None, Some(_)) => self.wrong(&section.path, "misses `min_delay_seconds`"),
        }
        let wait = self.take_number(&mut section, "long_polling_timeout_seconds", 1);
        polling.long_polling_timeout = wait.map(Span::from_secs);
        self.rest(&section);
        Some(polling)
    }

    /// Rule: with a `keyid` the bundle must be signed; otherwise a signature that is there must be good,
    /// as soon as there are keys.
    fn signing(
        &mut self,
        section: &mut Section,
        keys: &BTreeMap<String, KeyConfig>,
    ) -> Option<SigningConfig> {
        let given = self.take_section(section, "signing");
        let mut signing = SigningConfig {
            mode: Some(Mode::VerifyIfPresent),
            ..SigningConfig::default()
        };
        let Some(mut section) = given else {
            return (!keys.is_empty()).then_some(signing);
        };
        signing.key_id = self.take_text(&mut section, "keyid");
        signing.scope = self.take_text(&mut section, "scope");
        signing.exclude_files = self.take_texts(&mut section, "exclude_files");
        self.rest(&section);
        match &signing.key_id {
            Some(id) if !keys.contains_key(id) => {
                self.wrong(&section.path, &format!("key id {id} not found"));
            }
            Some(_) => signing.mode = Some(Mode::Required),
            None if keys.is_empty() => self.wrong(&section.path, "needs a key in `keys`"),
            None => {}
        }
        Some(signing)
    }

    fn keys(&mut self, value: &Value) -> BTreeMap<String, KeyConfig> {
        let mut keys = BTreeMap::new();
        let section = self.section("keys", value);
        for id in section.names() {
            let path = section.path_of(id);
            let mut member = self.section(&path, value.get(id).unwrap_or(&Value::Null));
            let key = self.take_text(&mut member, "key");
            let scope = self.take_text(&mut member, "scope");
            let algorithm = self.take_text(&mut member, "algorithm");
            let is_private = member.take("private_key").is_some();
            self.rest(&member);
            match key {
                // With this one something is signed, which bundles are not.
                None if is_private => self.no_effect(&path),
                None => self.wrong(&path, "has no `key`"),
                Some(key) => {
                    let algorithm = algorithm.unwrap_or_else(|| "RS256".to_owned());
                    let config = json!({"algorithm": algorithm, "key": key, "scope": scope});
                    match serde_json::from_value(config) {
                        Ok(config) => drop(keys.insert(id.to_owned(), config)),
                        Err(error) => self.wrong(&path, &error.to_string()),
                    }
                }
            }
        }
        keys
    }
}
