//! OPA's own configuration file with the options of opa-envoy-plugin and its bundles, put over ours.
//! What would bring policy and is not supported is refused, since requests would be decided without it;
//! everything else that has no effect here is told, a warning each.

mod bundles;
mod decisions;
mod section;
mod services;
mod signing;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Config, ConfigError, Flag};
use crate::ext_authz::Replies;
use crate::policy::OnError;
use crate::policy::config::{DurationBuckets, EntrypointConfig};
use crate::policy::rego::DEFAULT_ENTRYPOINT;
use crate::sinks::SinkConfig;
use crate::units::{Size, Span};
use crate::yaml::{Document, Problem};
use bundles::Bundles;

/// Names under which the plugin is configured.
const PLUGIN: [&str; 2] = ["envoy_ext_authz_grpc", "envoy.ext_authz.grpc"];
/// Where the plugin listens if it is not told.
const DEFAULT_ADDRESS: &str = ":9191";
/// Longest that a check may take which asks others, where OPA has no limit.
const OUTSIDE_DEADLINE: Span = Span::from_secs(30);
/// Parts that bundles come from, and decisions go to.
const BUNDLES: [&str; 6] = [
    "bundle",
    "bundles",
    "decision_logs",
    "keys",
    "labels",
    "services",
];

pub(super) fn take(
    config: &mut Config,
    file: &Path,
    environment: &HashMap<String, String>,
    flags: &[Flag],
) -> Result<Vec<String>, ConfigError> {
    let shown = file.display();
    let fail = |why: String| ConfigError(vec![format!("{shown}: {why}")]);
    let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let text = substitute(&text, environment).map_err(fail)?;
    let mut documents =
        Document::parse_stream(&text).map_err(|problem| fail(problem.to_string()))?;
    if documents.len() > 1 {
        return Err(fail("holds more than one document".to_owned()));
    }
    let document = documents.pop().unwrap_or_default();
    let mut reader = Reader {
        document: &document,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let (options, bundles) = reader.file();
    reader.check(&options);
    let Reader {
        problems, warnings, ..
    } = reader;
    if !problems.is_empty() {
        let lines = problems.iter().map(|problem| format!("{shown}:{problem}"));
        return Err(ConfigError(lines.collect()));
    }
    let listens = flags.iter().any(|flag| flag.path == "ext_authz.listen");
    options.put_over(config, listens).map_err(fail)?;
    config
        .decision_log
        .sinks
        .extend(bundles.sinks.iter().cloned());
    bundles.record_rules.put_over(&mut config.decision_log);
    if let Some(why) = SinkConfig::problems(&config.decision_log.sinks).pop() {
        return Err(fail(format!("`decision_logs`: {why}")));
    }
    bundles
        .put_over(&mut config.bundles, &mut config.bundle_verification)
        .map_err(fail)?;
    config.opa_runtime = Some(runtime(&document, environment));
    let warnings = warnings.iter();
    Ok(warnings
        .map(|warning| format!("{shown}:{warning}"))
        .collect())
}

/// What `opa.runtime` tells. Rule: the configuration without credentials and keys, and all of the
/// environment. Headers and queries, which OPA shows, may hold credentials too.
fn runtime(document: &Document, environment: &HashMap<String, String>) -> Value {
    let mut config = document.value.clone();
    // Members are read without regard to case.
    let is_one_of = |name: &str, names: [&str; 2]| {
        let mut names = names.into_iter();
        names.any(|known| known.eq_ignore_ascii_case(name))
    };
    for service in members(&mut config, "services") {
        service.retain(|name, _| !is_one_of(name, ["credentials", "headers"]));
    }
    for key in members(&mut config, "keys") {
        key.retain(|name, _| !is_one_of(name, ["key", "private_key"]));
    }
    for (name, value) in members(&mut config, "bundles").flatten() {
        if let Value::String(text) = value
            && name.eq_ignore_ascii_case("resource")
        {
            text.truncate(text.find('?').unwrap_or(text.len()));
        }
    }
    json!({
        "config": config,
        "env": environment,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": "",
    })
}

/// The mappings in a section, by name or, as OPA takes services too, in a list.
fn members<'a>(
    config: &'a mut Value,
    section: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let section = config.get_mut(section);
    let (named, listed) = match section {
        Some(Value::Object(named)) => (Some(named), None),
        Some(Value::Array(listed)) => (None, Some(listed)),
        _ => (None, None),
    };
    let named = named.into_iter().flat_map(Map::values_mut);
    let listed = listed.into_iter().flatten();
    named.chain(listed).filter_map(Value::as_object_mut)
}

