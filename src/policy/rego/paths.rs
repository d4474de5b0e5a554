//! Parts of a document, told by constant paths: sub-trees that matter as a whole, and members on the
//! way to them, of which only matters whether they are there. What a document holds at such a path
//! is not known here.

use std::collections::BTreeMap;

use super::module::reference_from;

/// Longest path that is told apart; what lies deeper belongs to what it lies in.
const MAX_DEPTH: usize = 32;

/// Paths from one root. More paths, or shorter ones, are never wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    whole: bool,
    members: BTreeMap<Box<str>, Self>,
}

/// What matters at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Whether there is anything.
    Presence,
    /// All that is there.
    Whole,
}

static EVERYTHING: Paths = Paths {
    whole: true,
    members: BTreeMap::new(),
};

impl Paths {
    /// The whole document.
    pub fn everything() -> &'static Self {
        &EVERYTHING
    }

    /// Whether all that is here matters.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether nothing deeper matters.
    pub fn is_empty(&self) -> bool {
        !self.whole && self.members.is_empty()
    }

    /// What matters of a member; `None` if nothing does, not even whether it is there.
    pub fn member(&self, name: &str) -> Option<&Self> {
        if self.whole {
            return Some(Self::everything());
        }
        self.members.get(name)
    }

    /// The members that are told apart; none if all that is here matters.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.members.iter().map(|(name, paths)| (&**name, paths))
    }

    pub(super) fn add<S: AsRef<str>>(&mut self, path: impl IntoIterator<Item = S>, how: Use) {
        let mut at = self;
        for (depth, name) in path.into_iter().enumerate() {
            if at.whole {
                return;
            }
            if depth == MAX_DEPTH {
                return at.set_whole();
            }
            at = at.members.entry(name.as_ref().into()).or_default();
        }
        if how == Use::Whole {
            at.set_whole();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.whole {
            return;
        }
        if other.whole {
            return self.set_whole();
        }
        for (name, paths) in &other.members {
            match self.members.get_mut(name) {
                Some(mine) => mine.merge(paths),
                None => drop(self.members.insert(name.clone(), paths.clone())),
            }
        }
    }

    fn set_whole(&mut self) {
        self.whole = true;
        self.members.clear();
    }

    /// The paths themselves, with what matters at their ends.
    pub(super) fn list(&self) -> Vec<(Vec<String>, Use)> {
        let mut list = Vec::new();
        self.collect(&mut Vec::new(), &mut list);
        list
    }

    fn collect(&self, path: &mut Vec<String>, list: &mut Vec<(Vec<String>, Use)>) {
        if self.whole {
            return list.push((path.clone(), Use::Whole));
        }
        if self.members.is_empty() {
            return list.push((path.clone(), Use::Presence));
        }
        for (name, paths) in &self.members {
            path.push(name.to_string());
            paths.collect(path, list);
            path.pop();
        }
    }

    /// As references, for people: `input.attributes.request.http.method`.
    pub fn references(&self, root: &str) -> Vec<String> {
        if self.is_empty() {
            return Vec::new();
        }
        let list = self.list().into_iter();
        list.map(|(path, _)| reference_from(root, path.iter()))
            .collect()
    }
}
