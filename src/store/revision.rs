//! Revisions: what one changes and who wants it, what is kept of it, and what it comes to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, EntryId};
use super::hash::{Hash, Parts};

/// Most changed entries that a revision lists; the others are counted.
const MAX_LISTED: usize = 100;
/// Longest name of an author, or of what a change is about.
const MAX_NAME_CHARS: usize = 256;

/// Everything stored, at one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// The newest revision, to which the next change is made. 0 when nothing was ever stored.
    pub revision: u64,
    pub entries: Vec<Entry>,
    /// The newest revision was damaged, and this is an earlier one. Kept until somebody has changed
    /// something, so that nobody can miss it.
    pub fallback: Option<Fallback>,
}

/// How a store came to an earlier revision than the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The newest revision, which cannot be used.
    pub damaged: u64,
    /// The one used instead.
    pub loaded: u64,
    pub why: String,
}

/// Who changes something, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    #[serde(rename = "author")]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// What somebody wants to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The program started, with other policy of files.
    Start,
    /// The program started on an earlier revision, as the newest was damaged.
    Fallback,
    /// Files of policy changed.
    Reload,
    /// The store was made by an earlier version of the program.
    Migrate,
    PutBundle,
    DeleteBundle,
    PutShadow,
    DeleteShadow,
    PromoteBundle,
    PutResources,
    DeleteResource,
    PutPolicy,
    DeletePolicy,
    PutData,
    PatchData,
    DeleteData,
    DownloadBundle,
    Rollback,
    /// A call that its caller may not make.
    Refused,
}

/// Somebody wants something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(flatten)]
    pub author: Author,
    pub action: Action,
    /// What it is about: a name, a path, a number.
    pub target: String,
    /// Digest of what was sent.
    #[serde(
        default,
        rename = "sent_sha256",
        skip_serializing_if = "Option::is_none"
    )]
    pub sha256: Option<Hash>,
}

/// What one revision changes.
#[derive(Debug, Clone)]
pub struct Change {
    /// The revision this change is made to: the store's newest.
    pub base: u64,
    /// Smallest number the new revision may have.
    pub at_least: u64,
    /// What was pushed is first set back to what it was at this revision.
    pub restore: Option<u64>,
    pub put: Vec<Entry>,
    /// What is not there need not be deleted.
    pub delete: Vec<EntryId>,
    pub attempt: Attempt,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    Created,
    Updated,
    Deleted,
}

/// An entry that a revision changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryChange {
    #[serde(flatten)]
    pub entry: EntryId,
    pub result: Became,
}

/// What is known of a revision that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    pub number: u64,
    #[serde(flatten)]
    pub header: Header,
}

/// What is kept of a revision beside its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub time: Timestamp,
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The first that changed.
    pub changes: Vec<EntryChange>,
    /// Further ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_changes: usize,
    pub entries: usize,
    pub bytes: u64,
    /// Digest of all entries; the same content has the same.
    #[serde(rename = "content_sha256")]
    pub content: Hash,
    /// Number of its audit record.
    pub audit: u64,
    /// The chain's hash at that record.
    pub audit_hash: Hash,
    /// A damaged revision was passed over before this one, and nobody has changed anything since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Stored {
    /// Whether the newest revision is damaged. The next commit writes down what is here as a revision
    /// of its own.
    pub fn fell_back(&self) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(|fallback| fallback.damaged == self.revision)
    }
}

impl Action {
    /// What follows files and servers, and is not somebody's change to what is pushed.
    pub(super) const OWN: [Self; 5] = [
        Self::Start,
        Self::Fallback,
        Self::Reload,
        Self::Migrate,
        Self::DownloadBundle,
    ];

    pub(super) fn is_own(self) -> bool {
        Self::OWN.contains(&self)
    }
}

/// Entries by what names them, with their contents' digests: all that a revision is.
pub(super) type Rows = BTreeMap<EntryId, Hash>;

impl Author {
    /// Names come from configuration, tokens and certificates: of one that is too long, the beginning
    /// is kept, and control characters are replaced.
    pub fn new(name: &str, address: Option<String>) -> Self {
        Self {
            name: bounded(name),
            address,
        }
    }

    /// The program itself.
    pub fn program() -> Self {
        Self::new("doorward", None)
    }
}

impl Attempt {
    pub fn new(author: Author, action: Action, target: &str) -> Self {
        Self {
            author,
            action,
            target: bounded(target),
            sha256: None,
        }
    }

    /// With the digest of what was sent.
    #[must_use]
    pub fn of(self, sent: &[u8]) -> Self {
        Self {
            sha256: Some(Hash::of(sent)),
            ..self
        }
    }
}

impl Change {
    /// No change yet, made to a revision.
    pub fn to(base: u64, attempt: Attempt) -> Self {
        Self {
            base,
            at_least: base.saturating_add(1),
            restore: None,
            put: Vec::new(),
            delete: Vec::new(),
            attempt,
        }
    }

    /// Whether it leaves everything as it is.
    pub fn is_empty(&self) -> bool {
        self.restore.is_none() && self.put.is_empty() && self.delete.is_empty()
    }
}

/// Digest of everything a revision consists of.
pub(super) fn content(rows: &Rows) -> Hash {
    let mut parts = Parts::of("doorward content");
    for (id, hash) in rows {
        parts.add(id.kind.name().as_bytes());
        parts.add(id.key.as_bytes());
        parts.add(hash.bytes());
    }
    parts.finish()
}

/// What changed between two revisions: the first of it, by the beginning of its name, and how many
/// more.
pub(super) fn changes(old: &Rows, new: &Rows) -> (Vec<EntryChange>, usize) {
    let put = new.iter().filter_map(|(id, hash)| {
        let result = match old.get(id) {
            None => Became::Created,
            Some(other) if other != hash => Became::Updated,
            Some(_) => return None,
        };
        Some((id, result))
    });
    let deleted = old.keys().filter(|id| !new.contains_key(id));
    let all = put.chain(deleted.map(|id| (id, Became::Deleted)));
    let mut listed: Vec<_> = all
        .map(|(id, result)| EntryChange {
            entry: EntryId::new(id.kind, bounded(&id.key)),
            result,
        })
        .collect();
    let more = listed.len().saturating_sub(MAX_LISTED);
    listed.truncate(MAX_LISTED);
    (listed, more)
}

/// The beginning of a text, without control characters.
pub(super) fn bounded(text: &str) -> String {
    let replace = |character: char| match character.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    };
    text.chars().take(MAX_NAME_CHARS).map(replace).collect()
}
