//! OPA's `services`: servers, how they are trusted, and who asks them. Only those are read that bundles
//! come from or decisions go to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::Reader;
use super::section::Section;
use crate::bundle::{
    Bearer, BundleSource, BundleUrl, Credentials, OAuth2, Secret, SourceTls, SourceUrl,
};
use crate::units::Span;

/// Ways by which OPA can say who asks, and by what they are read here.
const KINDS: [&str; 4] = ["bearer", "client_tls", "oauth2", "s3_signing"];
/// Members of `oauth2` that are for other grants, or for assertions.
const OTHER_GRANTS: [&str; 11] = [
    "additional_claims",
    "aws_kms",
    "aws_signing",
    "azure_keyvault",
    "azure_signing",
    "client_assertion",
    "client_assertion_path",
    "client_assertion_type",
    "include_jti_claim",
    "signing_key",
    "thumbprint",
];

/// Services by name, and which of them were used.
#[derive(Debug, Default)]
pub(super) struct Services {
    given: BTreeMap<String, (String, Value)>,
    used: BTreeSet<String>,
}

impl Services {
    pub(super) fn is_none(&self) -> bool {
        self.given.is_empty()
    }

    pub(super) fn is_one(&self) -> bool {
        self.given.len() == 1
    }
}

impl Reader<'_> {
    /// Rule: a mapping by name, or a list of mappings with a `name`.
    pub(super) fn services(&mut self, value: &Value) -> Services {
        let mut services = Services::default();
        match value {
            Value::Null => {}
            Value::Object(members) => {
                for (name, value) in members {
                    let service = (format!("services.{name}"), value.clone());
                    services.given.insert(name.clone(), service);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("services[{index}]");
                    match item.get("name").and_then(Value::as_str) {
                        None => self.wrong(&path, "has no `name`"),
                        Some(name) => {
                            let service = (path, item.clone());
                            services.given.insert(name.to_owned(), service);
                        }
                    }
                }
            }
            _ => self.wrong("services", "is neither a mapping nor a list"),
        }
        services
    }

    /// Tells which services are asked for nothing.
    pub(super) fn unused(&mut self, services: &Services) {
        for (name, (path, _)) in &services.given {
            if !services.used.contains(name) {
                self.no_effect(path);
            }
        }
    }

    /// Puts into a source which server is asked for a resource, and how. Rule: without a name it is the
    /// service there is.
    pub(super) fn ask(
        &mut self,
        bundle: &str,
        source: &mut BundleSource,
        name: Option<String>,
        resource: &str,
        services: &mut Services,
    ) {
        let only = || {
            let mut names = services.given.keys().cloned();
            names.next().filter(|_| names.next().is_none())
        };
        let Some(name) = name.or_else(only) else {
            return self.wrong(bundle, "needs a `service`: there is not exactly one");
        };
        let Some((path, value)) = services.given.get(&name) else {
            return self.wrong(bundle, &format!("there is no service `{name}`"));
        };
        let is_first = services.used.insert(name);
        let mut section = self.section(path, value);
        let known = (self.problems.len(), self.warnings.len());
        self.server(source, &mut section, resource);
        self.rest(&section);
        // What is wrong with a service is told once, however many bundles come from it.
        if !is_first {
            self.problems.truncate(known.0);
            self.warnings.truncate(known.1);
        }
    }

    fn server(&mut self, source: &mut BundleSource, section: &mut Section, resource: &str) {
        let path = section.path.clone();
        drop(section.take("name"));
        match self.take_text(section, "type").as_deref() {
            Some("oci") => self.wrong(
                &path,
                "registries are not asked: give a service from which the archive can be downloaded",
            ),
            Some(_) => self.no_effect(&section.path_of("type")),
            None => {}
        }
        let base = self.take_text(section, "url").unwrap_or_default();
        let url = format!(
            "{}/{}",
            base.trim_end_matches('/'),
            resource.trim_matches('/')
        );
        match SourceUrl::try_from(url) {
            Ok(url) => source.url = Some(BundleUrl::Server(url)),
            Err(why) => self.wrong(&section.path_of("url"), &why),
        }
        let headers = self.take_map(section, "headers").into_iter();
        source.headers = headers.map(|(name, text)| (name, Secret(text))).collect();
        // Rule: there, the time until an answer begins; here, the least that a download may take.
        let seconds = self.take_number(section, "response_header_timeout_seconds", 0);
        source.timeout = seconds
            .map(Span::from_secs)
            .filter(|span| *span > BundleSource::TIMEOUT);
        if self.take_switch(section, "allow_insecure_tls") {
            self.wrong(
                &section.path_of("allow_insecure_tls"),
                "servers are always verified: give their authority as `tls.ca_cert`",
            );
        }
        let mut tls = SourceTls::default();
        if let Some(mut given) = self.take_section(section, "tls") {
            tls.ca = self.take_text(&mut given, "ca_cert").map(PathBuf::from);
            tls.system_ca = self.take_switch(&mut given, "system_ca_required");
            self.rest(&given);
        }
        if let Some(given) = self.take_section(section, "credentials") {
            source.credentials = self.credentials(given, source, &mut tls);
        }
        source.tls = (tls != SourceTls::default()).then_some(tls);
    }

    fn credentials(
        &mut self,
        mut section: Section,
        source: &mut BundleSource,
        tls: &mut SourceTls,
    ) -> Option<Credentials> {
        let mut given = Vec::new();
        for name in section.names().map(str::to_owned).collect::<Vec<_>>() {
            given.extend(section.take(&name).map(|member| (name, member)));
        }
        if given.len() > 1 {
            let why = "a maximum one credential method must be specified";
            self.wrong(&section.path, why);
        }
        let (name, (path, value)) = given.pop()?;
        let mut section = self.section(&path, &value);
        let credentials = match name.to_ascii_lowercase().as_str() {
            "bearer" => self.bearer(&mut section),
            "oauth2" => self.oauth2(&mut section),
            "s3_signing" => self.s3_signing(&mut section, source),
            "client_tls" => {
                self.client_tls(&mut section, tls);
                None
            }
            _ => {
                let why = format!(
                    "is not supported: of credentials there are {}",
                    list(&KINDS)
                );
                self.wrong(&path, &why);
                return None;
            }
        };
        self.rest(&section);
        credentials
    }

    fn bearer(&mut self, section: &mut Section) -> Option<Credentials> {
        let token = self.take_text(section, "token");
        let token_file = self.take_text(section, "token_path");
        if token.is_some() == token_file.is_some() {
            let why = "specify a value for either the \"token\" or \"token_path\" field";
            self.wrong(&section.path, why);
        }
        let scheme = self.take_text(section, "scheme");
        Some(Credentials::Bearer(Bearer {
            token: token.map(Secret),
            token_file: token_file.map(PathBuf::from),
            scheme: scheme.unwrap_or_else(|| "Bearer".to_owned()),
        }))
    }

    fn client_tls(&mut self, section: &mut Section, tls: &mut SourceTls) {
        tls.cert = self.take_text(section, "cert").map(PathBuf::from);
        tls.key = self.take_text(section, "private_key").map(PathBuf::from);
        if tls.cert.is_none() || tls.key.is_none() {
            self.wrong(&section.path, "needs both of `cert` and `private_key`");
        }
        if self.take_text(section, "private_key_passphrase").is_some() {
            self.wrong(
                &section.path_of("private_key_passphrase"),
                "encrypted keys are not read: give the key as it is, readable for Doorward only",
            );
        }
        // Rule: older than the one of `tls`, which wins.
        let ca = self.take_text(section, "ca_cert").map(PathBuf::from);
        let system_ca = self.take_switch(section, "system_ca_required");
        if tls.ca.is_none() && ca.is_some() {
            (tls.ca, tls.system_ca) = (ca, system_ca);
        }
    }

    fn oauth2(&mut self, section: &mut Section) -> Option<Credentials> {
        match self.take_text(section, "grant_type").as_deref() {
            None | Some("client_credentials") => {}
            Some(_) => {
                let why = "only the grant `client_credentials` is supported";
                self.wrong(&section.path_of("grant_type"), why);
                return None;
            }
        }
        for name in OTHER_GRANTS {
            if let Some((path, _)) = section.take(name) {
                self.wrong(&path, "is not supported: give a `client_secret`");
            }
        }
        let token_url = self.take_text(section, "token_url").unwrap_or_default();
        let token_url = SourceUrl::try_from(token_url);
        let client_id = self.take_text(section, "client_id");
        let client_secret = self.take_text(section, "client_secret");
        let scopes = self.take_texts(section, "scopes").unwrap_or_default();
        let mut secrets = |name: &str| {
            let given = self.take_map(section, name).into_iter();
            given.map(|(name, text)| (name, Secret(text))).collect()
        };
        let headers = secrets("additional_headers");
        let parameters = secrets("additional_parameters");
        if client_id.is_none() || client_secret.is_none() {
            self.wrong(&section.path, "needs `client_id` and `client_secret`");
        }
        match token_url {
            Ok(token_url) => Some(Credentials::OAuth2(OAuth2 {
                token_url,
                client_id: client_id?,
                client_secret: client_secret.map(Secret),
                client_secret_file: None,
                scopes,
                parameters,
                headers,
            })),
            Err(why) => {
                self.wrong(&section.path_of("token_url"), &why);
                None
            }
        }
    }
}

/// Names as a sentence has them.
fn list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
