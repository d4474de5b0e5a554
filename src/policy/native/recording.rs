//! Telemetry, compiled: which of a workload's decisions are recorded, as Istio says it of access logs. What a
//! filter's expression means is left to `filter`; no decision depends on any of this.

mod filter;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attachment::Attachment;
use crate::policy::resource::{LogMode, Resource, TelemetrySpec};
use crate::yaml::Problem;
use filter::Filter;
pub use filter::{Observation, ObservedPeer, ObservedRequest};

/// Stands for where decisions go as long as nobody names a provider.
const UNNAMED: &str = "";

/// One object.
#[derive(Debug)]
pub(super) struct CompiledTelemetry {
    /// `namespace/name`.
    name: String,
    pub(super) attachment: Attachment,
    created: Option<jiff::Timestamp>,
    entries: Vec<Entry>,
}

/// What an object says of some providers.
#[derive(Debug)]
struct Entry {
    /// None: of all that there are.
    providers: Vec<String>,
    disabled: bool,
    filter: Option<Arc<Filter>>,
}

/// What is recorded of one workload's decisions: by provider, everything or what a filter lets pass. A
/// record is made if any provider is to have it.
#[derive(Debug)]
pub struct Recording(BTreeMap<String, Option<Arc<Filter>>>);

/// Compiles one object. Rule: entries about the client's side of a connection concern no decision.
pub(super) fn compile(
    resource: &Resource,
    spec: &TelemetrySpec,
) -> Result<CompiledTelemetry, Vec<Problem>> {
    let document = &resource.document;
    let mut problems = Vec::new();
    let attachment = Attachment::compile(
        document,
        spec.selector.as_ref(),
        spec.target_ref.as_ref(),
        spec.target_refs.as_deref(),
        &mut problems,
    );
    let mut entries = Vec::new();
    for (index, entry) in spec.access_logging.iter().flatten().enumerate() {
        let filter = entry.filter.as_ref().map(|filter| {
            Filter::compile(&filter.expression).map_err(|why| {
                let path = format!("spec.accessLogging[{index}].filter.expression");
                problems.push(document.problem(&path, why));
            })
        });
        let mode = entry.r#match.as_ref().map(|it| it.mode).unwrap_or_default();
        if mode != LogMode::Client {
            let providers = entry.providers.iter().flatten();
            entries.push(Entry {
                providers: providers.map(|provider| provider.name.clone()).collect(),
                disabled: entry.disabled.unwrap_or_default(),
                filter: filter.and_then(Result::ok).map(Arc::new),
            });
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(CompiledTelemetry {
        name: format!("{}/{}", resource.id.namespace, resource.id.name),
        attachment,
        created: resource.created,
        entries,
    })
}

/// The oldest of a scope's objects; the others are ignored.
pub(super) fn oldest<'a>(
    objects: impl Iterator<Item = &'a CompiledTelemetry>,
) -> Option<&'a CompiledTelemetry> {
    objects.min_by_key(|object| (object.created.is_none(), object.created, &object.name))
}

// === impl Recording ===

impl Default for Recording {
    /// Rule: without any Telemetry everything is recorded.
    fn default() -> Self {
        Self(BTreeMap::from([(UNNAMED.to_owned(), None)]))
    }
}

impl Recording {
    /// Rule: what the mesh says, then what the namespace says, then what is said of the workload.
    pub(super) fn compose<'a>(
        levels: impl IntoIterator<Item = Option<&'a CompiledTelemetry>>,
    ) -> Self {
        let mut recording = Self::default();
        for object in levels.into_iter().flatten() {
            recording.override_by(&object.entries);
        }
        recording
    }

    fn override_by(&mut self, entries: &[Entry]) {
        // Rule: a level that names providers replaces those named before it.
        if entries.iter().any(|entry| !entry.providers.is_empty()) {
            self.0.clear();
        }
        for entry in entries {
            let named = entry.providers.iter().cloned();
            let providers: Vec<_> = match entry.providers.is_empty() {
                false => named.collect(),
                // Rule: what names none is about all there are; what was turned off is on again.
                true if self.0.is_empty() => vec![UNNAMED.to_owned()],
                true => self.0.keys().cloned().collect(),
            };
            for provider in providers {
                if entry.disabled {
                    self.0.remove(&provider);
                } else {
                    // Rule: the last filter counts, and so does that there is none.
                    self.0.insert(provider, entry.filter.clone());
                }
            }
        }
    }

    /// Whether a decision is recorded. Rule: a filter that fails keeps the record.
    pub fn keeps(&self, observation: &Observation<'_>) -> bool {
        let mut filters = self.0.values();
        filters.any(|filter| {
            filter
                .as_ref()
                .is_none_or(|filter| filter.keeps(observation))
        })
    }
}
