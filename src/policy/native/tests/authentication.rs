//! RequestAuthentication: which tokens count, and what is passed on of them.

use super::*;
use crate::attributes::HttpRequest;
use crate::identity::{Keyring, TokenError};

const NOW: u64 = 1_700_000_000;

/// One object with the rules given, each an issuer with further members.
fn attached(rules: &[(&str, Value)]) -> Arc<Attached> {
    let rules: Vec<_> = rules
        .iter()
        .map(|(issuer, members)| {
            let mut rule = json!({"issuer": issuer, "jwks": SIGNER.jwks()});
            for (name, value) in members.as_object().unwrap() {
                rule[name] = value.clone();
            }
            rule
        })
        .collect();
    let object = object(
        "RequestAuthentication",
        "shop",
        "jwt",
        &json!({"jwtRules": rules}),
    );
    let policies = compile_in(&mesh(), &[object]);
    policies.attached(&Arc::new(workload("shop", &[]))).unwrap()
}

fn signed(claims: &Value) -> String {
    SIGNER.token(claims)
}

fn request(path: &str, lines: &[&str]) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: headers(lines),
        ..HttpRequest::default()
    }
}

fn authenticate(attached: &Attached, http: &HttpRequest) -> Result<Authenticated, Refused> {
    attached
        .authentication
        .authenticate(http, &Keyring::new(RemoteKeySets::default(), 0), NOW)
}

/// What came of a request: the subject, or the error.
fn subject(attached: &Attached, http: &HttpRequest) -> Result<Option<String>, TokenError> {
    let result = authenticate(attached, http);
    match result {
        Ok(authenticated) => Ok(authenticated
            .token
            .and_then(|token| Some(token.claims().get("sub")?.as_str()?.to_owned()))),
        Err(refused) => {
            assert_eq!(refused.policy, "shop/jwt");
            Err(refused.error)
        }
    }
}

#[test]
fn every_token_found_must_verify_and_be_the_same() {
    let a = signed(&json!({"iss": "i", "sub": "a"}));
    let b = signed(&json!({"iss": "i", "sub": "b"}));
    let old = signed(&json!({"iss": "i", "sub": "a", "exp": 1}));
    let attached = attached(&[("i", json!({}))]);
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    let query = |token: &str| format!("/?access_token={token}");
    let (bearer_a, bearer_b, bearer_old) = (bearer(&a), bearer(&b), bearer(&old));
    let joined = format!("authorization: Bearer {a},Bearer {a}");
    let after_basic = format!("authorization: Basic eA==,Bearer {a}");
    let some = |name: &str| Ok(Some(name.to_owned()));
    let rows: Vec<(String, Vec<&str>, Result<Option<String>, TokenError>)> = vec![
        ("/".to_owned(), vec![], Ok(None)),
        ("/".to_owned(), vec!["authorization: Basic eA=="], Ok(None)),
        ("/".to_owned(), vec!["authorization: Bearer "], Ok(None)),
        ("/".to_owned(), vec![&bearer_a], some("a")),
        (query(&a), vec![], some("a")),
        (query(&a), vec![&bearer_a], some("a")),
        // Several lines are one value, as Envoy sees them too.
        (
            "/".to_owned(),
            vec![&bearer_a, &bearer_a],
            Err(TokenError::Format),
        ),
        (
            "/".to_owned(),
            vec!["authorization: Basic eA==", &bearer_a],
            some("a"),
        ),
        ("/".to_owned(), vec![&after_basic], some("a")),
        (query(&a), vec![&bearer_b], Err(TokenError::Ambiguous)),
        (
            "/".to_owned(),
            vec![&bearer_a, &bearer_b],
            Err(TokenError::Format),
        ),
        (
            format!("{}&access_token={b}", query(&a)),
            vec![],
            Err(TokenError::Ambiguous),
        ),
        (query(&old), vec![&bearer_a], Err(TokenError::Expired)),
        (query(&a), vec![&bearer_old], Err(TokenError::Expired)),
        (
            "/?access_token=".to_owned(),
            vec![&bearer_a],
            Err(TokenError::Format),
        ),
        (
            "/".to_owned(),
            vec!["authorization: Bearer opaque"],
            Err(TokenError::Format),
        ),
        // Joined by the proxy, what is behind the first prefix is one token.
        ("/".to_owned(), vec![&joined], Err(TokenError::Format)),
    ];
    for (path, lines, expected) in rows {
        let actual = subject(&attached, &request(&path, &lines));
        assert_eq!(actual, expected, "{path} {lines:?}");
    }
}

#[test]
fn keys_without_an_issuer_speak_for_any() {
    let attached = attached(&[("", json!({"audiences": ["shop"]}))]);
    let rows = [
        (
            json!({"iss": "i", "sub": "a", "aud": "shop"}),
            Ok(Some("a")),
        ),
        (json!({"sub": "a", "aud": "shop"}), Ok(Some("a"))),
        (json!({"iss": "i", "sub": "a"}), Err(TokenError::Audience)),
    ];
    for (claims, expected) in rows {
        let line = format!("authorization: Bearer {}", signed(&claims));
        let actual = subject(&attached, &request("/", &[&line]));
        assert_eq!(
            actual,
            expected.map(|name| name.map(str::to_owned)),
            "{claims}"
        );
    }
}

