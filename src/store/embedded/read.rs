//! Reading revisions, each of which is verified as a whole: its header against its checksum, its
//! entries against the header, their contents against the entries.

use std::collections::HashSet;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, ToSql};

use super::{chain, corrupt};
use crate::store::audit::{Heads, Kind, Link};
use crate::store::hash::Parts;
use crate::store::revision::{Header, Rows, content};
use crate::store::{Entry, EntryId, Fallback, Hash, Revision, StoreError};

/// How far the numbers of lost revisions are believed to go.
const MAX_LOST: u64 = 1000;

/// What the file must say is the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) revision: u64,
    /// The revision's checksum.
    pub(super) sha256: Hash,
    pub(super) audit: Heads,
}

/// What is stored, as it was read and verified.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) state: State,
    /// The revision that `rows` are of: the newest one, unless that is damaged.
    pub(super) loaded: u64,
    pub(super) rows: Rows,
    pub(super) fallback: Option<Fallback>,
}

/// Reads under one transaction.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    connection: &'a Connection,
    /// Contents that are missing or damaged.
    bad: HashSet<Hash>,
}

impl<'a> Reader<'a> {
    pub(super) fn of(connection: &'a Connection) -> Self {
        Self {
            connection,
            bad: HashSet::new(),
        }
    }

