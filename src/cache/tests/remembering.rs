//! What is remembered, for how long, and what is found again.

use super::*;
use crate::decision::Decision;

const SECOND: i64 = 1_000_000_000;
const NOW: i64 = 1_700_000_000 * SECOND;
const ON: CacheSettings = CacheSettings {
    max_bytes: 1 << 20,
    ttl: Duration::from_secs(60),
    tokens_max_bytes: 0,
};

fn by_path() -> Plan {
    let mut reads = Reads::default();
    reads.field(Field::Path);
    Plan::of([&reads])
}

fn key_of(cache: &DecisionCache, path: &str) -> CacheKey {
    let attributes = http(|http| http.path = path.to_owned());
    cache.key(b"w", &by_path(), &attributes).unwrap()
}

fn denial(message: &str) -> Decision {
    Decision::deny(403, Reason::new(ReasonKind::NoPolicy, message))
}

fn lasting(lifetime: Lifetime) -> Arc<Decision> {
    let mut decision = denial("x");
    decision.lifetime = lifetime;
    Arc::new(decision)
}

/// Whether a decision that was made at one second is used at others.
fn check_held(lifetime: Lifetime, made: i64, rows: &[(i64, bool)]) {
    let cache = DecisionCache::new(ON);
    let key = key_of(&cache, "/");
    let decision = lasting(lifetime);
    assert_eq!(cache.insert(&key, &decision, NOW + made), CacheResult::Miss);
    for (asked, expected) in rows {
        let found = cache.get(&key, NOW + asked);
        assert_eq!(
            found.is_some(),
            *expected,
            "{lifetime:?} made {made} asked {asked}"
        );
        assert!(found.is_none_or(|found| found == decision));
    }
}

#[test]
fn decisions_are_kept_while_they_hold() {
    let ttl = |nanos: i64| Lifetime {
        ttl: Some(Duration::from_nanos(nanos.cast_unsigned())),
        ..Lifetime::default()
    };
    let until = |nanos: i64| Lifetime {
        until_ns: Some(NOW + nanos),
        ..Lifetime::default()
    };
    let whole = 60 * SECOND;
    let forever = Lifetime::default();
    // By the configured time, whichever way the clock goes.
    let rows = [
        (0, true),
        (whole - 1, true),
        (whole, false),
        (10 * whole, false),
        (-1, false),
        (-10 * whole, false),
        (i64::MAX - NOW, false),
        (i64::MIN + 1, false),
    ];
    check_held(forever, 0, &rows);
    check_held(
        forever,
        SECOND,
        &[(0, false), (SECOND, true), (whole + 1, true)],
    );
    // By the policy's word, and never longer than configured.
    check_held(ttl(5), 0, &[(4, true), (5, false)]);
    check_held(ttl(2 * whole), 0, &[(whole - 1, true), (whole, false)]);
    let longest = Lifetime {
        ttl: Some(Duration::MAX),
        ..forever
    };
    check_held(longest, 0, &[(whole - 1, true), (whole, false)]);
    // By what it was told, such as the end of a token one second after it was remembered.
    check_held(until(SECOND), 0, &[(SECOND - 1, true), (SECOND, false)]);
    check_held(until(0), 0, &[(-1, false), (0, false), (1, false)]);
    check_held(until(2 * whole), 0, &[(whole - 1, true), (whole, false)]);
    // The earliest counts.
    check_held(until(9).and(ttl(5)), 0, &[(4, true), (5, false)]);
    check_held(until(4).and(ttl(5)), 0, &[(3, true), (4, false)]);
}

#[test]
fn an_end_is_a_whole_second() {
    let rows = [
        (None, None),
        (Some(0), Some(SECOND)),
        (Some(60), Some(61 * SECOND)),
        // Later than any time there is.
        (Some(u64::MAX), None),
        (Some(1 << 62), None),
    ];
    for (last, expected) in rows {
        assert_eq!(
            Lifetime::through_second(last).until_ns,
            expected,
            "{last:?}"
        );
    }
}