#[test]
fn a_preflight_passes_without_identity() {
    let attached = attached(&[("i", json!({"outputPayloadToHeader": "x-payload"}))]);
    let ask = "access-control-request-method: PUT";
    let rows: &[(&str, &[&str], Result<Option<String>, TokenError>)] = &[
        ("OPTIONS", &["origin: https://a", ask], Ok(None)),
        ("OPTIONS", &["origin: ", ask], Err(TokenError::Format)),
        ("OPTIONS", &[ask], Err(TokenError::Format)),
        ("OPTIONS", &["origin: https://a"], Err(TokenError::Format)),
        (
            "options",
            &["origin: https://a", ask],
            Err(TokenError::Format),
        ),
        ("GET", &["origin: https://a", ask], Err(TokenError::Format)),
    ];
    for (method, lines, expected) in rows {
        let lines: Vec<_> = lines
            .iter()
            .copied()
            .chain(["authorization: Bearer x"])
            .collect();
        let mut http = request("/", &lines);
        http.method = (*method).to_owned();
        assert_eq!(subject(&attached, &http), *expected, "{method} {lines:?}");
    }
    let mut http = request("/", &["origin: https://a", ask, "x-payload: forged"]);
    http.method = "OPTIONS".to_owned();
    let result = authenticate(&attached, &http).unwrap();
    assert!(result.remove_headers.contains("x-payload"));
}

#[test]
fn any_rule_may_accept_a_token() {
    let attached = attached(&[
        ("a", json!({"audiences": ["one"]})),
        ("a", json!({"audiences": ["two"]})),
        (
            "b",
            json!({"fromHeaders": [{"name": "x-b"}], "audiences": ["b"]}),
        ),
    ]);
    let claims = |issuer: &str, audience: &str| {
        signed(&json!({"iss": issuer, "sub": issuer, "aud": audience}))
    };
    let some = |name: &str| Ok(Some(name.to_owned()));
    let rows = [
        ("authorization: Bearer ", claims("a", "one"), some("a")),
        ("authorization: Bearer ", claims("a", "two"), some("a")),
        (
            "authorization: Bearer ",
            claims("a", "three"),
            Err(TokenError::Audience),
        ),
        (
            "authorization: Bearer ",
            claims("c", "one"),
            Err(TokenError::UnknownIssuer),
        ),
        // Each rule looks at its own places only.
        (
            "authorization: Bearer ",
            claims("b", "b"),
            Err(TokenError::UnknownIssuer),
        ),
        ("x-b: ", claims("b", "b"), some("b")),
        ("x-b: ", claims("a", "one"), Err(TokenError::UnknownIssuer)),
        ("x-a: ", claims("a", "one"), Ok(None)),
    ];
    for (start, token, expected) in rows {
        let http = request("/", &[&format!("{start}{token}")]);
        assert_eq!(subject(&attached, &http), expected, "{start}");
    }
}

#[test]
fn tokens_are_taken_from_the_request() {
    let token = signed(&json!({"iss": "i", "sub": "s"}));
    let bearer = format!("authorization: Bearer {token}");
    let own = format!("x-own: {token}");
    let cookie = format!("cookie: jwt={token}");
    let everywhere =
        json!({"fromHeaders": [{"name": "X-Own"}], "fromParams": ["t"], "fromCookies": ["jwt"]});
    let kept = json!({"forwardOriginalToken": true});
    let rows: &[(&Value, String, &[&str], &[&str], &[&str])] = &[
        (
            &json!({}),
            "/".to_owned(),
            &[&bearer],
            &["authorization"],
            &[],
        ),
        (
            &json!({}),
            format!("/?access_token={token}"),
            &[],
            &[],
            &["access_token"],
        ),
        (
            &json!({}),
            format!("/?access_token={token}"),
            &[&bearer],
            &["authorization"],
            &["access_token"],
        ),
        (
            &json!({}),
            "/".to_owned(),
            &["authorization: Basic x"],
            &[],
            &[],
        ),
        (
            &kept,
            format!("/?access_token={token}"),
            &[&bearer],
            &[],
            &[],
        ),
        (
            &everywhere,
            format!("/?t={token}"),
            &[&own, &cookie],
            &["x-own"],
            &["t"],
        ),
        (&everywhere, "/".to_owned(), &[&cookie], &[], &[]),
    ];
    for (rule, path, lines, removed, parameters) in rows {
        let attached = attached(&[("i", (*rule).clone())]);
        let result = authenticate(&attached, &request(path, lines)).unwrap();
        assert!(
            result.remove_headers.iter().eq(*removed),
            "{rule} {path} {result:?}"
        );
        assert!(
            result.remove_parameters.iter().eq(*parameters),
            "{rule} {path} {result:?}"
        );
    }
}

