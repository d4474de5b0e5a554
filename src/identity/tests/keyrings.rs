//! Which tokens are remembered, and for how long.

use serde_json::{Value, json};

use super::signer::{RS256, Signer};
use super::*;

const MIB: u64 = 1 << 20;

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
    let (keyring, forgetful) = (Keyring::new(MIB), Keyring::new(0));
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
    let keyring = Keyring::new(MIB);
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
    let keyring = Keyring::new(MIB);
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
    let keyring = Keyring::new(MIB);
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
    let keyring = Keyring::new(MIB);
    for bad in ["", "x", "a.b.c", &token(&json!({"iss": "other"}))] {
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
    let small = Keyring::new(100_000);
    for subject in 0..20 {
        let large = token(&json!({"iss": ISSUER, "sub": subject.to_string(), "zeros": zeros}));
        present(&small, &verifier, &large, NOW).unwrap();
    }
    assert!(count(&small).1 <= 100_000, "{:?}", count(&small));
}
