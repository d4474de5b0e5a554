//! What can happen to a file: two processes, other versions, no room, failed writes.

mod damage;

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.db");
        Self {
            _folder: folder,
            path,
        }
    }

    fn open(&self) -> EmbeddedStore {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<EmbeddedStore, StoreError> {
        EmbeddedStore::open(&self.path, config())
    }

    /// Changes the file behind the store's back.
    fn meddle(&self, sql: &str) {
        let connection = Connection::open(&self.path).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// Three revisions of a bundle: `one`, `two` and `three`, beside another that stays.
    async fn with_three(self) -> Self {
        let store = self.open();
        for (base, content) in [(0, "one"), (1, "two"), (2, "three")] {
            let put = [(Bundle, "b", content), (Bundle, "stays", "always")];
            store.commit(change(base, &put, &[])).await.unwrap();
        }
        drop(store);
        self
    }
}

fn revision_of_three(loaded: u64) -> Vec<Entry> {
    let content = ["one", "two", "three"][usize::try_from(loaded - 1).unwrap()];
    vec![
        entry(Bundle, "b", content),
        entry(Bundle, "stays", "always"),
    ]
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let place = Place::new();
    let first = place.open();
    assert!(matches!(place.try_open(), Err(StoreError::InUse(_))));
    drop(first);
    place.open();
}

#[tokio::test]
async fn another_holder_of_the_file_is_noticed() {
    let place = Place::new();
    drop(place.open());
    let connection = Connection::open(&place.path).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(place.try_open(), Err(StoreError::InUse(_))));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open());
    place.meddle("PRAGMA user_version = 99");
    assert!(matches!(
        place.try_open(),
        Err(StoreError::Schema { found: 99, .. })
    ));
}

#[tokio::test]
async fn what_lost_everything_is_not_taken_for_new() {
    let place = Place::new();
    std::fs::write(&place.path, b"").unwrap();
    assert!(matches!(place.try_open(), Err(StoreError::Corrupt { .. })));
    std::fs::write(
        &place.path,
        b"something else entirely, no database at all".repeat(200),
    )
    .unwrap();
    assert!(matches!(place.try_open(), Err(StoreError::Corrupt { .. })));
    std::fs::remove_file(&place.path).unwrap();
    place.meddle("CREATE TABLE another (program INTEGER)");
    assert!(matches!(place.try_open(), Err(StoreError::Corrupt { .. })));
}

/// What is left of a start that was killed is of no consequence.
#[tokio::test]
async fn a_half_made_file_is_made_anew() {
    let place = Place::new();
    std::fs::write(place.path.with_extension("db.new"), b"half").unwrap();
    std::fs::write(place.path.with_extension("db.new-journal"), b"half").unwrap();
    std::fs::write(place.path.with_extension("db.lock"), b"").unwrap();
    assert_eq!(place.open().load().await.unwrap(), Stored::default());
}

/// A folder where a store was, and is no more.
#[tokio::test]
async fn a_store_that_is_gone_is_not_made_anew() {
    let place = Place::new();
    drop(place.open());
    std::fs::remove_file(&place.path).unwrap();
    assert!(matches!(place.try_open(), Err(StoreError::Corrupt { .. })));
    let lock = place.path.with_extension("db.lock");
    std::fs::remove_file(lock).unwrap();
    drop(place.open());

    let place = Place::new();
    std::fs::write(place.path.with_extension("db-journal"), b"half").unwrap();
    assert!(matches!(place.try_open(), Err(StoreError::Corrupt { .. })));
}

/// What is written to a file that has no name any more would be lost.
#[tokio::test]
async fn nothing_is_acknowledged_that_the_next_start_would_not_find() {
    let place = Place::new().with_three().await;
    let store = place.open();
    store.load().await.unwrap();
    let away = place.path.with_extension("away");
    let more = change(3, &[(Bundle, "c", "1")], &[]);
    let refused = async || {
        let error = store.commit(more.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Io(_)), "{error}");
    };
    std::fs::rename(&place.path, &away).unwrap();
    refused().await;
    refused().await;
    // Another of the same content is as good as the one that was open.
    std::fs::copy(&away, &place.path).unwrap();
    assert_eq!(store.commit(more).await.unwrap(), 4);
    drop(store);
    assert_eq!(place.open().load().await.unwrap().revision, 4);
}

