//! What is stored: bytes under a kind and a key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an entry's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A native object as JSON; its key is kind, namespace and name.
    Resource,
    /// A pushed bundle's archive, by the bundle's name.
    Bundle,
    /// The archive of a bundle that is pushed as a shadow, by the bundle's name.
    ShadowBundle,
    /// A Rego module pushed by itself, by its id.
    Policy,
    /// A JSON document pushed by itself, by its path.
    Data,
    /// The last good download of a bundle that belongs to its URL, by the bundle's name and the URL.
    RemoteBundle,
    /// The digest of all that files held, by [`EntryId::files`].
    Files,
}

/// What names an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    pub kind: EntryKind,
    pub key: String,
}

/// One thing stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    pub bytes: Vec<u8>,
}

impl EntryKind {
    const ALL: [Self; 7] = [
        Self::Resource,
        Self::Bundle,
        Self::ShadowBundle,
        Self::Policy,
        Self::Data,
        Self::RemoteBundle,
        Self::Files,
    ];

    /// Whether it came over the API, and so goes back with it to an earlier revision. What came from
    /// elsewhere stays as it is, and can be had again from there.
    pub fn is_pushed(self) -> bool {
        match self {
            Self::Resource | Self::Bundle | Self::ShadowBundle | Self::Policy | Self::Data => true,
            Self::RemoteBundle | Self::Files => false,
        }
    }

    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Bundle => "bundle",
            Self::ShadowBundle => "shadow_bundle",
            Self::Policy => "policy",
            Self::Data => "data",
            Self::RemoteBundle => "remote_bundle",
            Self::Files => "files",
        }
    }
}

impl FromStr for EntryKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| format!("a kind of entry, `{name}`, is not known"))
    }
}

impl EntryId {
    pub fn new(kind: EntryKind, key: impl Into<String>) -> Self {
        Self {
            kind,
            key: key.into(),
        }
    }

    /// What names the digest of all files.
    pub fn files() -> Self {
        Self::new(EntryKind::Files, "all")
    }
}

impl Entry {
    pub fn new(kind: EntryKind, key: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            id: EntryId::new(kind, key),
            bytes,
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} `{}`", self.kind.name(), self.key)
    }
}
