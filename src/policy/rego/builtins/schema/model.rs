//! Schemas as they are compared with documents.

use std::collections::BTreeMap;

use serde_json::{Number, Value as Json};

/// A schema's number in its `Compiled`.
pub(super) type Id = usize;

#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) schemas: Vec<Schema>,
}

/// One schema. What it says nothing of is `None` or empty.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// `true` or `false` for a schema.
    pub(super) always: Option<bool>,
    pub(super) reference: Option<Id>,
    pub(super) types: Vec<String>,
    pub(super) properties: Vec<(String, Id)>,
    pub(super) pattern_properties: Vec<(regex::Regex, Id)>,
    pub(super) additional_properties: Option<Additional>,
    pub(super) property_names: Option<Id>,
    pub(super) dependencies: BTreeMap<String, Dependency>,
    pub(super) items: Items,
    pub(super) additional_items: Option<Additional>,
    pub(super) multiple_of: Option<Number>,
    pub(super) minimum: Option<Number>,
    pub(super) exclusive_minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    pub(super) exclusive_maximum: Option<Number>,
    pub(super) length: Bounds,
    pub(super) pattern: Option<(regex::Regex, String)>,
    pub(super) format: Option<String>,
    pub(super) count: Bounds,
    pub(super) required: Vec<String>,
    pub(super) items_count: Bounds,
    pub(super) unique: bool,
    pub(super) contains: Option<Id>,
    pub(super) constant: Option<Json>,
    pub(super) choices: Option<Vec<Json>>,
    pub(super) one_of: Vec<Id>,
    pub(super) any_of: Vec<Id>,
    pub(super) all_of: Vec<Id>,
    pub(super) not: Option<Id>,
    pub(super) condition: Option<Id>,
    pub(super) then: Option<Id>,
    pub(super) otherwise: Option<Id>,
}

/// What becomes of what is not named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Additional {
    Allowed(bool),
    Schema(Id),
}

#[derive(Debug)]
pub(super) enum Dependency {
    Names(Vec<String>),
    Schema(Id),
}

#[derive(Debug, Default)]
pub(super) enum Items {
    #[default]
    Any,
    All(Id),
    Each(Vec<Id>),
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}