#[test]
fn a_clock_that_was_set_back_has_decisions_made_anew() {
    let cache = DecisionCache::new(ON);
    let key = key_of(&cache, "/");
    let (late, early) = (Arc::new(denial("late")), Arc::new(denial("early")));
    cache.insert(&key, &late, NOW);
    assert_eq!(cache.get(&key, NOW - SECOND), None);
    cache.insert(&key, &early, NOW - SECOND);
    assert_eq!(cache.get(&key, NOW - SECOND), Some(Arc::clone(&early)));
    assert_eq!(cache.get(&key, NOW), Some(early));
}

#[test]
fn what_is_not_to_be_remembered_is_not() {
    let cache = DecisionCache::new(ON);
    let key = key_of(&cache, "/");
    let why = Unremembered::PolicyOff;
    let result = cache.insert(&key, &lasting(Lifetime::never(why)), NOW);
    assert_eq!(result, CacheResult::Not(why));
    let failure = Decision::fail(500, Reason::new(ReasonKind::InternalError, "x"));
    let result = cache.insert(&key, &Arc::new(failure), NOW);
    assert_eq!(result, CacheResult::Not(Unremembered::Failure));
    assert_eq!((cache.get(&key, NOW), cache.usage().entries), (None, 0));

    for off in [
        CacheSettings { max_bytes: 0, ..ON },
        CacheSettings {
            ttl: Duration::ZERO,
            ..ON
        },
    ] {
        let off = DecisionCache::new(off);
        assert!(!off.is_on());
        assert!(off.key(b"w", &by_path(), &Attributes::default()).is_none());
        let result = off.insert(&key, &lasting(Lifetime::default()), NOW);
        assert_eq!(result, CacheResult::Not(Unremembered::Off));
        assert_eq!(off.get(&key, NOW), None);
    }
}

/// Encodings that fall together must not answer for each other.
#[test]
fn one_hash_of_two_encodings_is_two_entries() {
    let cache = DecisionCache::new(ON);
    let colliding = |path: &str| CacheKey {
        hash: Finished(7),
        ..key_of(&cache, path)
    };
    let (one, other, third) = (colliding("/a"), colliding("/b"), colliding("/c"));
    let (allowed, denied) = (Arc::new(denial("one")), Arc::new(denial("other")));
    cache.insert(&one, &allowed, NOW);
    assert_eq!(cache.get(&other, NOW), None);
    cache.insert(&other, &denied, NOW);
    assert_eq!(cache.get(&one, NOW), Some(allowed));
    assert_eq!(cache.get(&other, NOW), Some(denied));
    assert_eq!(cache.get(&third, NOW), None);
    assert_eq!(cache.usage().entries, 2);
    // Nor do they where only half of the hash is another, which the map does not look at.
    let half = CacheKey {
        hash: Finished(7 + (1 << 64)),
        ..key_of(&cache, "/a")
    };
    assert_eq!(cache.get(&half, NOW), None);
}

/// Each cache has a key of its own: what falls together in one does not in the next.
#[test]
fn hashes_are_keyed() {
    let caches = [DecisionCache::new(ON), DecisionCache::new(ON)];
    let [one, other] = caches.each_ref().map(|cache| key_of(cache, "/"));
    assert_eq!(one.encoding.as_bytes(), other.encoding.as_bytes());
    assert_ne!(one.hash, other.hash);
    assert_eq!(key_of(&caches[0], "/").hash, one.hash);
    assert!(!format!("{caches:?}").contains("SipHasher"));
}

#[test]
fn no_secret_is_kept() {
    const CANARY: &str = "c4n4ry";
    let secret = || CANARY.to_owned();
    let line = || {
        pairs(&[
            ("authorization", CANARY),
            ("cookie", CANARY),
            ("x-a", CANARY),
        ])
    };
    let attributes = with(|attributes| {
        attributes.context_extensions = pairs(&[("key", CANARY)]);
        attributes.source = Some(Peer {
            certificate: secret(),
            ..Peer::default()
        });
        attributes.destination = attributes.source.clone();
        attributes.request = Some(Request {
            time: None,
            http: Some(HttpRequest {
                path: format!("/?access_token={CANARY}"),
                query: secret(),
                fragment: secret(),
                body: secret(),
                raw_body: Bytes::from(CANARY),
                headers: Headers::new(line(), Some(vec![("x-b".to_owned(), Bytes::from(CANARY))])),
                ..HttpRequest::default()
            }),
        });
    });
    let mut single = Reads::default();
    for field in [
        Field::Principal,
        Field::DestinationService,
        Field::Target,
        Field::Body,
        Field::ContextExtensions,
        Field::QueryAndFragment,
    ] {
        single.field(field);
    }
    for name in ["authorization", "cookie", "x-a", "x-b"] {
        single.header(name);
    }
    let mut headers = Reads::default();
    headers.field(Field::Headers);
    for reads in [everything(), single, headers] {
        let encoding = encoded("w", &[&reads], &attributes);
        let text = String::from_utf8_lossy(&encoding);
        assert!(!text.contains(CANARY), "{reads:?}: {text}");
    }
}

