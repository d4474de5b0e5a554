//! What every store must do, as one suite: `contract(open)` with a function that opens the same
//! store again and again. What only the embedded one can suffer is in `embedded`.

mod embedded;

use super::*;
use EntryKind::{Bundle, Data, Files, Policy, RemoteBundle, Resource};

fn config() -> Config {
    Config {
        history: 5,
        audit: 100,
        ..Config::default()
    }
}

fn attempt(action: Action, target: &str) -> Attempt {
    let author = Author::new("ann", Some("192.0.2.1:5".to_owned()));
    Attempt::new(author, action, target)
}

fn entry(kind: EntryKind, key: &str, bytes: &str) -> Entry {
    Entry::new(kind, key, bytes.as_bytes().to_vec())
}

/// A change that puts entries and deletes others.
fn change(base: u64, put: &[(EntryKind, &str, &str)], delete: &[(EntryKind, &str)]) -> Change {
    let mut change = Change::to(base, attempt(Action::PutBundle, "x"));
    let put = put
        .iter()
        .map(|(kind, key, bytes)| entry(*kind, key, bytes));
    change.put.extend(put);
    let delete = delete.iter().map(|(kind, key)| EntryId::new(*kind, *key));
    change.delete.extend(delete);
    change
}

fn stored(revision: u64, entries: &[(EntryKind, &str, &str)]) -> Stored {
    let entries = entries
        .iter()
        .map(|(kind, key, bytes)| entry(*kind, key, bytes));
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|left, right| left.id.cmp(&right.id));
    Stored {
        revision,
        entries,
        fallback: None,
    }
}

async fn audit(store: &impl PolicyStore) -> AuditPage {
    let query = AuditQuery {
        limit: 1000,
        before: None,
    };
    store.audit(query).await.unwrap()
}

/// Everything that is promised of every store, which keeps five revisions and a hundred records.
async fn contract<S: PolicyStore>(open: impl Fn() -> S) {
    changes_are_whole(open()).await;
    the_past_is_kept(open()).await;
    it_is_all_there_after_opening_anew(&open).await;
    old_revisions_go(open()).await;
    attempts_are_recorded(open()).await;
    numbers_can_be_left_out(open()).await;
    old_records_of_changes_go(open()).await;
    downloads_push_out_nothing(open()).await;
}

async fn changes_are_whole(store: impl PolicyStore) {
    assert_eq!(store.load().await.unwrap(), Stored::default());
    assert_eq!(store.revisions().await.unwrap(), []);

    // A change is whole, and its revision the next. Kinds are kept apart, and keys may be anything.
    let first = change(
        0,
        &[
            (Resource, "a", "1"),
            (Bundle, "a", ""),
            (Policy, "p/q.rego", "package q"),
            (Data, "", "{}"),
            (Data, "/ö\n\u{0}", "[1]"),
            (RemoteBundle, "r", "1"),
        ],
        &[],
    );
    assert_eq!(store.commit(first.clone()).await.unwrap(), 1);

    // A change made to an older revision does nothing.
    match store.commit(first).await {
        Err(StoreError::Stale { current: 1 }) => {}
        other => panic!("{other:?}"),
    }

    // What is put again replaces, what is deleted is gone, the rest stays. What is both is put.
    let second = change(
        1,
        &[
            (Resource, "a", "2"),
            (Bundle, "new", "\u{1}"),
            (Data, "", "{}"),
        ],
        &[(Bundle, "a"), (Policy, "never-was"), (Bundle, "new")],
    );
    assert_eq!(store.commit(second).await.unwrap(), 2);
    assert_eq!(store.load().await.unwrap(), second_revision());
}

fn second_revision() -> Stored {
    stored(
        2,
        &[
            (Resource, "a", "2"),
            (Bundle, "new", "\u{1}"),
            (Policy, "p/q.rego", "package q"),
            (Data, "", "{}"),
            (Data, "/ö\n\u{0}", "[1]"),
            (RemoteBundle, "r", "1"),
        ],
    )
}

