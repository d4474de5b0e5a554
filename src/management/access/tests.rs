//! Roles and scopes, tokens and their file, failed attempts, and that nothing is let through which
//! the table does not know. The whole is tested with a running server.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower::ServiceExt as _;

use super::attempts::{MAX_FAILURES, WINDOW};
use super::role::Area;
use super::*;
use crate::management::calls::{Call, calls};

/// printf %s old | sha256sum
const OLD_DIGEST: &str = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4";
/// printf %s open-sesame | sha256sum
const DIGEST: &str = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";

fn token(yaml: &str) -> Result<Token, String> {
    let mut documents = crate::yaml::Document::parse_stream(yaml).unwrap();
    documents
        .remove(0)
        .read()
        .map_err(|error| error.to_string())
}

#[test]
fn scopes_cover_what_they_name() {
    use AreaKind::{Bundles, Resources};
    let rows = [
        ("bundles/team-a", Bundles, "team-a", true),
        ("bundles/team-a", Bundles, "team-ab", false),
        ("bundles/team-a", Resources, "team-a", false),
        ("bundles/team-a*", Bundles, "team-ab", true),
        ("bundles/team-a*", Bundles, "team-a", true),
        ("bundles/team-a*", Bundles, "team-b", false),
        ("bundles/*", Bundles, "anything", true),
        ("bundles/*", Resources, "anything", false),
        ("resources/shop", Resources, "shop", true),
        ("resources/shop", Resources, "Shop", false),
        ("resources/shop", Resources, "", false),
    ];
    for (area, kind, name, covered) in rows {
        let grants = Grants::new(vec![Role::PoliciesWrite], Some(vec![area.parse().unwrap()]));
        let grants = grants.unwrap();
        assert_eq!(grants.covers(kind, name), covered, "{area} {name}");
        assert!(!grants.covers_all());
    }
    for wrong in [
        "",
        "bundles",
        "bundles/",
        "bundle/a",
        "bundles/a/b",
        "bundles/a*b",
        "bundles/**",
        "*",
    ] {
        assert!(wrong.parse::<Area>().is_err(), "{wrong}");
    }
}

