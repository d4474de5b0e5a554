//! What comes of a comparison: complaints as policies see them, and a score, which says of several
//! failures which came closest.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use regorus::Value;

use super::MAX_TOLD;

/// Where in a document. It is written only for those who complain.
pub(super) enum Path<'a> {
    Root,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
}

/// Longest index with its point.
const MAX_DIGITS: usize = 21;

/// Bytes of all complaints of a check, those that are dropped again as well.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Rc<Cell<usize>>);

/// What is wrong with a part of a document.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    kind: &'static str,
    field: String,
    text: String,
}

impl From<Complaint> for Value {
    fn from(complaint: Complaint) -> Self {
        let error = format!("{}: {}", complaint.field, complaint.text);
        Self::from(BTreeMap::from([
            (Self::from("desc"), Self::from(complaint.text)),
            (Self::from("error"), Self::from(error)),
            (Self::from("field"), Self::from(complaint.field)),
            (Self::from("type"), Self::from(complaint.kind)),
        ]))
    }
}

/// Errors, and how well the rest did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) complaints: Vec<Complaint>,
    pub(super) score: i64,
    told: Told,
}

impl Outcome {
    pub(super) fn of(told: &Told) -> Self {
        Self {
            told: told.clone(),
            ..Self::default()
        }
    }

    pub(super) fn complain(
        &mut self,
        kind: &'static str,
        path: &Path<'_>,
        text: impl Into<String>,
    ) {
        let (mut field, mut text) = (String::new(), text.into());
        self.told.add(path.length() + text.len());
        match self.told.is_too_much() {
            // The check ends soon: all that is left to say is that there was something.
            true => text = String::new(),
            false => field = path.field(),
        }
        self.complaints.push(Complaint { kind, field, text });
        self.score -= 2;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.complaints.extend(other.complaints);
        self.score += other.score;
    }

    pub(super) fn is_valid(&self) -> bool {
        self.complaints.is_empty()
    }
}

// === impl Told ===

impl Told {
    fn add(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    pub(super) fn is_too_much(&self) -> bool {
        self.0.get() > MAX_TOLD
    }
}

// === impl Path ===

impl Path<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Root => 0,
            Self::Member(parent, name) => parent.length() + name.len() + 1,
            Self::Item(parent, _) => parent.length() + MAX_DIGITS,
        }
    }

    /// Rule: names and indices behind each other; the whole document has a name of its own.
    pub(super) fn field(&self) -> String {
        let mut field = String::with_capacity(self.length());
        match self {
            Self::Root => field.push_str("(root)"),
            path => path.write(&mut field),
        }
        field
    }

    fn write(&self, field: &mut String) {
        let (parent, name) = match self {
            Self::Root => return,
            Self::Member(parent, name) => (parent, Cow::Borrowed(*name)),
            Self::Item(parent, index) => (parent, Cow::Owned(index.to_string())),
        };
        parent.write(field);
        if !matches!(parent, Self::Root) {
            field.push('.');
        }
        field.push_str(&name);
    }
}