async fn the_past_is_kept(store: impl PolicyStore) {
    let old = store.load_at(1).await.unwrap();
    assert_eq!(old.revision, 1);
    assert!(old.entries.contains(&entry(Bundle, "a", "")));
    assert!(old.entries.contains(&entry(Resource, "a", "1")));
    assert_eq!(store.load_at(2).await.unwrap(), second_revision());
    for number in [0, 3, u64::MAX / 2, u64::MAX] {
        let error = store.load_at(number).await.unwrap_err();
        assert!(
            matches!(error, StoreError::NotKept(of) if of == number),
            "{error}"
        );
    }

    let revisions = store.revisions().await.unwrap();
    let numbers: Vec<_> = revisions.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [2, 1]);
    let newest = &revisions[0].header;
    assert_eq!(newest.attempt, attempt(Action::PutBundle, "x"));
    assert_eq!((newest.entries, newest.bytes), (6, 17));
    let change = |kind, key: &str, result| EntryChange {
        entry: EntryId::new(kind, key),
        result,
    };
    let expected = [
        change(Resource, "a", Became::Updated),
        change(Bundle, "new", Became::Created),
        change(Bundle, "a", Became::Deleted),
    ];
    assert_eq!(newest.changes, expected);

    // Going back is a revision of its own. What was not pushed stays, and a change can come with it.
    let mut back = change_to(2, Action::Rollback);
    back.restore = Some(1);
    back.put.push(entry(RemoteBundle, "r", "2"));
    assert_eq!(store.commit(back).await.unwrap(), 3);
    let mut expected = old.entries;
    expected.retain(|entry| entry.id.kind != RemoteBundle);
    expected.push(entry(RemoteBundle, "r", "2"));
    assert_eq!(store.load().await.unwrap().entries, expected);
    // The same content has the same digest.
    let mut again = change_to(3, Action::Rollback);
    again.restore = Some(2);
    again.put.push(entry(RemoteBundle, "r", "1"));
    assert_eq!(store.commit(again).await.unwrap(), 4);
    let revisions = store.revisions().await.unwrap();
    assert_eq!(revisions[0].header.content, revisions[2].header.content);
    assert_ne!(revisions[0].header.content, revisions[1].header.content);

    // What is not kept cannot be gone back to.
    let mut back = change_to(4, Action::Rollback);
    back.restore = Some(17);
    let error = store.commit(back).await.unwrap_err();
    assert!(matches!(error, StoreError::NotKept(17)), "{error}");
}

fn change_to(base: u64, action: Action) -> Change {
    Change::to(base, attempt(action, "x"))
}

async fn it_is_all_there_after_opening_anew<S: PolicyStore>(open: &impl Fn() -> S) {
    let store = open();
    let before = (
        store.load().await.unwrap(),
        store.revisions().await.unwrap(),
    );
    assert_eq!(before.0.revision, 4);
    drop(store);
    let store = open();
    // Without having been asked what there is, too.
    let late = store.commit(change(3, &[], &[])).await.unwrap_err();
    assert!(matches!(late, StoreError::Stale { current: 4 }), "{late}");
    let after = (
        store.load().await.unwrap(),
        store.revisions().await.unwrap(),
    );
    assert_eq!(after, before);
}

async fn old_revisions_go(store: impl PolicyStore) {
    for base in 4..14 {
        let content = format!("{base}");
        store
            .commit(change(base, &[(Bundle, "b", &content)], &[]))
            .await
            .unwrap();
    }
    let revisions = store.revisions().await.unwrap();
    let numbers: Vec<_> = revisions.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [14, 13, 12, 11, 10]);
    for number in 10..=14 {
        let old = store.load_at(number).await.unwrap();
        let content = format!("{}", number - 1);
        assert!(old.entries.contains(&entry(Bundle, "b", &content)));
        assert!(old.entries.contains(&entry(Resource, "a", "2")));
    }
    assert!(matches!(
        store.load_at(9).await,
        Err(StoreError::NotKept(9))
    ));
}

