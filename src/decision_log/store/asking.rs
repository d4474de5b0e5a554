//! A question as it is asked of one block after the other: which of its records are meant, read no
//! further than it takes to tell.

use rusqlite::Connection;

use super::content;
use super::damage::is_damage;
use crate::decision_log::block::{Damaged, Records, Section, Stored, opened, unpacked};
use crate::decision_log::details::method_of;
use crate::decision_log::query::{Wanted, WantedDigests};

/// A question under way.
pub(super) struct Asking<'a> {
    connection: &'a Connection,
    pub(super) wanted: &'a Wanted,
    digests: WantedDigests,
    /// The first block whose members are all that this version notes.
    newer_from: i64,
}

/// The details of a block, read when the first of them is needed.
pub(super) struct DetailsOf<'a> {
    connection: &'a Connection,
    block: i64,
    unpacked: Option<Vec<u8>>,
}

/// Why a block has nothing to say.
#[derive(Debug)]
pub(super) enum Unread {
    Damaged,
    Store(rusqlite::Error),
}

/// Which of a block's verdicts are meant, as far as they were looked at.
#[derive(Default)]
struct Verdicts(Vec<Option<bool>>);

impl<'a> Asking<'a> {
    pub(super) fn new(connection: &'a Connection, wanted: &'a Wanted) -> rusqlite::Result<Self> {
        let newer_from = "SELECT newer_from FROM numbers";
        Ok(Self {
            connection,
            wanted,
            digests: wanted.digests(),
            newer_from: connection.query_row(newer_from, [], |row| row.get(0))?,
        })
    }

    /// Hands on the records of a block that are meant, the oldest first, if there are any.
    pub(super) fn look_into(
        &self,
        block: i64,
        take: impl FnOnce(Vec<Stored<'_>>, &mut DetailsOf<'_>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        let members = self.content("members", block)?;
        let members = opened(Section::Members, block, &members)?;
        if !self.digests.may_be_among(members, block >= self.newer_from) {
            return Ok(());
        }
        let index = unpacked(Section::Index, block, &self.content("entries", block)?)?;
        let mut details = DetailsOf {
            connection: self.connection,
            block,
            unpacked: None,
        };
        let mut verdicts = Verdicts::default();
        let mut records = Vec::new();
        for record in Records::of(&index) {
            let record = record?;
            if self.wanted.is_met_by(&record)
                && verdicts.is_met_by(&record, self.wanted)
                && self.is_method(&record, &mut details)?
            {
                records.push(record);
            }
        }
        match records.is_empty() {
            true => Ok(()),
            false => take(records, &mut details),
        }
    }

    fn is_method(&self, record: &Stored<'_>, details: &mut DetailsOf<'_>) -> Result<bool, Unread> {
        let Some(wanted) = self.wanted.method() else {
            return Ok(true);
        };
        let method = method_of(details.of(record)?);
        Ok(method.as_deref() == Some(wanted))
    }

    fn content(&self, column: &'static str, block: i64) -> Result<Vec<u8>, Unread> {
        read(self.connection, column, block)
    }
}

fn read(connection: &Connection, column: &'static str, block: i64) -> Result<Vec<u8>, Unread> {
    content(connection, column, block)?.ok_or(Unread::Damaged)
}

// === impl DetailsOf ===

impl DetailsOf<'_> {
    pub(super) fn of(&mut self, record: &Stored<'_>) -> Result<&[u8], Unread> {
        let unpacked = match &mut self.unpacked {
            Some(unpacked) => unpacked,
            none => {
                let details = read(self.connection, "details", self.block)?;
                none.insert(unpacked(Section::Details, self.block, &details)?)
            }
        };
        let (start, length) = record.details;
        let details = unpacked.get(start..).and_then(|rest| rest.get(..length));
        details.ok_or(Unread::Damaged)
    }
}

// === impl Verdicts ===

impl Verdicts {
    fn is_met_by(&mut self, record: &Stored<'_>, wanted: &Wanted) -> bool {
        let number = record.verdict_number;
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        let is_met = || wanted.is_met_by_verdict(&record.verdict);
        match self.0.get_mut(number) {
            Some(known) => *known.get_or_insert_with(is_met),
            None => is_met(),
        }
    }
}

impl From<Damaged> for Unread {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
}

impl From<rusqlite::Error> for Unread {
    fn from(error: rusqlite::Error) -> Self {
        match is_damage(&error) {
            true => Self::Damaged,
            false => Self::Store(error),
        }
    }
}
