//! Which tokens are remembered, and for how long.

use serde_json::{Value, json};

use super::signer::{RS256, Signer};
use super::*;

const MIB: u64 = 1 << 20;

fn remembering(max_bytes: u64) -> Keyring {
    Keyring::new(RemoteKeySets::default(), max_bytes)
}

fn present(
    keyring: &Keyring,
    verifier: &Verifier,
    token: &str,
    now: u64,
) -> Result<Arc<VerifiedToken>, TokenError> {
    keyring.verify(verifier, &PresentedToken::new(token), now)
}

fn token(claims: &Value) -> String {
    RS256.token(claims)
}

#[test]
fn a_repeated_token_is_not_verified_again() {
    let token = token(&json!({"iss": ISSUER, "sub": "a"}));
    let verifier = verifier(&RS256, &[]);
    let (keyring, forgetful) = (remembering(MIB), remembering(0));
    let first = present(&keyring, &verifier, &token, NOW).unwrap();
    let second = present(&keyring, &verifier, &token, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &second), "verified again");
    // A copy of a rule is the same rule.
    let third = present(&keyring, &verifier.clone(), &token, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &third), "verified again");
    let fresh = present(&forgetful, &verifier, &token, NOW).unwrap();
    assert_eq!(fresh, first);
    let again = present(&forgetful, &verifier, &token, NOW).unwrap();
    assert!(!Arc::ptr_eq(&fresh, &again), "remembered");
}

#[test]
fn what_one_rule_accepted_another_judges_itself() {
    let token = token(&json!({"iss": ISSUER, "aud": "shop"}));
    let keyring = remembering(MIB);
    let other_keys = Signer::es256();
    let rows = [
        (verifier(&RS256, &[]), Ok(())),
        (verifier(&RS256, &["shop"]), Ok(())),
        (verifier(&RS256, &["bank"]), Err(TokenError::Audience)),
        (verifier(&other_keys, &[]), Err(TokenError::NoKey)),
    ];
    for round in 0..2 {
        for (verifier, expected) in &rows {
            let actual = present(&keyring, verifier, &token, NOW).map(drop);
            assert_eq!(actual, *expected, "{round}");
        }
    }
}

#[test]
fn a_remembered_token_holds_no_longer_than_itself() {
    let claims = json!({"iss": ISSUER, "nbf": NOW, "exp": NOW + 100});
    let token = token(&claims);
    let verifier = verifier(&RS256, &[]);
    let keyring = remembering(MIB);
    let rows = [
        (NOW, Ok(())),
        (NOW + 160, Ok(())),
        (NOW + 161, Err(TokenError::Expired)),
        // A clock may be set back.
        (NOW - 60, Ok(())),
        (NOW - 61, Err(TokenError::NotYetValid)),
        (NOW, Ok(())),
    ];
    for (now, expected) in rows {
        let actual = present(&keyring, &verifier, &token, now).map(drop);
        assert_eq!(actual, expected, "{now}");
    }
}

#[test]
fn a_token_that_differs_in_one_character_is_another() {
    let good = token(&json!({"iss": ISSUER}));
    let verifier = verifier(&RS256, &[]);
    let keyring = remembering(MIB);
    present(&keyring, &verifier, &good, NOW).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone().into_bytes();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(present(&keyring, &verifier, &bad, NOW).is_err(), "{bad}");
    }
}

#[test]
fn only_good_tokens_are_remembered_and_within_the_bound() {
    let verifier = verifier(&RS256, &[]);
    let count = |keyring: &Keyring| {
        let cache = keyring.verified.as_ref().unwrap();
        cache.run_pending_tasks();
        (cache.entry_count(), cache.weighted_size())
    };
    let keyring = remembering(MIB);
    let long = format!("a.b.{}", "c".repeat(1 << 20));
    for bad in ["", "x", "a.b.c", &long, &token(&json!({"iss": "other"}))] {
        assert!(present(&keyring, &verifier, bad, NOW).is_err());
    }
    assert_eq!(count(&keyring), (0, 0));
    // Small on the wire, large in memory.
    let zeros = vec![0; 1000];
    for subject in 0..20 {
        let large = token(&json!({"iss": ISSUER, "sub": subject.to_string(), "zeros": zeros}));
        present(&keyring, &verifier, &large, NOW).unwrap();
    }
    let (entries, bytes) = count(&keyring);
    assert_eq!(entries, 20);
    assert!(bytes > 20 * 32_000, "{bytes}");
    let small = remembering(100_000);
    for subject in 0..20 {
        let large = token(&json!({"iss": ISSUER, "sub": subject.to_string(), "zeros": zeros}));
        present(&small, &verifier, &large, NOW).unwrap();
    }
    assert!(count(&small).1 <= 100_000, "{:?}", count(&small));
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Missed(std::sync::atomic::AtomicUsize);

impl KeySignal for Missed {
    fn key_missed(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn keys_that_are_fetched() {
    let source = KeySource::at("https://idp.example.com/keys").unwrap();
    let verifier = Verifier::new(
        ISSUER,
        &["shop".to_owned()],
        Keys::Remote(source.clone()),
        &[],
    );
    let set = |signer: &Signer| Some(Arc::new(KeySet::parse(&signer.jwks()).unwrap()));
    let good = json!({"iss": ISSUER, "aud": "shop"});
    let header = json!({"alg": "RS256", "kid": "next"}).to_string();
    let rotated = RS256.token_of(header, good.to_string());
    let forged = format!("{}.AAAA", token(&good).rsplit_once('.').unwrap().0);
    let other = Signer::es256();
    let (no_set, no_key) = (Err(TokenError::NoKeySet), Err(TokenError::NoKey));
    let rows = [
        ("never fetched", None, token(&good), no_set, 1),
        ("fetched", set(&RS256), token(&good), Ok(()), 0),
        ("another key", set(&RS256), rotated, no_key, 1),
        ("another kind of key", set(&other), token(&good), no_key, 1),
        // What no key could help with is no reason to fetch any.
        ("forged", set(&RS256), forged, Err(TokenError::Signature), 0),
        ("no token", None, "x".to_owned(), Err(TokenError::Format), 0),
        (
            "another issuer",
            None,
            token(&json!({"iss": "other"})),
            Err(TokenError::UnknownIssuer),
            0,
        ),
        (
            "expired",
            None,
            token(&json!({"iss": ISSUER, "exp": 1})),
            Err(TokenError::Expired),
            0,
        ),
        (
            "not for us",
            None,
            token(&json!({"iss": ISSUER, "aud": "bank"})),
            Err(TokenError::Audience),
            0,
        ),
    ];
    for (about, set, token, expected, told) in rows {
        for bytes in [0, MIB] {
            let missed = Arc::new(Missed::default());
            let signal = Arc::clone(&missed) as Arc<dyn KeySignal>;
            let remote = RemoteKeys {
                set: set.clone(),
                signal,
            };
            let keyring = Keyring::new([(source.clone(), remote)].into(), bytes);
            let actual = present(&keyring, &verifier, &token, NOW).map(drop);
            assert_eq!(actual, expected, "{about}");
            assert_eq!(
                missed.0.load(std::sync::atomic::Ordering::Relaxed),
                told,
                "{about}"
            );
        }
    }
    // A source that nobody fetches fails closed.
    let actual = present(&remembering(0), &verifier, &token(&good), NOW).map(drop);
    assert_eq!(actual, no_set);
}