#[test]
fn output_headers_are_set_or_removed() {
    let outputs = json!({
        "outputPayloadToHeader": "X-Payload",
        "outputClaimToHeaders": [{"header": "X-Sub", "claim": "sub"}, {"header": "x-deep", "claim": "a.b"}],
    });
    let other = json!({"fromHeaders": [{"name": "x-j"}], "outputPayloadToHeader": "x-other"});
    let attached = attached(&[("i", outputs), ("j", other)]);
    let token = signed(&json!({"iss": "i", "sub": "s"}));
    let payload = token.split('.').nth(1).unwrap().to_owned();
    let http = request("/", &[&format!("authorization: Bearer {token}")]);
    let result = authenticate(&attached, &http).unwrap();
    let set = [("x-payload", payload.as_str()), ("x-sub", "s")];
    let pairs = result
        .set_headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    assert!(pairs.eq(set), "{result:?}");
    assert!(
        result
            .remove_headers
            .iter()
            .eq(["authorization", "x-deep", "x-other"]),
        "{result:?}"
    );
    // Without a token a client's own copies go all the same.
    let result = authenticate(&attached, &request("/", &["x-sub: forged"])).unwrap();
    assert!(result.set_headers.is_empty());
    assert!(
        result
            .remove_headers
            .iter()
            .eq(["x-deep", "x-other", "x-payload", "x-sub"]),
        "{result:?}"
    );
}

#[test]
fn claims_as_header_text() {
    let attached = attached(&[(
        "i",
        json!({"outputClaimToHeaders": [{"header": "x", "claim": "c"}]}),
    )]);
    let rows = [
        (json!("text"), Some("text")),
        (json!("zwölf\ttab"), Some("zwölf\ttab")),
        (json!(""), None),
        (json!(null), None),
        (json!(true), Some("true")),
        (json!(false), Some("false")),
        (json!(0), Some("0")),
        (json!(7), Some("7")),
        (json!(-7), Some("-7.000000")),
        (json!(1e3), Some("1000")),
        (json!(-0.0), Some("0")),
        (json!(9_007_199_254_740_993_u64), Some("9007199254740992")),
        (json!(u64::MAX), Some("18446744073709551616.000000")),
        (json!(1.5), Some("1.500000")),
        (json!(["a", 1]), Some("WyJhIiwxXQ==")),
        (json!({"a": {}}), Some("eyJhIjp7fX0=")),
        // What would end the header, or the request.
        (json!("a\r\nx-admin: yes"), None),
        (json!("a\nb"), None),
        (json!("a\0b"), None),
        (json!("a\u{7f}"), None),
    ];
    for (claim, expected) in rows {
        let token = signed(&json!({"iss": "i", "c": claim}));
        let http = request("/", &[&format!("authorization: Bearer {token}")]);
        let result = authenticate(&attached, &http).unwrap();
        let actual = result.set_headers.first().map(|(_, value)| value.as_str());
        assert_eq!(actual, expected, "{claim}");
        assert_eq!(
            result.remove_headers.contains("x"),
            expected.is_none(),
            "{claim}"
        );
    }
}

#[test]
fn a_rule_can_want_a_token() {
    let token = |issuer: &str| {
        let token = signed(&json!({"iss": issuer, "sub": "a"}));
        format!("authorization: Bearer {token}")
    };
    let (one, two) = (token("i"), token("j"));
    let required = || json!({"presence": "REQUIRED"});
    let optional = || json!({"presence": "OPTIONAL"});
    let (some, missing) = (Ok(Some("a".to_owned())), Err(TokenError::Missing));
    let rows: Vec<(Vec<(&str, Value)>, Vec<&str>, _)> = vec![
        (vec![("i", optional())], vec![], Ok(None)),
        (vec![("i", required())], vec![], missing.clone()),
        (
            vec![("i", required())],
            vec!["authorization: Basic eA=="],
            missing.clone(),
        ),
        (vec![("i", required())], vec![&one], some.clone()),
        (
            vec![("i", required())],
            vec![&two],
            Err(TokenError::UnknownIssuer),
        ),
        // A token of another rule is one.
        (vec![("i", required()), ("j", optional())], vec![], missing),
        (vec![("i", required()), ("j", optional())], vec![&two], some),
    ];
    for (rules, lines, expected) in rows {
        let actual = subject(&attached(&rules), &request("/", &lines));
        assert_eq!(actual, expected, "{rules:?} {lines:?}");
    }
    // A CORS preflight never carries one.
    let mut preflight = request("/", &["origin: a", "access-control-request-method: GET"]);
    preflight.method = "OPTIONS".to_owned();
    assert_eq!(
        subject(&attached(&[("i", required())]), &preflight),
        Ok(None)
    );
}
