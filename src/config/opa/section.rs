//! Mappings of OPA's file, read member by member: what is asked for is taken out, and what is left has
//! no effect here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Reader;

/// A mapping, and where it stands.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) path: String,
    members: Vec<(String, Value)>,
}

// === impl Section ===

impl Section {
    /// A member and its path. Rule: names are told apart without regard to case, and a member without a
    /// value is not given.
    pub(super) fn take(&mut self, name: &str) -> Option<(String, Value)> {
        let is_it = |(member, _): &(String, Value)| member.eq_ignore_ascii_case(name);
        let (member, value) = self.members.remove(self.members.iter().position(is_it)?);
        (!value.is_null()).then(|| (self.path_of(&member), value))
    }

    /// The path of a member.
    pub(super) fn path_of(&self, member: &str) -> String {
        format!("{}.{member}", self.path)
    }

    /// Names of what was not taken.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// A mapping; nothing is an empty one.
    pub(super) fn section(&mut self, path: &str, value: &Value) -> Section {
        let members = match value {
            Value::Null => Vec::new(),
            Value::Object(members) => members.clone().into_iter().collect(),
            _ => {
                self.wrong(path, "is no mapping");
                Vec::new()
            }
        };
        Section {
            path: path.to_owned(),
            members,
        }
    }

    /// What was not taken has no effect.
    pub(super) fn rest(&mut self, section: &Section) {
        for name in section.names() {
            self.no_effect(&section.path_of(name));
        }
    }

    pub(super) fn take_section(&mut self, section: &mut Section, name: &str) -> Option<Section> {
        let (path, value) = section.take(name)?;
        Some(self.section(&path, &value))
    }

    pub(super) fn take_text(&mut self, section: &mut Section, name: &str) -> Option<String> {
        let (path, value) = section.take(name)?;
        self.text(&path, &value)
    }

    pub(super) fn take_switch(&mut self, section: &mut Section, name: &str) -> bool {
        let taken = section.take(name);
        taken.is_some_and(|(path, value)| self.switch(&path, &value))
    }

    /// A whole number from `least` on.
    pub(super) fn take_number(
        &mut self,
        section: &mut Section,
        name: &str,
        least: u64,
    ) -> Option<u64> {
        let (path, value) = section.take(name)?;
        let number = value.as_u64().filter(|number| *number >= least);
        if number.is_none() {
            self.wrong(&path, &format!("is no whole number from {least} on"));
        }
        number
    }

    pub(super) fn take_texts(&mut self, section: &mut Section, name: &str) -> Option<Vec<String>> {
        let (path, value) = section.take(name)?;
        let texts = value.as_array().and_then(|items| {
            let items = items.iter().map(|item| item.as_str().map(str::to_owned));
            items.collect()
        });
        if texts.is_none() {
            self.wrong(&path, "is no list of texts");
        }
        texts
    }

    /// Names with a text each.
    pub(super) fn take_map(
        &mut self,
        section: &mut Section,
        name: &str,
    ) -> BTreeMap<String, String> {
        let Some((path, value)) = section.take(name) else {
            return BTreeMap::new();
        };
        let texts = value.as_object().and_then(|members| {
            let members = members.iter();
            let members =
                members.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
            members.collect()
        });
        texts.unwrap_or_else(|| {
            self.wrong(&path, "is no mapping of texts");
            BTreeMap::new()
        })
    }
}
