//! What every store must do, as one suite: `contract(open)` with a function that opens the same
//! store again and again.

use serde_json::json;

use super::*;
use crate::policy::resource::Kind;

fn id(name: &str) -> ResourceId {
    ResourceId {
        kind: Kind::AuthorizationPolicy,
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn bundle(name: &str, archive: &[u8]) -> StoredBundle {
    StoredBundle {
        name: name.to_owned(),
        archive: archive.to_vec(),
    }
}

async fn contract<S: PolicyStore>(open: impl Fn() -> S) {
    // Empty at first.
    let store = open();
    assert_eq!(store.load().await.unwrap(), Stored::default());

    // A change is whole, and its revision the next.
    let change = Change {
        put_resources: vec![(id("a"), json!({"a": 1})), (id("b"), json!({"b": 1}))],
        put_bundles: vec![bundle("x", b"one"), bundle("y", b"")],
        ..Change::default()
    };
    assert_eq!(store.commit(change.clone()).await.unwrap(), 1);

    // A change made for an older revision does nothing.
    match store.commit(change).await {
        Err(StoreError::Stale { current: 1 }) => {}
        other => panic!("{other:?}"),
    }

    // What is put again replaces, what is deleted is gone, the rest stays.
    let change = Change {
        base: 1,
        put_resources: vec![(id("a"), json!({"a": 2}))],
        delete_resources: vec![id("b"), id("never-was")],
        put_bundles: vec![bundle("x", b"two")],
        delete_bundles: vec!["y".to_owned()],
    };
    assert_eq!(store.commit(change).await.unwrap(), 2);
    let expected = Stored {
        revision: 2,
        resources: vec![json!({"a": 2})],
        bundles: vec![bundle("x", b"two")],
    };
    assert_eq!(store.load().await.unwrap(), expected);

    // It is all there after opening anew.
    drop(store);
    assert_eq!(open().load().await.unwrap(), expected);
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(|| EmbeddedStore::open(&folder.path().join("policy.db")).unwrap()).await;
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.db");
    let _first = EmbeddedStore::open(&path).unwrap();
    assert!(matches!(
        EmbeddedStore::open(&path),
        Err(StoreError::InUse(_))
    ));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.db");
    drop(EmbeddedStore::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(
        EmbeddedStore::open(&path),
        Err(StoreError::Schema { found: 99, .. })
    ));
}

#[tokio::test]
async fn changed_bytes_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.db");
    let store = EmbeddedStore::open(&path).unwrap();
    let change = Change {
        put_bundles: vec![bundle("x", b"one")],
        ..Change::default()
    };
    store.commit(change).await.unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute("UPDATE bundles SET archive = x'00'", [])
        .unwrap();
    drop(connection);
    let store = EmbeddedStore::open(&path).unwrap();
    assert!(matches!(
        store.load().await,
        Err(StoreError::Corrupt { .. })
    ));
}