/// Rule: `${NAME}` anywhere in the text is a variable of the environment. OPA takes one that is not
/// set for empty; here that is an error.
fn substitute(text: &str, environment: &HashMap<String, String>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        let value = environment.get(name);
        let value = value.ok_or_else(|| format!("the variable `{name}` is not set"))?;
        result.push_str(before);
        result.push_str(value);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// The plugin's options.
#[derive(Debug, Default)]
struct PluginOptions {
    address: Option<String>,
    path: Option<String>,
    query: Option<String>,
    dry_run: bool,
    reflection: bool,
    skip_body: bool,
    descriptor: Option<String>,
    max_message_bytes: Option<u64>,
    performance_metrics: bool,
    buckets: Option<DurationBuckets>,
}

impl PluginOptions {
    fn put_over(self, config: &mut Config, listens: bool) -> Result<(), String> {
        if !listens {
            let address = self.address.as_deref().unwrap_or(DEFAULT_ADDRESS);
            let address = address.strip_prefix("grpc://").unwrap_or(address);
            config.ext_authz.listen = address.parse().map_err(|why| format!("`addr`: {why}"))?;
        }
        config.ext_authz.reflection |= self.reflection;
        config.ext_authz.replies = Replies::Plugin;
        if let Some(bytes) = self.max_message_bytes {
            config.ext_authz.max_message_bytes = Size(bytes);
        }
        let path = self.path.unwrap_or_else(|| DEFAULT_ENTRYPOINT.to_owned());
        config.rego.entrypoint = Some(EntrypointConfig::Path(path));
        config.rego.query = self.query;
        config.rego.dry_run = self.dry_run;
        config.rego.skip_request_body_parse = self.skip_body;
        config.rego.proto_descriptor = self.descriptor.map(Into::into);
        config.rego.on_error = OnError::Error;
        config.rego.performance_metrics |= self.performance_metrics;
        if let Some(buckets) = self.buckets {
            config.rego.duration_buckets = buckets;
        }
        // Rule: policies may ask others, and only `http.send`'s own limits say for how long.
        config.rego.http_send = true;
        config.external.deadline.get_or_insert(OUTSIDE_DEADLINE);
        Ok(())
    }
}

/// Reads the file, gathering what is wrong and what has no effect.
struct Reader<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, path: &str, message: &str) {
        self.problems.push(self.document.problem(path, message));
    }

    fn no_effect(&mut self, path: &str) {
        self.warn(path, "has no effect here");
    }

    fn warn(&mut self, path: &str, message: &str) {
        let warning = self.document.problem(path, message);
        self.warnings.push(warning);
    }

    fn file(&mut self) -> (PluginOptions, Bundles) {
        let mut options = PluginOptions::default();
        let mut bundles = Bundles::default();
        match &self.document.value {
            Value::Null => {}
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "plugins" => self.plugins(value, &mut options),
                        "discovery" if !is_empty(value) => self.wrong(
                            name,
                            "no configuration is downloaded: write into this file what it says",
                        ),
                        name if BUNDLES.contains(&name) => {}
                        name => self.no_effect(name),
                    }
                }
                bundles = self.bundles(members);
            }
            _ => self.wrong("", "is no mapping"),
        }
        (options, bundles)
    }

    fn plugins(&mut self, plugins: &Value, options: &mut PluginOptions) {
        let Value::Object(plugins) = plugins else {
            return self.wrong("plugins", "is no mapping");
        };
        for (name, value) in plugins {
            let path = format!("plugins.{name}");
            match value {
                _ if !PLUGIN.contains(&name.as_str()) => self.no_effect(&path),
                Value::Null => {}
                Value::Object(members) => {
                    for (key, value) in members {
                        self.option(&format!("{path}.{key}"), key, value, options);
                    }
                }
                _ => self.wrong(&path, "is no mapping"),
            }
        }
    }

    /// Rule: keys are told apart without regard to case; one without a value is not given.
    fn option(&mut self, path: &str, key: &str, value: &Value, options: &mut PluginOptions) {
        if value.is_null() {
            return;
        }
        match key.to_ascii_lowercase().as_str() {
            "addr" => options.address = self.text(path, value),
            "path" => options.path = self.text(path, value),
            "query" => options.query = self.text(path, value),
            "dry-run" => options.dry_run = self.switch(path, value),
            "enable-reflection" => options.reflection = self.switch(path, value),
            "skip-request-body-parse" => options.skip_body = self.switch(path, value),
            "enable-performance-metrics" => {
                options.performance_metrics = self.switch(path, value);
            }
            "grpc-request-duration-seconds-buckets" => options.buckets = self.buckets(path, value),
            "grpc-max-recv-msg-size" => match value.as_u64() {
                Some(0) | None => self.wrong(path, "is no size in bytes"),
                size => options.max_message_bytes = size,
            },
            "proto-descriptor" => options.descriptor = self.text(path, value),
            _ => self.no_effect(path),
        }
    }

    /// An empty text is as good as none.
    fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            _ => {
                self.wrong(path, "is no text");
                None
            }
        }
    }

    /// An empty list is as good as none.
    fn buckets(&mut self, path: &str, value: &Value) -> Option<DurationBuckets> {
        let bounds = value.as_array().and_then(|bounds| {
            let bounds = bounds.iter().map(Value::as_f64);
            bounds.collect::<Option<Vec<_>>>()
        });
        match bounds.map(|bounds| (bounds.is_empty(), DurationBuckets::try_from(bounds))) {
            Some((true, _)) => None,
            Some((false, Ok(buckets))) => Some(buckets),
            Some((false, Err(why))) => {
                self.wrong(path, &why);
                None
            }
            None => {
                self.wrong(path, "is no list of numbers");
                None
            }
        }
    }

    fn switch(&mut self, path: &str, value: &Value) -> bool {
        value.as_bool().unwrap_or_else(|| {
            self.wrong(path, "is neither true nor false");
            false
        })
    }

    fn check(&mut self, options: &PluginOptions) {
        if options.path.is_some() && options.query.is_some() {
            let why = "invalid config: specify a value for only the \"path\" field";
            self.wrong("plugins", why);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
