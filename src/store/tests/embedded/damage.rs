//! Files that were changed behind the store's back: a revision that was stored, or none at all.

use std::path::Path;

use super::*;

/// Each kind of damage to the newest revision, made behind the store's back.
#[tokio::test]
async fn a_damaged_revision_gives_way_to_the_one_before() {
    let rows = [
        (
            "content",
            "UPDATE contents SET bytes = x'00' WHERE bytes = CAST('three' AS BLOB)",
            2,
        ),
        (
            "no content",
            "DELETE FROM contents WHERE bytes = CAST('three' AS BLOB)",
            2,
        ),
        ("entry gone", "DELETE FROM entries WHERE since = 3", 2),
        (
            "entry's key",
            "UPDATE entries SET key = 'c' WHERE since = 3",
            2,
        ),
        (
            "entry's kind",
            "UPDATE entries SET kind = 'nonsense' WHERE since = 3",
            2,
        ),
        (
            "entry added",
            "INSERT INTO entries SELECT kind, 'more', 3, NULL, sha256 FROM entries WHERE since = 3",
            2,
        ),
        (
            "entry again",
            "UPDATE entries SET until = NULL WHERE since = 2",
            2,
        ),
        (
            "header",
            "UPDATE revisions SET header = replace(header, 'ann', 'bob') WHERE number = 3",
            2,
        ),
        (
            "checksum",
            "UPDATE revisions SET sha256 = zeroblob(32) WHERE number = 3",
            2,
        ),
        ("revision gone", "DELETE FROM revisions WHERE number = 3", 2),
        (
            "another's header",
            "UPDATE revisions SET (header, sha256) = (SELECT header, sha256 FROM revisions WHERE number = 2) WHERE number = 3",
            2,
        ),
        ("two gone", "DELETE FROM revisions WHERE number > 1", 1),
        ("state", "UPDATE state SET revision = 2", 3),
        ("no state", "DELETE FROM state", 3),
        (
            "state far off",
            "UPDATE state SET revision = 9223372036854775807",
            3,
        ),
    ];
    for (name, sql, loaded) in rows {
        let place = Place::new().with_three().await;
        place.meddle(sql);
        let store = place.open();
        let found = store.load().await.unwrap();
        let fallback = found.fallback.expect(name);
        assert_eq!(fallback.loaded, loaded, "{name}: {fallback:?}");
        assert_eq!(found.entries, revision_of_three(loaded), "{name}");
        assert!(
            (3..=3003).contains(&found.revision),
            "{name}: {}",
            found.revision
        );

        // What comes next stands on what was loaded, under a number that is new.
        let next = change(found.revision, &[(Bundle, "new", "1")], &[]);
        assert_eq!(
            store.commit(next).await.unwrap(),
            found.revision + 1,
            "{name}"
        );
        let mut expected = revision_of_three(loaded);
        expected.insert(1, entry(Bundle, "new", "1"));
        drop(store);
        let found = place.open().load().await.unwrap();
        assert_eq!((found.entries, found.fallback), (expected, None), "{name}");
    }
}

#[tokio::test]
async fn a_store_without_a_good_revision_is_refused() {
    for sql in [
        "UPDATE contents SET bytes = x'00' WHERE bytes = CAST('always' AS BLOB)",
        "DELETE FROM revisions",
        "DELETE FROM entries",
    ] {
        let place = Place::new().with_three().await;
        place.meddle(sql);
        let store = place.open();
        let error = store.load().await.unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{sql}: {error}"
        );
        // Nothing can be built on it either.
        let error = store.commit(change(3, &[], &[])).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{sql}: {error}"
        );
    }
}

/// Content that came back undamaged replaces what was damaged.
#[tokio::test]
async fn damaged_content_is_healed_by_pushing_it_again() {
    let place = Place::new().with_three().await;
    place.meddle("UPDATE contents SET bytes = x'00' WHERE bytes = CAST('three' AS BLOB)");
    let store = place.open();
    assert!(store.load().await.unwrap().fallback.is_some());
    let again = change(3, &[(Bundle, "b", "three")], &[]);
    assert_eq!(store.commit(again).await.unwrap(), 4);
    assert_eq!(store.load().await.unwrap().entries, revision_of_three(3));
}

/// What can be had again from where it came is left out, and takes back nothing that was pushed.
#[tokio::test]
async fn a_damaged_download_is_left_out() {
    let place = Place::new().with_three().await;
    let store = place.open();
    let put = [(RemoteBundle, "r", "downloaded"), (Files, "all", "digest")];
    store.commit(change(3, &put, &[])).await.unwrap();
    store
        .commit(change(4, &[(Bundle, "b", "one")], &[]))
        .await
        .unwrap();
    drop(store);
    place.meddle(
        "UPDATE contents SET bytes = x'00' WHERE bytes IN (CAST('downloaded' AS BLOB), CAST('digest' AS BLOB))",
    );
    let store = place.open();
    let found = store.load().await.unwrap();
    assert_eq!((found.revision, found.fallback), (5, None));
    assert_eq!(found.entries, revision_of_three(1));
    assert_eq!(
        store.load_at(4).await.unwrap().entries,
        revision_of_three(3)
    );
    // The same again heals it.
    store.commit(change(5, &put, &[])).await.unwrap();
    assert_eq!(store.load().await.unwrap().entries.len(), 4);
}

