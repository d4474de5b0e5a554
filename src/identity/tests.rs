use std::sync::Arc;

use signer::Signer;

use super::*;

pub(crate) mod certificates;
mod claims;
mod extraction;
mod forwarding;
mod key_sets;
mod keyrings;
mod peers;
pub(crate) mod signer;
mod sources;
mod verification;

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://idp.example.com";

fn verifier(signer: &Signer, audiences: &[&str]) -> Verifier {
    let keys = Keys::Given(Arc::new(KeySet::parse(&signer.jwks()).unwrap()));
    let audiences: Vec<_> = audiences.iter().map(ToString::to_string).collect();
    Verifier::new(ISSUER, &audiences, keys, &["groups".to_owned()])
}

fn verify(verifier: &Verifier, token: &str, now: u64) -> Result<VerifiedToken, TokenError> {
    let keyring = Keyring::new(RemoteKeySets::default(), 0);
    let verified = keyring.verify(verifier, &PresentedToken::new(token), now);
    verified.map(Arc::unwrap_or_clone)
}

/// Verifies at `NOW` and compares the message, `""` for an accepted token.
fn check(verifier: &Verifier, token: &str, expected: &str, about: &str) {
    let actual = verify(verifier, token, NOW);
    let actual = actual.map_or_else(|error| error.to_string(), |_| String::new());
    assert_eq!(actual, expected, "{about}");
}

#[test]
fn spiffe_ids() {
    use SpiffeIdError::{Path, Scheme, TooLong, TrustDomain};
    let longest = format!("spiffe://td/{}", "a".repeat(2048 - 12));
    let too_long = format!("{longest}a");
    let rows: &[(&str, Result<&str, SpiffeIdError>)] = &[
        ("spiffe://td", Ok("td")),
        ("spiffe://td/a", Ok("td")),
        ("spiffe://td.example-1_x/ns/a/sa/b", Ok("td.example-1_x")),
        ("spiffe://td/A.b-c_D/...", Ok("td")),
        (&longest, Ok("td")),
        (&too_long, Err(TooLong)),
        ("", Err(Scheme)),
        ("td/ns/a/sa/b", Err(Scheme)),
        ("SPIFFE://td", Err(Scheme)),
        ("https://td", Err(Scheme)),
        ("spiffe:/td", Err(Scheme)),
        ("spiffe://", Err(TrustDomain)),
        ("spiffe:///a", Err(TrustDomain)),
        ("spiffe://TD/a", Err(TrustDomain)),
        ("spiffe://td:80/a", Err(TrustDomain)),
        ("spiffe://u@td/a", Err(TrustDomain)),
        ("spiffe://td%20/a", Err(TrustDomain)),
        ("spiffe://täd/a", Err(TrustDomain)),
        ("spiffe://td?q", Err(TrustDomain)),
        ("spiffe://td/", Err(Path)),
        ("spiffe://td/a/", Err(Path)),
        ("spiffe://td//a", Err(Path)),
        ("spiffe://td/./a", Err(Path)),
        ("spiffe://td/a/..", Err(Path)),
        ("spiffe://td/a%2fb", Err(Path)),
        ("spiffe://td/a?q=1", Err(Path)),
        ("spiffe://td/a#f", Err(Path)),
        ("spiffe://td/a\0", Err(Path)),
        ("spiffe://td/ä", Err(Path)),
    ];
    for (text, expected) in rows {
        let actual = SpiffeId::parse(text).map(|id| id.trust_domain());
        assert_eq!(actual, *expected, "{text}");
    }
}

#[test]
fn workloads_of_spiffe_ids() {
    let rows: &[(&str, Option<(&str, &str)>)] = &[
        ("spiffe://td/ns/shop/sa/cart", Some(("shop", "cart"))),
        ("spiffe://td", None),
        ("spiffe://td/ns/shop", None),
        ("spiffe://td/ns/shop/sa/cart/more", None),
        ("spiffe://td/x/ns/shop/sa/cart", None),
        ("spiffe://td/sa/cart/ns/shop", None),
        ("spiffe://td/NS/shop/sa/cart", None),
    ];
    for (text, expected) in rows {
        assert_eq!(
            SpiffeId::parse(text).unwrap().workload(),
            *expected,
            "{text}"
        );
    }
}