const VERSION_1: &str = "
    CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 0), revision INTEGER NOT NULL) STRICT;
    INSERT INTO state VALUES (0, 0);
    CREATE TABLE resources (kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        document TEXT NOT NULL, sha256 BLOB NOT NULL, revision INTEGER NOT NULL,
        PRIMARY KEY (kind, namespace, name)) STRICT;
    CREATE TABLE bundles (name TEXT PRIMARY KEY, archive BLOB NOT NULL, sha256 BLOB NOT NULL,
        revision INTEGER NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_store_of_version_1_is_read() {
    let place = Place::new();
    let hash = |text: &str| Hash::of(text.as_bytes()).to_string();
    let document = r#"{"kind": "AuthorizationPolicy"}"#;
    let rows = format!(
        "{VERSION_1} UPDATE state SET revision = 7;
         INSERT INTO resources VALUES ('AuthorizationPolicy', 'default', 'a', '{document}', x'{}', 3);
         INSERT INTO bundles VALUES ('b', CAST('archive' AS BLOB), x'{}', 7);",
        hash(document),
        hash("archive"),
    );
    place.meddle(&rows);
    let expected = stored(
        7,
        &[
            (Resource, "AuthorizationPolicy/default/a", document),
            (Bundle, "b", "archive"),
        ],
    );
    for _ in 0..2 {
        let store = place.open();
        assert_eq!(store.load().await.unwrap(), expected);
        assert_eq!(store.revisions().await.unwrap()[0].number, 7);
        assert!(audit(&store).await.chain.intact);
    }
    let next = place.open().commit(change(7, &[], &[(Bundle, "b")])).await;
    assert_eq!(next.unwrap(), 8);
}

/// What was recorded before there were two chains goes on as one of changes.
#[tokio::test]
async fn a_store_of_version_2_is_read() {
    let place = Place::new().with_three().await;
    let (records, ends) = {
        let store = place.open();
        let page = audit(&store).await;
        (page.records, page.chain.changes)
    };
    place.meddle(
        "ALTER TABLE state ADD COLUMN audit_number INTEGER;
         ALTER TABLE state ADD COLUMN audit_hash BLOB;
         ALTER TABLE state ADD COLUMN anchor_number INTEGER;
         ALTER TABLE state ADD COLUMN anchor_hash BLOB;
         UPDATE state SET (audit_number, audit_hash, anchor_number, anchor_hash) =
             (SELECT number, hash, anchor_number, anchor_hash FROM chains WHERE kind = 0);
         DROP TABLE chains;
         DROP INDEX audit_by_kind;
         ALTER TABLE audit DROP COLUMN kind;
         PRAGMA user_version = 2;",
    );
    for _ in 0..2 {
        let store = place.open();
        let found = store.load().await.unwrap();
        assert_eq!((found.revision, found.entries), (3, revision_of_three(3)));
        let page = audit(&store).await;
        assert!(page.chain.intact, "{:?}", page.chain);
        assert_eq!((&page.records, page.chain.changes), (&records, ends));
        assert_eq!(page.chain.attempts.up_to, 0);
    }
    let store = place.open();
    let failed = attempt(Action::PutBundle, "b");
    store
        .record_failure(failed, 3, "no".to_owned())
        .await
        .unwrap();
    let next = change(3, &[], &[(Bundle, "b")]);
    assert_eq!(store.commit(next).await.unwrap(), 4);
    let page = audit(&store).await;
    assert!(page.chain.intact, "{:?}", page.chain);
    assert_eq!(
        (page.chain.attempts.up_to, page.chain.changes.up_to),
        (4, 5)
    );
}

#[tokio::test]
async fn an_empty_or_damaged_store_of_version_1() {
    let place = Place::new();
    place.meddle(VERSION_1);
    assert_eq!(place.open().load().await.unwrap(), Stored::default());

    let place = Place::new();
    place.meddle(VERSION_1);
    place.meddle(
        "UPDATE state SET revision = 1; INSERT INTO bundles VALUES ('b', x'00', x'11', 1);",
    );
    for _ in 0..2 {
        assert!(matches!(place.try_open(), Err(StoreError::Corrupt { .. })));
    }
}

#[tokio::test]
async fn a_full_store_says_so_and_recovers() {
    let place = Place::new();
    let store = place.open();
    let large = "x".repeat(200_000);
    store
        .commit(change(0, &[(Bundle, "a", "1")], &[]))
        .await
        .unwrap();
    store.with(|connection, _| {
        let pages: u32 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    });
    for _ in 0..3 {
        let full = change(1, &[(Bundle, "b", &large)], &[]);
        let error = store.commit(full).await.unwrap_err();
        assert!(matches!(error, StoreError::Full), "{error}");
        let failed = attempt(Action::PutBundle, "b");
        drop(store.record_failure(failed, 1, error.to_string()).await);
    }
    assert_eq!(
        store.load().await.unwrap(),
        stored(1, &[(Bundle, "a", "1")])
    );
    store.with(|connection, _| {
        connection
            .pragma_update(None, "max_page_count", 10_000)
            .unwrap();
    });
    let fits = change(1, &[(Bundle, "b", &large)], &[]);
    assert_eq!(store.commit(fits).await.unwrap(), 2);
    // The records of the attempts are all there, in order.
    let page = audit(&store).await;
    let results: Vec<_> = page.records.iter().map(|record| record.result).collect();
    let (no, yes) = (Outcome::Failure, Outcome::Success);
    assert_eq!(results, [yes, no, no, no, yes]);
    assert!(page.chain.intact, "{:?}", page.chain);
}

#[tokio::test]
async fn old_revisions_make_room() {
    let place = Place::new();
    let config = Config {
        max_bytes: Size(1 << 20),
        ..config()
    };
    let store = EmbeddedStore::open(&place.path, config).unwrap();
    for base in 0..20 {
        let content = format!("{base}").repeat(300_000 / 2);
        let put = change(base, &[(Bundle, "b", &content)], &[]);
        store.commit(put).await.unwrap();
    }
    let kept = store.revisions().await.unwrap().len();
    assert!((2..5).contains(&kept), "{kept}");
    // What can never fit is refused, and nothing is lost for it.
    let large = "x".repeat(2 << 20);
    let error = store
        .commit(change(20, &[(Bundle, "c", &large)], &[]))
        .await;
    assert!(matches!(error, Err(StoreError::Full)), "{error:?}");
    assert_eq!(store.revisions().await.unwrap().len(), kept);
    assert!(std::fs::metadata(&place.path).unwrap().len() <= 1 << 20);
}

/// A commit that was told to have failed is not there afterwards, whatever the disk says.
#[tokio::test]
async fn a_commit_in_doubt_is_taken_back() {
    let place = Place::new().with_three().await;
    let store = place.open();
    store.load().await.unwrap();
    store.with(|_, faults| faults.after_commit = true);
    let doubtful = change(3, &[(Bundle, "b", "doubtful")], &[(Bundle, "stays")]);
    let error = store.commit(doubtful.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    let failed = attempt(Action::PutBundle, "b");
    store
        .record_failure(failed, 3, error.to_string())
        .await
        .unwrap();

    let found = store.load().await.unwrap();
    assert_eq!((found.revision, found.entries), (3, revision_of_three(3)));
    let page = audit(&store).await;
    assert!(page.chain.intact, "{:?}", page.chain);
    assert_eq!(
        (page.records.len(), page.records[0].result),
        (4, Outcome::Failure)
    );
    assert_eq!(store.commit(doubtful).await.unwrap(), 4);
    drop(store);
    let found = place.open().load().await.unwrap();
    assert_eq!(found, stored(4, &[(Bundle, "b", "doubtful")]));
}

/// What is built upon is what was read, and not what the file says meanwhile.
#[tokio::test]
async fn rows_that_go_bad_meanwhile_are_not_built_upon() {
    let place = Place::new().with_three().await;
    let store = place.open();
    store.load().await.unwrap();
    store.with(|connection, _| {
        connection
            .execute("UPDATE entries SET key = 'other' WHERE key = 'stays'", [])
            .unwrap();
    });
    // The row that is not what it was ends, and what was there before is written anew.
    store
        .commit(change(3, &[(Bundle, "c", "1")], &[]))
        .await
        .unwrap();
    let keys: Vec<_> = store.load().await.unwrap().entries;
    let mut expected = revision_of_three(3);
    expected.insert(1, entry(Bundle, "c", "1"));
    assert_eq!(keys, expected);
}

/// Records that cannot be written wait; of too many the oldest are counted.
#[tokio::test]
async fn records_that_wait_are_bounded() {
    let place = Place::new();
    let store = place.open();
    store
        .commit(change(0, &[(Bundle, "a", "1")], &[]))
        .await
        .unwrap();
    store.with(|connection, _| connection.pragma_update(None, "query_only", true).unwrap());
    for number in 0..70 {
        let failed = attempt(Action::PutBundle, &number.to_string());
        // After the first failure the file is opened anew: it has to be made unwritable again.
        store
            .record_failure(failed, 1, "no".to_owned())
            .await
            .unwrap_err();
        drop(audit(&store).await);
        store.with(|connection, _| connection.pragma_update(None, "query_only", true).unwrap());
    }
    store.with(|connection, _| connection.pragma_update(None, "query_only", false).unwrap());
    store
        .commit(change(1, &[(Bundle, "a", "2")], &[]))
        .await
        .unwrap();
    let page = audit(&store).await;
    assert!(page.chain.intact, "{:?}", page.chain);
    assert_eq!(page.records.len(), 1 + 64 + 1);
    let oldest = &page.records[64];
    assert_eq!(
        (oldest.lost_before, oldest.attempt.target.as_str()),
        (6, "6")
    );
}
