//! What comes of a comparison: complaints as policies see them, and a score, which says of several
//! failures which came closest.

use std::collections::BTreeMap;

use regorus::Value;

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
}

impl Outcome {
    pub(super) fn complain(&mut self, kind: &'static str, path: &str, text: impl Into<String>) {
        let field = path.strip_prefix("(root).").unwrap_or(path);
        self.complaints.push(Complaint {
            kind,
            field: field.to_owned(),
            text: text.into(),
        });
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