async fn attempts_are_recorded(store: impl PolicyStore) {
    let before = audit(&store).await;
    assert!(before.chain.intact, "{:?}", before.chain);
    assert_eq!(before.records.len(), 14);
    let newest = &before.records[0];
    assert_eq!((newest.number, newest.old_revision), (14, 13));
    assert_eq!(
        (newest.new_revision, newest.result),
        (Some(14), Outcome::Success)
    );

    let bad = attempt(Action::DeleteBundle, "no\nsuch").of(b"body");
    let why = "there is no such bundle ".repeat(1000);
    store.record_failure(bad.clone(), 14, why).await.unwrap();
    let after = audit(&store).await;
    assert!(after.chain.intact);
    assert_ne!(after.chain.attempts, before.chain.attempts);
    assert_eq!(after.chain.changes, before.chain.changes);
    let newest = &after.records[0];
    assert_eq!(newest.attempt, bad);
    assert_eq!(newest.attempt.target, "no\u{fffd}such");
    assert_eq!(
        (newest.new_revision, newest.result),
        (None, Outcome::Failure)
    );
    assert_eq!(newest.error.as_ref().unwrap().chars().count(), 1024);

    // A page at a time.
    let query = AuditQuery {
        limit: 2,
        before: Some(15),
    };
    let page = store.audit(query).await.unwrap();
    let numbers: Vec<_> = page.records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, [14, 13]);

    // The oldest go, and the chain holds from there on. Those of changes stay.
    for _ in 0..100 {
        let record = store.record_failure(bad.clone(), 14, "no".to_owned());
        record.await.unwrap();
    }
    let last = audit(&store).await;
    let numbers = last.records.iter().map(|record| record.number);
    let expected = (16..=115).rev().chain((1..=14).rev());
    assert_eq!(numbers.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(last.chain.intact, "{:?}", last.chain);
    assert_eq!(last.chain.changes, before.chain.changes);
    assert_eq!(
        (before.chain.changes.after, before.chain.changes.up_to),
        (0, 14)
    );
    let attempts = last.chain.attempts;
    assert_eq!((attempts.after, attempts.up_to), (15, 115));
}

/// Changes push out changes, and no attempts.
async fn old_records_of_changes_go(store: impl PolicyStore) {
    let attempts = audit(&store).await.chain.attempts;
    for base in 21..130 {
        let content = format!("{base}");
        let put = change(base, &[(Bundle, "b", &content)], &[]);
        store.commit(put).await.unwrap();
    }
    let page = audit(&store).await;
    assert!(page.chain.intact, "{:?}", page.chain);
    let of = |result| {
        page.records
            .iter()
            .filter(move |record| record.result == result)
    };
    assert_eq!(of(Outcome::Success).count(), 100);
    assert_eq!(of(Outcome::Failure).count(), 100);
    assert_eq!(page.chain.attempts, attempts);
    let newest = &page.records[0];
    assert_eq!((newest.number, newest.new_revision), (226, Some(130)));
}

/// A revision that could not be written has its number all the same.
async fn numbers_can_be_left_out(store: impl PolicyStore) {
    let mut later = change(14, &[(Bundle, "b", "later")], &[]);
    later.at_least = 20;
    assert_eq!(store.commit(later).await.unwrap(), 20);
    assert_eq!(store.load().await.unwrap().revision, 20);
    assert_eq!(store.commit(change(20, &[], &[])).await.unwrap(), 21);
}

/// A server that always has something new costs nobody their history.
async fn downloads_push_out_nothing(store: impl PolicyStore) {
    for base in 130..138 {
        let content = base.to_string();
        let mut download = change_to(base, Action::DownloadBundle);
        download.put.push(entry(RemoteBundle, "r", &content));
        assert_eq!(store.commit(download).await.unwrap(), base + 1);
    }
    let numbers = async || {
        let revisions = store.revisions().await.unwrap();
        let numbers = revisions.iter().map(|revision| revision.number);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(
        numbers().await,
        [138, 137, 136, 135, 134, 130, 129, 128, 127, 126]
    );
    let old = store.load_at(126).await.unwrap();
    assert!(old.entries.contains(&entry(Bundle, "b", "125")));
    let old = store.load_at(135).await.unwrap();
    assert!(old.entries.contains(&entry(RemoteBundle, "r", "134")));
    store.commit(change(138, &[], &[])).await.unwrap();
    assert_eq!(
        numbers().await,
        [139, 138, 137, 136, 135, 134, 130, 129, 128, 127]
    );
    assert_eq!(store.load().await.unwrap().revision, 139);
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(|| EmbeddedStore::open(&folder.path().join("policy.db"), config()).unwrap()).await;
}

#[test]
fn settings_that_make_no_sense_are_named() {
    assert!(Config::default().problems().is_empty());
    let bad = Config {
        history: 1,
        audit: 1,
        max_bytes: Size(1),
    };
    let named: Vec<_> = bad.problems().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, ["store.history", "store.audit", "store.max_bytes"]);
}