    pub(super) fn connection(&self) -> &'a Connection {
        self.connection
    }

    fn whole(&mut self, number: u64, state: &State) -> Result<(Rows, Vec<Entry>), StoreError> {
        let (checksum, rows) = self.revision(number)?;
        if number == state.revision && checksum != state.sha256 {
            return Err(corrupt(format!(
                "revision {number} is not the one that was stored"
            )));
        }
        let entries = self.entries(&rows)?;
        Ok((rows, entries))
    }

    /// A revision's checksum and the rows it consists of.
    pub(super) fn revision(&self, number: u64) -> Result<(Hash, Rows), StoreError> {
        let (header, checksum) = header(self.connection, number)?;
        let rows = rows_at(self.connection, number)?;
        if content(&rows) == header.content {
            return Ok((checksum, rows));
        }
        Err(corrupt(format!(
            "revision {number} lacks entries or has others"
        )))
    }

    /// The contents of rows: all of what was pushed, and of what came from elsewhere what is good.
    pub(super) fn entries(&mut self, rows: &Rows) -> Result<Vec<Entry>, StoreError> {
        let damaged = |id: &EntryId| {
            corrupt(format!(
                "{id} does not have the checksum it was stored with"
            ))
        };
        let is_bad =
            |(id, hash): &(&EntryId, &Hash)| id.kind.is_pushed() && self.bad.contains(hash);
        if let Some((id, _)) = rows.iter().find(is_bad) {
            return Err(damaged(id));
        }
        let query = "SELECT bytes FROM contents WHERE sha256 = ?";
        let mut statement = self.connection.prepare_cached(query)?;
        let mut entries = Vec::with_capacity(rows.len());
        for (id, hash) in rows {
            let read = statement.query_row([hash], |row| row.get::<_, Vec<u8>>(0));
            match read.optional().map_err(StoreError::from) {
                Ok(Some(bytes)) if Hash::of(&bytes) == *hash => entries.push(Entry {
                    id: id.clone(),
                    bytes,
                }),
                // Rule: what can be had again from elsewhere takes nothing back that was pushed.
                Ok(_) | Err(StoreError::Corrupt { .. }) if !id.kind.is_pushed() => {
                    tracing::error!(entry = %id, "a stored entry is damaged and left out");
                }
                Ok(_) | Err(StoreError::Corrupt { .. }) => {
                    self.bad.insert(*hash);
                    return Err(damaged(id));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// What is known of all revisions, newest first. Of a damaged one nothing is.
    pub(super) fn revisions(&self) -> Result<Vec<Revision>, StoreError> {
        let mut revisions = Vec::new();
        for number in self.numbers()? {
            match header(self.connection, number) {
                Ok((header, _)) => revisions.push(Revision { number, header }),
                Err(StoreError::Corrupt { what }) => {
                    tracing::error!(revision = number, what, "a stored revision is damaged");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(revisions)
    }

    /// Numbers of the revisions there are, newest first, as far as they can be read.
    fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT number FROM revisions ORDER BY number DESC")?;
        let mut numbers = Vec::new();
        for number in statement.query_map([], |row| row.get(0))? {
            match number.map_err(StoreError::from) {
                Ok(number) => numbers.push(number),
                Err(StoreError::Corrupt { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(numbers)
    }
}

/// The newest revision that is undamaged, and what it holds.
pub(super) fn newest(reader: &mut Reader<'_>) -> Result<(Head, Vec<Entry>), StoreError> {
    let numbers = reader.numbers()?;
    let newest = numbers.first().copied().unwrap_or_default();
    let (mut state, mut problem) = match state(reader.connection) {
        Ok(state) => (state, None),
        Err(StoreError::Corrupt { what }) => {
            let audit = last_links(reader.connection);
            (
                State {
                    audit,
                    ..State::default()
                },
                Some(what),
            )
        }
        Err(error) => return Err(error),
    };
    if problem.is_none() && state.revision != newest {
        problem = Some(format!(
            "revision {} is missing",
            newest.max(state.revision)
        ));
    }
    if state.revision == 0 && numbers.is_empty() && problem.is_none() {
        let head = Head {
            state,
            ..Head::default()
        };
        return Ok((head, Vec::new()));
    }
    for number in numbers {
        match reader.whole(number, &state) {
            Ok((rows, entries)) => {
                let believed = state.revision.min(newest.saturating_add(MAX_LOST));
                state.revision = believed.max(newest);
                let fallback = match problem {
                    Some(why) => Some(Fallback {
                        damaged: state.revision,
                        loaded: number,
                        why,
                    }),
                    None => header(reader.connection, number)?.0.fallback,
                };
                let head = Head {
                    loaded: number,
                    rows,
                    fallback,
                    state,
                };
                return Ok((head, entries));
            }
            Err(StoreError::Corrupt { what }) => {
                tracing::error!(revision = number, what, "a stored revision is damaged");
                problem.get_or_insert(what);
            }
            Err(error) => return Err(error),
        }
    }
    let why = problem.unwrap_or_default();
    Err(corrupt(format!("no revision of it can be used: {why}")))
}

/// Whether a file that was opened anew holds what it did. Damaged contents are told and not stumbled
/// over: what is active is in memory, and pushing it again heals them.
pub(super) fn still_holds(connection: &Connection, head: &Head) -> Result<(), StoreError> {
    let mut reader = Reader::of(connection);
    let is_same = state(connection)? == head.state
        && (head.loaded == 0 || reader.revision(head.loaded)?.1 == head.rows);
    if !is_same {
        return Err(corrupt("it is not what it was"));
    }
    match reader.entries(&head.rows) {
        Err(StoreError::Corrupt { what }) => {
            tracing::error!(what, "what is active would not survive a restart");
            Ok(())
        }
        other => other.map(drop),
    }
}

pub(super) fn state(connection: &Connection) -> Result<State, StoreError> {
    let mut audit = Heads::default();
    for kind in Kind::ALL {
        audit.set(kind, chain::ends(connection, kind)?.head);
    }
    let query = "SELECT revision, sha256 FROM state";
    let state = connection.query_row(query, [], |row| {
        Ok(State {
            revision: row.get(0)?,
            sha256: row.get(1)?,
            audit,
        })
    })?;
    Ok(state)
}

/// The newest audit records that are there, whatever should be.
fn last_links(connection: &Connection) -> Heads {
    let query = "SELECT number, hash FROM audit WHERE kind = ? ORDER BY number DESC LIMIT 1";
    let mut heads = Heads::default();
    for kind in Kind::ALL {
        let link = connection.query_row(query, [kind], |row| {
            Ok(Link {
                number: row.get(0)?,
                hash: row.get(1)?,
            })
        });
        heads.set(kind, link.unwrap_or_default());
    }
    heads
}

/// A revision's header, and the checksum of its number and header.
fn header(connection: &Connection, number: u64) -> Result<(Header, Hash), StoreError> {
    if i64::try_from(number).is_err() {
        return Err(StoreError::NotKept(number));
    }
    let query = "SELECT header, sha256 FROM revisions WHERE number = ?";
    let mut statement = connection.prepare_cached(query)?;
    let row = statement.query_row([number], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Hash>(1)?))
    });
    let (text, expected) = row.optional()?.ok_or(StoreError::NotKept(number))?;
    let found = checksum(number, &text);
    let damaged = || {
        corrupt(format!(
            "revision {number} does not have the checksum it was stored with"
        ))
    };
    if found != expected {
        return Err(damaged());
    }
    let header = serde_json::from_str(&text).map_err(|_| damaged())?;
    Ok((header, found))
}

pub(super) fn checksum(number: u64, header: &str) -> Hash {
    let parts = Parts::of("doorward revision");
    let parts = parts.and(&number.to_be_bytes()).and(header.as_bytes());
    parts.finish()
}

/// The entries that hold at a revision.
pub(super) fn rows_at(connection: &Connection, number: u64) -> Result<Rows, StoreError> {
    let query =
        "SELECT kind, key, sha256 FROM entries WHERE since <= ?1 AND (until IS NULL OR until > ?1)";
    let mut statement = connection.prepare_cached(query)?;
    let mut found = statement.query([number])?;
    let mut rows = Rows::new();
    while let Some(row) = found.next()? {
        let kind: String = row.get(0)?;
        let id = EntryId {
            kind: kind.parse().map_err(corrupt)?,
            key: row.get(1)?,
        };
        if rows.insert(id, row.get(2)?).is_some() {
            return Err(corrupt(format!("revision {number} has an entry twice")));
        }
    }
    Ok(rows)
}

impl FromSql for Hash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        Self::from_bytes(bytes).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.bytes().to_sql()
    }
}