#[test]
fn tokens_are_read_strictly() {
    let good = [
        format!("sha256:{DIGEST}"),
        format!("{{ name: ci, sha256: {DIGEST}, roles: [admin] }}"),
        format!("{{ name: ci, sha256: 'sha256:{DIGEST}', roles: ['metrics:read'] }}"),
        format!(
            "{{ name: ci, sha256: {DIGEST}, roles: ['policies:write'], scope: [bundles/a*], expires: 2030-01-01T00:00:00Z }}"
        ),
    ];
    for text in good {
        token(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let short = &DIGEST[1..];
    let bad = [
        (DIGEST.to_owned(), "`sha256:`"),
        (format!("sha256:{short}"), "64 hex digits"),
        (format!("sha256:+{short}"), "64 hex digits"),
        (format!("{{ sha256: {DIGEST}, roles: [admin] }}"), "name"),
        (
            format!("{{ name: a b, sha256: {DIGEST}, roles: [admin] }}"),
            "letters",
        ),
        (
            format!("{{ name: '', sha256: {DIGEST}, roles: [admin] }}"),
            "letters",
        ),
        (format!("{{ name: a, sha256: {DIGEST} }}"), "roles"),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: [] }}"),
            "nothing is permitted",
        ),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: [root] }}"),
            "`root` is no role",
        ),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: [admin], scope: [bundles/a] }}"),
            "a scope limits",
        ),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: ['logs:read'], scope: [bundles/a] }}"),
            "a scope limits",
        ),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: ['policies:write'], scope: [] }}"),
            "empty scope",
        ),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: [admin], expires: soon }}"),
            "expires",
        ),
        (
            format!("{{ name: a, sha256: {DIGEST}, roles: [admin], role: admin }}"),
            "role",
        ),
        ("7".to_owned(), "sha256"),
    ];
    for (text, expected) in bad {
        let error = token(&text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_token_is_found_by_its_digest_until_it_expires() {
    let known = [
        token(&format!(
            "{{ name: a, sha256: {}, roles: [admin] }}",
            "a".repeat(64)
        ))
        .unwrap(),
        token(&format!(
            "{{ name: b, sha256: {DIGEST}, roles: [admin], expires: 2030-01-01T00:00:00Z }}"
        ))
        .unwrap(),
    ];
    let found = token::find(known.iter(), "open-sesame").unwrap();
    assert_eq!(found.name, "b");
    assert!(token::find(known.iter(), "open-sesam").is_none());
    assert!(token::find(known.iter(), DIGEST).is_none());
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert!(!found.is_expired(at("2029-12-31T23:59:59Z")));
    assert!(found.is_expired(at("2030-01-01T00:00:00Z")));
}

#[test]
fn it_is_known_which_token_ends_next_and_which_never() {
    let entry = |name: &str, expires: &str| {
        let digest = format!("{:064x}", u64::from(name.as_bytes()[0]));
        token(&format!(
            "{{ name: {name}, sha256: '{digest}', roles: [admin]{expires} }}"
        ))
        .unwrap()
    };
    let tokens = [
        entry("over", ", expires: 2024-01-01T00:00:00Z"),
        entry("later", ", expires: 2040-01-01T00:00:00Z"),
        entry("endless", ""),
        entry("next", ", expires: 2030-01-01T00:00:00Z"),
    ];
    let at = |time: &str| {
        let ends = Ends::of(tokens.iter(), time.parse().unwrap());
        assert_eq!(ends.never, ["endless"]);
        ends.next.map(|(name, end)| (name, end.to_string()))
    };
    let told = |name: &str, end: &str| Some((name.to_owned(), end.to_owned()));
    assert_eq!(
        at("2025-01-01T00:00:00Z"),
        told("next", "2030-01-01T00:00:00Z")
    );
    assert_eq!(
        at("2030-01-01T00:00:00Z"),
        told("later", "2040-01-01T00:00:00Z")
    );
    assert_eq!(at("2050-01-01T00:00:00Z"), None);
}

#[test]
fn a_file_of_tokens_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.yaml");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let other = "b".repeat(64);
    let of = |name: &str, digest: &str| {
        format!("- {{ name: {name}, sha256: {digest}, roles: [admin] }}\n")
    };
    let row = |name: &str| of(name, DIGEST);
    let error = |expected: &str| {
        let error = TokensFile::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    error("cannot be read");
    for mode in [0o644, 0o640, 0o604, 0o660] {
        write(&row("a"), mode);
        error("0600 or stricter");
    }
    for (text, expected) in [
        ("a: b", "sequence"),
        ("open-sesame", "invalid type: string, expected a sequence"),
        ("", "not one list"),
        ("--- []\n--- []", "not one list"),
        ("- [", ""),
        (&*(row("a") + &of("a", &other)), "two tokens are named `a`"),
        (&*(row("a") + &row("b")), "`a` and `b` are the same token"),
        (&" ".repeat((1 << 20) + 1), "larger than"),
    ] {
        write(text, 0o600);
        error(expected);
    }
    write(&row("a"), 0o400);
    let file = TokensFile::open(&path).unwrap();
    assert!(!file.reload().unwrap());
    write(&(row("a") + &of("b", &other)), 0o600);
    assert!(file.reload().unwrap());
    assert_eq!(file.tokens().len(), 2);
    // What cannot be used changes nothing.
    write("- nonsense", 0o600);
    assert!(file.reload().is_err());
    write("[]", 0o644);
    assert!(file.reload().is_err());
    assert_eq!(file.tokens().len(), 2);
    // An empty list is one: nobody.
    write("[]", 0o600);
    assert!(file.reload().unwrap());
    assert!(file.tokens().is_empty());
}

fn peer(address: &str) -> Peer {
    Peer::Tcp(SocketAddr::new(address.parse().unwrap(), 7))
}

#[test]
fn who_fails_too_often_waits() {
    let attempts = Attempts::default();
    let start = Instant::now();
    let (one, other) = (peer("10.0.0.1"), peer("10.0.0.2"));
    for count in 1..=MAX_FAILURES {
        assert_eq!(attempts.must_wait(one, start), None);
        assert_eq!(attempts.failed(one, start), count == MAX_FAILURES);
    }
    assert_eq!(attempts.must_wait(one, start), Some(WINDOW));
    assert!(attempts.must_wait(peer("::ffff:10.0.0.1"), start).is_some());
    assert_eq!(attempts.must_wait(other, start), None);
    assert_eq!(attempts.must_wait(Peer::Unix, start), None);
    let last = start + WINDOW - Duration::from_secs(1);
    assert_eq!(attempts.must_wait(one, last), Some(Duration::from_secs(1)));
    assert_eq!(attempts.must_wait(one, start + WINDOW), None);
    assert!(!attempts.failed(one, start + WINDOW));
    assert_eq!(attempts.must_wait(one, start + WINDOW), None);
}

#[test]
fn a_network_of_ipv6_is_one_source() {
    let attempts = Attempts::default();
    let now = Instant::now();
    for count in 0..MAX_FAILURES {
        attempts.failed(peer(&format!("2001:db8::{count:x}")), now);
    }
    assert!(attempts.must_wait(peer("2001:db8::ffff"), now).is_some());
    assert!(attempts.must_wait(peer("2001:db8:0:1::"), now).is_none());
}

/// Whoever has many addresses cannot make the table large, nor guess without end.
#[test]
fn sources_without_room_count_as_one() {
    let attempts = Attempts::default();
    let now = Instant::now();
    let address = |number: u32| peer(&std::net::Ipv4Addr::from(number).to_string());
    for number in 0..5_000 {
        attempts.failed(address(number), now);
    }
    assert!(attempts.must_wait(address(1_000_000), now).is_some());
    assert!(attempts.must_wait(address(0), now).is_none());
    // Old ones make room.
    let later = now + WINDOW;
    attempts.failed(address(1_000_000), later);
    assert!(attempts.must_wait(address(2_000_000), later).is_none());
}

#[test]
fn credentials_are_read_strictly() {
    let rows: [(&[&str], Result<&str, &str>); 9] = [
        (&[], Err("a bearer token is needed")),
        (&["Bearer abc"], Ok("abc")),
        (&["bearer abc"], Ok("abc")),
        (&["BEARER a b"], Ok("a b")),
        (&["Bearer"], Err("a bearer token is needed")),
        (&["Basic abc"], Err("a bearer token is needed")),
        (&["Bearer a", "Bearer b"], Err("twice")),
        (&["Basic a", "Bearer b"], Err("twice")),
        (&["Bearer \u{e9}"], Err("a bearer token is needed")),
    ];
    for (values, expected) in rows {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.as_bytes().try_into().unwrap());
        }
        match (bearer(&headers), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(expected)) => {
                assert!(
                    format!("{error:?}").contains(expected),
                    "{values:?}: {error:?}"
                );
            }
            (found, _) => panic!("{values:?}: {found:?}"),
        }
    }
    let mut headers = HeaderMap::new();
    let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
    headers.append(AUTHORIZATION, long.try_into().unwrap());
    assert!(bearer(&headers).is_err());
}