/// Loads what is left of a file, and fails only if it is something that was never stored.
async fn never_wrong(path: &Path, what: &str, counts: &mut [usize; 3]) {
    let Ok(store) = EmbeddedStore::open(path, config()) else {
        counts[0] += 1;
        return;
    };
    match store.load().await {
        Err(_) => counts[0] += 1,
        Ok(found) => {
            let loaded = found.fallback.map_or(found.revision, |back| back.loaded);
            assert!((1..=3).contains(&loaded), "{what}: {loaded}");
            assert_eq!(found.entries, revision_of_three(loaded), "{what}");
            counts[if loaded == 3 { 2 } else { 1 }] += 1;
        }
    }
}

/// Cuts the file at many places and flips bits all over it: an earlier revision, the newest, or
/// nothing, but never anything else.
#[tokio::test]
async fn torn_files_are_never_taken_for_good() {
    let place = Place::new().with_three().await;
    let good = std::fs::read(&place.path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.db");
    let mut cut = [0; 3];
    for length in (0..good.len()).step_by(509) {
        std::fs::write(&path, &good[..length]).unwrap();
        never_wrong(&path, &format!("cut at {length}"), &mut cut).await;
        drop(std::fs::remove_file(path.with_extension("db-journal")));
    }
    let mut flipped = [0; 3];
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bad).unwrap();
        never_wrong(&path, &format!("flip at {at}"), &mut flipped).await;
        drop(std::fs::remove_file(path.with_extension("db-journal")));
    }
    // Two pages in each other's place.
    let page = 4096;
    let mut swapped = [0; 3];
    for at in 1..good.len() / page - 1 {
        let mut bad = good.clone();
        let (left, right) = bad.split_at_mut((at + 1) * page);
        left[at * page..].swap_with_slice(&mut right[..page]);
        std::fs::write(&path, &bad).unwrap();
        never_wrong(&path, &format!("page {at} swapped"), &mut swapped).await;
        drop(std::fs::remove_file(path.with_extension("db-journal")));
    }
    // The ways of damage were real: some were noticed, and some hit what is free.
    assert!(cut[0] > 0 && flipped[0] + flipped[1] > 0 && flipped[2] > 0 && swapped[0] > 0);
}

#[tokio::test]
async fn every_cut_and_edit_of_the_audit_log_is_seen() {
    let rows = [
        ("none", "SELECT 1", true),
        (
            "edited",
            "UPDATE audit SET record = replace(record, 'ann', 'bob') WHERE number = 2",
            false,
        ),
        ("first gone", "DELETE FROM audit WHERE number = 1", false),
        ("one gone", "DELETE FROM audit WHERE number = 2", false),
        ("last gone", "DELETE FROM audit WHERE number = 4", false),
        ("all gone", "DELETE FROM audit", false),
        (
            "hash",
            "UPDATE audit SET hash = zeroblob(32) WHERE number = 3",
            false,
        ),
        (
            "one added",
            "INSERT INTO audit SELECT 5, kind, record, hash FROM audit WHERE number = 4",
            false,
        ),
        (
            "last gone, and the state with it",
            "DELETE FROM audit WHERE number > 2;
             UPDATE chains SET number = 2, hash = (SELECT hash FROM audit WHERE number = 2)
             WHERE kind = 0",
            false,
        ),
        (
            "attempt edited",
            "UPDATE audit SET record = record || ' ' WHERE number = 4",
            false,
        ),
        (
            "change among attempts",
            "UPDATE audit SET kind = 1 WHERE number = 3",
            false,
        ),
        (
            "first among attempts",
            "UPDATE audit SET kind = 1 WHERE number = 1",
            false,
        ),
        (
            "attempt among changes",
            "UPDATE audit SET kind = 0 WHERE number = 4",
            false,
        ),
        (
            "no such kind",
            "UPDATE audit SET kind = 2 WHERE number = 4",
            false,
        ),
        (
            "chain gone",
            "UPDATE chains SET number = 0, hash = zeroblob(32) WHERE kind = 1",
            false,
        ),
    ];
    for (name, sql, intact) in rows {
        let place = Place::new().with_three().await;
        let store = place.open();
        let failed = attempt(Action::DeleteBundle, "no");
        store
            .record_failure(failed, 3, "no".to_owned())
            .await
            .unwrap();
        drop(store);
        place.meddle(sql);
        let store = place.open();
        let chain = audit(&store).await.chain;
        assert_eq!(chain.intact, intact, "{name}: {chain:?}");
        assert_eq!(chain.problem.is_none(), intact, "{name}");
        // Policy is no worse for it.
        assert_eq!(
            store.load().await.unwrap().entries,
            revision_of_three(3),
            "{name}"
        );
    }
}
