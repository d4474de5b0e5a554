//! A request that Rego is asked about, however many rules it has asked: path, query and body are read
//! once for all of them. What of it goes into a rule's document is left to `input`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use regorus::Value;

use super::{InputError, InputSettings, Known, body, multimap};
use crate::attributes::{Attributes, HttpRequest, split_path_and_query};

/// A request, and what was read of it so far.
#[derive(Debug)]
pub struct RegoRequest<'a> {
    pub(super) attributes: &'a Attributes,
    pub(super) known: Option<Known<'a>>,
    parsed: OnceCell<Result<Parsed, InputError>>,
}

/// What has to be read of a request, whatever is wanted of it: there is no document without.
#[derive(Debug)]
pub(super) struct Parsed {
    path: Vec<String>,
    query: BTreeMap<String, Vec<String>>,
    path_value: OnceCell<Value>,
    query_value: OnceCell<Value>,
    /// With whether it was cut off.
    pub(super) body: Option<(Value, bool)>,
}

// === impl RegoRequest ===

impl<'a> RegoRequest<'a> {
    /// `known` is what was found out about it before.
    pub fn new(attributes: &'a Attributes, known: Option<Known<'a>>) -> Self {
        Self {
            attributes,
            known,
            parsed: OnceCell::new(),
        }
    }

    /// By the settings it is first asked with; within a check there is one set of them.
    pub(super) fn parsed(&self, settings: &InputSettings) -> Result<&Parsed, InputError> {
        let parsed = self
            .parsed
            .get_or_init(|| Parsed::of(self.attributes, settings));
        parsed.as_ref().map_err(Clone::clone)
    }
}

// === impl Parsed ===

impl Parsed {
    fn of(attributes: &Attributes, settings: &InputSettings) -> Result<Self, InputError> {
        let empty = HttpRequest::default();
        let http = attributes.http().unwrap_or(&empty);
        let (path, query) = split_path_and_query(&http.path)?;
        // Rule: both members are left out, and what is wrong with the body is not looked at.
        let body = match settings.skip_body {
            true => None,
            false => Some(body::parsed(http, &path, settings)?),
        };
        Ok(Self {
            path,
            query,
            path_value: OnceCell::new(),
            query_value: OnceCell::new(),
            body,
        })
    }

    pub(super) fn path(&self) -> Value {
        let segments = || self.path.iter().map(|segment| segment.as_str().into());
        let value = self
            .path_value
            .get_or_init(|| Value::from(segments().collect::<Vec<_>>()));
        value.clone()
    }

    pub(super) fn query(&self) -> Value {
        let value = self.query_value.get_or_init(|| multimap(&self.query));
        value.clone()
    }
}