/// Whoever fails elsewhere, or at the same address, does not keep the holder of a token out.
#[test]
fn a_known_token_never_waits() {
    let config = Config {
        tokens: vec![
            token(&format!("sha256:{DIGEST}")).unwrap(),
            token(&format!(
                "{{ name: old, sha256: {OLD_DIGEST}, roles: [admin], expires: 2020-01-01T00:00:00Z }}"
            ))
            .unwrap(),
        ],
        ..Config::default()
    };
    let access = Access::new(&config, Arc::default()).unwrap();
    let address = |number: u32| peer(&std::net::Ipv4Addr::from(number).to_string());
    for number in 0..5_000 {
        access.attempts.failed(address(number), Instant::now());
    }
    let ask = |from: Peer, token: &str| {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let found = access.identify(from, &Shown::default(), &Uri::default(), &headers);
        found
            .map(|caller| caller.name)
            .map_err(|error| error.code())
    };
    // One of the many that are not told apart any more, and one that has failed too often.
    for _ in 0..MAX_FAILURES {
        drop(ask(address(1), "guess"));
    }
    for from in [address(1_000_000), address(1)] {
        assert_eq!(ask(from, "open-sesame").unwrap(), "sha256:d7ecdf25");
        assert_eq!(ask(from, "guess"), Err("too_many_attempts"));
        assert_eq!(ask(from, "old"), Err("too_many_attempts"));
    }
}

/// A route that was added past the table is refused, also to who may do everything.
#[tokio::test]
async fn a_call_that_the_table_does_not_know_is_not_let_through() {
    let config = Config {
        tokens: vec![token(&format!("sha256:{DIGEST}")).unwrap()],
        ..Config::default()
    };
    let guard = Guard {
        access: Arc::new(Access::new(&config, Arc::default()).unwrap()),
        needs: Arc::new(Needs::new(calls())),
    };
    let router = Router::new()
        .route("/v1/new", get(|| async { "let through" }))
        .route(
            "/v1/status",
            get(|| async { "let through" }).post(|| async { "let through" }),
        )
        .layer(from_fn_with_state(guard, super::guard));
    let rows = [
        ("GET", "/v1/new", "open-sesame", StatusCode::NOT_FOUND),
        (
            "POST",
            "/v1/status",
            "open-sesame",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        ("GET", "/v1/status", "open-sesame", StatusCode::OK),
        ("HEAD", "/v1/status", "open-sesame", StatusCode::OK),
        ("GET", "/v1/new", "wrong", StatusCode::UNAUTHORIZED),
        ("POST", "/v1/status", "wrong", StatusCode::UNAUTHORIZED),
        ("GET", "/nothing", "wrong", StatusCode::UNAUTHORIZED),
    ];
    for (method, path, token, expected) in rows {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .extension(peer("127.0.0.1"))
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {path} {token}");
    }
}

#[test]
fn what_is_open_is_said_in_two_rows() {
    let open = calls().into_iter().filter(|call| call.need == Need::Open);
    let open: Vec<_> = open.map(|Call { path, .. }| path).collect();
    assert_eq!(open, ["/livez", "/readyz"]);
}
