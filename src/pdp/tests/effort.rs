//! What a thread does for a check that must not hold up others: never verify a signature.

use super::*;

/// How many checks were answered at once, and how many were handed back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    at_once: usize,
    handed_back: usize,
}

/// A pdp that remembers tokens and no decisions, so that every check is made anew.
fn forgetful(objects: &[Value], tokens_max_bytes: u64) -> Pdp {
    let pdp = Setup::native(objects)
        .with(|settings| settings.default_action = DefaultAction::Allow)
        .pdp();
    let cache = CacheSettings {
        max_bytes: 0,
        ttl: Duration::from_secs(3600),
        tokens_max_bytes,
    };
    let policies = Arc::clone(&pdp.snapshot().policies);
    let snapshot = Snapshot::new(7, policies, RemoteKeySets::default(), cache);
    pdp.snapshot.store(Arc::new(snapshot));
    pdp
}

/// A RequestAuthentication whose rules, an issuer and the keys, look into all kinds of places.
fn rules(rules: &[(&str, &Signer)]) -> Value {
    let rules = rules.iter().map(|(issuer, signer)| {
        json!({"issuer": issuer, "jwks": signer.jwks(), "fromCookies": ["t"],
            "fromHeaders": [{"name": "authorization", "prefix": "Bearer "}, {"name": "x-token"}]})
    });
    let mut object = jwt(&Signer::eddsa());
    object["spec"]["jwtRules"] = rules.collect();
    object
}

/// The status of an answer; `None` if it takes more than `effort`.
fn status_within(pdp: &Pdp, effort: Effort, request: &Attributes, now_ns: i64) -> Option<u16> {
    match pdp.check_within(effort, request, now_ns) {
        Ok(answer) => Some(answer.decision.status()),
        Err(needs) => {
            assert_eq!(needs, Effort::Evaluate);
            None
        }
    }
}

#[test]
fn signatures_are_verified_elsewhere() {
    let (signer, other) = (Signer::eddsa(), Signer::es256());
    let pdp = forgetful(&[rules(&[("i", &signer), ("j", &other)])], 1 << 20);
    let of_i = signer.token(&json!({"iss": "i", "sub": "s", "exp": NOW + 10}));
    let of_j = other.token(&json!({"iss": "j", "sub": "s"}));
    let forged = format!("{}AAAA", &of_i[..of_i.len() - 4]);
    let long = signer.token(&json!({"iss": "i", "sub": "s", "more": "x".repeat(30_000)}));
    let too_long = signer.token(&json!({"iss": "i", "more": "x".repeat(60_000)}));
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    // Of each: whether it is answered at once when it comes first, and when it comes again.
    let rows: &[(&str, Vec<String>, u16, [bool; 2])] = &[
        ("no token", vec![], 200, [true, true]),
        ("of the first rule", vec![bearer(&of_i)], 200, [false, true]),
        // The rule before it says no by the issuer alone.
        (
            "of the second rule",
            vec![bearer(&of_j)],
            200,
            [false, true],
        ),
        ("long", vec![bearer(&long)], 200, [false, true]),
        ("forged", vec![bearer(&forged)], 401, [false, false]),
        ("no token at all", vec![bearer("junk")], 401, [false, false]),
        ("empty", vec!["x-token: ".to_owned()], 401, [false, false]),
        ("too long", vec![bearer(&too_long)], 401, [false, false]),
        (
            "a known one, and one that is not",
            vec![bearer(&of_i), format!("x-token: {forged}")],
            401,
            [false, false],
        ),
        (
            "two known ones",
            vec![bearer(&of_i), format!("x-token: {of_j}")],
            401,
            [true, true],
        ),
        (
            "a preflight",
            vec![
                bearer(&forged),
                "origin: a".to_owned(),
                "access-control-request-method: GET".to_owned(),
            ],
            200,
            [true, true],
        ),
    ];
    for (about, lines, expected, at_once) in rows {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut request = get(&lines);
        if *about == "a preflight" {
            request
                .request
                .as_mut()
                .unwrap()
                .http
                .as_mut()
                .unwrap()
                .method = "OPTIONS".to_owned();
        }
        for at_once in at_once {
            let little = status_within(&pdp, Effort::Little, &request, NOW_NS);
            assert_eq!(little, at_once.then_some(*expected), "{about}");
            let more = status_within(&pdp, Effort::Evaluate, &request, NOW_NS);
            assert_eq!(more, Some(*expected), "{about}");
        }
    }
    // One that was good has its times looked at, which takes nothing.
    let pdp = forgetful(&[rules(&[("i", &signer)])], 1 << 20);
    let request = get(&[&bearer(&of_i)]);
    let late = NOW_NS + 100_000_000_000;
    assert_eq!(status_within(&pdp, Effort::Little, &request, late), None);
    assert_eq!(
        status_within(&pdp, Effort::Evaluate, &request, NOW_NS),
        Some(200)
    );
    assert_eq!(
        status_within(&pdp, Effort::Little, &request, NOW_NS),
        Some(200)
    );
    assert_eq!(
        status_within(&pdp, Effort::Little, &request, late),
        Some(401)
    );
}

/// Where nothing is remembered, every token has to be verified.
#[test]
fn without_memory_no_token_is_known() {
    let signer = Signer::eddsa();
    let pdp = forgetful(&[rules(&[("i", &signer)])], 0);
    let line = format!("x-token: {}", signer.token(&json!({"iss": "i"})));
    for _ in 0..2 {
        assert_eq!(
            status_within(&pdp, Effort::Little, &get(&[&line]), NOW_NS),
            None
        );
        assert_eq!(
            status_within(&pdp, Effort::Evaluate, &get(&[&line]), NOW_NS),
            Some(200)
        );
        assert_eq!(
            status_within(&pdp, Effort::Little, &get(&[]), NOW_NS),
            Some(200)
        );
    }
}

/// Whoever sends ever new tokens has none of them verified by the thread that reads them, in whatever
/// number and length, and those between them are answered at once.
#[test]
fn ever_new_tokens_hold_up_nobody() {
    let (signer, forger) = (Signer::es256(), Signer::es256());
    let pdp = forgetful(&[rules(&[("i", &signer)])], 1 << 20);
    let good = format!("x-token: {}", signer.token(&json!({"iss": "i"})));
    assert_eq!(
        status_within(&pdp, Effort::Wait, &get(&[&good]), NOW_NS),
        Some(200)
    );
    let (mut attacker, mut others) = (Counts::default(), Counts::default());
    let count = |counts: &mut Counts, lines: &[&str]| match pdp.check_within(
        Effort::Little,
        &get(lines),
        NOW_NS,
    ) {
        Ok(_) => counts.at_once += 1,
        Err(_) => counts.handed_back += 1,
    };
    for at in 0..200 {
        let bad = |more| forger.token(&json!({"iss": "i", "sub": at, "more": more}));
        let cookies: Vec<_> = (0..20).map(|more| format!("t={}", bad(more))).collect();
        let lines = match at % 4 {
            0 => vec![format!("x-token: {}", bad(0))],
            1 => vec![format!("cookie: {}", cookies.join("; "))],
            2 => vec![format!("x-token: {}{}", bad(0), "A".repeat(50_000))],
            // Behind one that is known.
            _ => vec![good.clone(), format!("cookie: {}", cookies.join("; "))],
        };
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        count(&mut attacker, &lines);
        count(&mut others, &[&good]);
        count(&mut others, &[]);
    }
    let expected = |at_once, handed_back| Counts {
        at_once,
        handed_back,
    };
    assert_eq!((attacker, others), (expected(0, 200), expected(400, 0)));
}