/// A thread's memory is used again and holds nothing of the request before.
#[test]
fn encodings_do_not_depend_on_the_one_before() {
    let long = http(|http| http.body = "x".repeat(10_000));
    let huge = http(|http| http.path = format!("/{}", "x".repeat(100_000)));
    let rows = [http(|_| {}), long, Attributes::default(), huge];
    let all = everything();
    let alone = |attributes: &Attributes| {
        let attributes = attributes.clone();
        let encode = move || encoded("w", &[&everything()], &attributes);
        std::thread::spawn(encode).join().unwrap()
    };
    for attributes in rows.iter().chain(rows.iter().rev()) {
        assert_eq!(encoded("w", &[&all], attributes), alone(attributes));
    }
    // Two at once do not share it.
    let plan = Plan::of([&all]);
    let [one, other] = [&rows[0], &rows[1]].map(|row| key::encode(b"w", &plan, row));
    assert_eq!(one.as_bytes(), alone(&rows[0]));
    assert_eq!(other.as_bytes(), alone(&rows[1]));
}

/// Whoever asks for ever new paths does not push out what is asked for again and again.
#[test]
fn a_scan_leaves_what_is_in_use() {
    const HOT: usize = 200;
    let scanned = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let cache = DecisionCache::new(ON);
    let decision = Arc::new(denial("x"));
    let ask = |path: &str| {
        let key = key_of(&cache, path);
        let found = cache.get(&key, NOW).is_some();
        if !found {
            cache.insert(&key, &decision, NOW);
        }
        found
    };
    for round in 0..5 * HOT {
        ask(&format!("/hot/{}", round % HOT));
    }
    let (mut hits, mut asked) = (0, 0);
    for at in 0..scanned {
        assert!(!ask(&format!("/scan/{at}")));
        if at % 5 == 0 {
            asked += 1;
            hits += usize::from(ask(&format!("/hot/{}", asked % HOT)));
        }
    }
    assert!(hits * 100 > asked * 95, "{hits} of {asked}");
    let usage = cache.usage();
    assert!(usage.bytes <= ON.max_bytes, "{usage:?}");
    let lost = u64::try_from(scanned).unwrap() - usage.entries;
    assert!(usage.evicted_for_room >= lost - 1_000, "{usage:?}");
    assert_eq!(cache.usage().evicted_for_room, 0, "told once");
}

#[test]
fn larger_keys_take_more_room() {
    let bytes = |path: &str| {
        let cache = DecisionCache::new(ON);
        cache.insert(&key_of(&cache, path), &Arc::new(denial("x")), NOW);
        cache.usage().bytes
    };
    let long = format!("/{}", "x".repeat(1_000));
    assert_eq!(bytes(&long) - bytes("/"), 1_125);
}

/// A hit takes no memory: not for the encoding, not for its digest, not for what is found.
#[test]
fn finding_a_decision_does_not_allocate() {
    let cache = DecisionCache::new(ON);
    let mut reads = Reads::default();
    reads.field(Field::Method);
    reads.field(Field::Target);
    reads.header("authorization");
    let plan = Plan::of([&reads]);
    let attributes = http(|http| {
        http.path = "/a?b=c".to_owned();
        http.headers = Headers::new(pairs(&[("authorization", "Bearer x")]), None);
    });
    let key = || cache.key(b"w", &plan, &attributes).unwrap();
    cache.insert(&key(), &Arc::new(denial("x")), NOW);
    let find = || assert!(cache.get(&key(), NOW).is_some());
    // The map tidies up now and then.
    let counts = (0..10).map(|_| allocation_counter::measure(find).count_total);
    assert_eq!(counts.min(), Some(0));
}
