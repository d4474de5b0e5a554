//! OPA's `decision_logs`: where decisions go. They become sinks of ours, which hold more while a server
//! is away, and lose nothing uncounted.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Reader;
use super::section::Section;
use super::services::Services;
use crate::bundle::{BundleSource, BundleUrl};
use crate::decision_log;
use crate::sinks::{Kind, SinkConfig};
use crate::units::{Size, Span};

/// Names of the sinks.
const UPLOAD: &str = "opa";
const CONSOLE: &str = "opa-console";
/// OPA's delays, in seconds, and what it takes a limit for that is out of range.
const MIN_DELAY: u64 = 300;
const MAX_DELAY: u64 = 600;
const LEAST_UPLOAD: u64 = 1 << 10;

/// Paths of rules, where they are given.
#[derive(Debug, Default)]
pub(super) struct RecordRuleNames {
    mask: Option<String>,
    drop: Option<String>,
}

// === impl RecordRuleNames ===

impl RecordRuleNames {
    pub(super) fn put_over(&self, config: &mut decision_log::Config<SinkConfig>) {
        for (given, path) in [
            (&self.mask, &mut config.mask_decision),
            (&self.drop, &mut config.drop_decision),
        ] {
            if let Some(given) = given {
                path.clone_from(given);
            }
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn decision_logs(
        &mut self,
        file: &Map<String, Value>,
        services: &mut Services,
    ) -> (Vec<SinkConfig>, RecordRuleNames) {
        let mut sinks = Vec::new();
        let mut rules = RecordRuleNames::default();
        if let Some(value) = file.get("decision_logs").filter(|value| !value.is_null()) {
            let mut section = self.section("decision_logs", value);
            if self.take_switch(&mut section, "console") {
                sinks.push(named(Kind::Console, CONSOLE));
            }
            rules.mask = self.take_text(&mut section, "mask_decision");
            rules.drop = self.take_text(&mut section, "drop_decision");
            sinks.extend(self.upload(&mut section, sinks.is_empty(), services));
            self.rest(&section);
        }
        if let Some(labels) = file.get("labels").filter(|labels| !labels.is_null()) {
            let labels = serde_json::from_value::<BTreeMap<String, String>>(labels.clone());
            match labels {
                _ if sinks.is_empty() => self.no_effect("labels"),
                Ok(labels) => sinks
                    .iter_mut()
                    .for_each(|sink| sink.labels.clone_from(&labels)),
                Err(_) => self.wrong("labels", "is no mapping of texts"),
            }
        }
        (sinks, rules)
    }

    /// Rule: without a service it is the one there is, unless decisions go elsewhere.
    fn upload(
        &mut self,
        section: &mut Section,
        is_only: bool,
        services: &mut Services,
    ) -> Option<SinkConfig> {
        let service = self.take_text(section, "service");
        let partition = self.take_text(section, "partition_name");
        let resource = self.take_text(section, "resource");
        let reporting = self.take_section(section, "reporting");
        if let Some((path, _)) = section.take("plugin") {
            self.no_effect(&path);
            service.as_ref()?;
        }
        let path = section.path.clone();
        if service.is_none() && !(is_only && services.is_one()) {
            if is_only && !services.is_none() {
                let why = "names no `service`, and there are several: nothing is uploaded";
                self.warn(&path, why);
            }
            return None;
        }
        let partition = partition.map(|partition| format!("logs/{partition}"));
        let resource = resource.or(partition).unwrap_or_else(|| "logs".to_owned());
        let mut source = BundleSource::default();
        self.ask(&path, &mut source, service, &resource, services);
        let url = match source.url {
            Some(BundleUrl::Server(url)) => Some(url),
            Some(BundleUrl::Object(_)) => {
                self.wrong(&path, "decisions are not uploaded to object stores");
                return None;
            }
            // What is wrong with it has been told.
            None => return None,
        };
        let mut sink = SinkConfig {
            url,
            headers: source.headers,
            tls: source.tls,
            credentials: source.credentials,
            timeout: source.timeout,
            ..named(Kind::Http, UPLOAD)
        };
        self.reporting(reporting.unwrap_or_default(), &mut sink);
        for why in SinkConfig::problems(std::slice::from_ref(&sink)) {
            self.wrong(&path, &why);
        }
        Some(sink)
    }

    /// Rule: both delays or none; how much is held is for `decision_log.sinks` to say.
    fn reporting(&mut self, mut section: Section, sink: &mut SinkConfig) {
        let least = self.take_number(&mut section, "min_delay_seconds", 0);
        let most = self.take_number(&mut section, "max_delay_seconds", 1);
        let (least, most) = match (least, most) {
            (Some(least), Some(most)) => (least, most),
            (None, None) => (MIN_DELAY, MAX_DELAY),
            (Some(_), None) => {
                self.wrong(&section.path, "misses `max_delay_seconds`");
                (MIN_DELAY, MAX_DELAY)
            }
            (None, Some(_)) => {
                self.wrong(&section.path, "misses `min_delay_seconds`");
                (MIN_DELAY, MAX_DELAY)
            }
        };
        sink.min_delay = Some(Span::from_secs(least));
        sink.max_delay = Some(Span::from_secs(most));
        let limit = self.take_number(&mut section, "upload_size_limit_bytes", 1);
        if limit.is_some_and(|limit| limit < LEAST_UPLOAD) {
            let path = section.path_of("upload_size_limit_bytes");
            self.warn(&path, &format!("is taken for {LEAST_UPLOAD}"));
        }
        sink.upload_size_limit = limit.map(|limit| Size(limit.max(LEAST_UPLOAD)));
        match self.take_text(&mut section, "trigger").as_deref() {
            None | Some("periodic") => {}
            Some(_) => self.no_effect(&section.path_of("trigger")),
        }
        self.rest(&section);
    }
}

fn named(kind: Kind, name: &str) -> SinkConfig {
    SinkConfig {
        name: Some(name.to_owned()),
        ..SinkConfig::new(kind)
    }
}
