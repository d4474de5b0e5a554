//! Putting the parts of an allow together, and what a denied client is told.

use serde_json::json;

use super::*;
use crate::attributes::Headers;
use crate::identity::TokenError;
use crate::policy::DefaultAction;
use crate::policy::native::Authenticated;

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn allowing() -> Outcome {
    Outcome {
        allowed: true,
        ..Outcome::default()
    }
}

fn conclude_with(authenticated: Authenticated, outcome: Outcome) -> Decision {
    conclude(Grounds {
        rego: vec![(outcome, "a/b")],
        authenticated,
        ..Grounds::default()
    })
}

#[test]
fn grounds_to_allow() {
    let rego = |allowed, plain| {
        let outcome = Outcome {
            allowed,
            plain,
            ..Outcome::default()
        };
        vec![(outcome, "a/b")]
    };
    use DefaultAction::{Allow, Deny};
    let rows = [
        (vec![], Deny, 403, ReasonKind::DefaultAction),
        (vec![], Allow, 200, ReasonKind::DefaultAction),
        (rego(true, true), Deny, 200, ReasonKind::Rego),
        (rego(true, false), Deny, 200, ReasonKind::Rego),
        // Rego decides, whatever the default.
        (rego(false, true), Allow, 403, ReasonKind::Rego),
        (rego(false, false), Allow, 403, ReasonKind::Rego),
    ];
    for (rego, default_action, status, kind) in rows {
        let about = format!("{rego:?} {default_action:?}");
        let decision = conclude(Grounds {
            rego,
            default_action,
            ..Grounds::default()
        });
        assert_eq!(
            (decision.status(), decision.reason.kind),
            (status, kind),
            "{about}"
        );
        let effect = if status == 200 {
            Effect::Allow
        } else {
            Effect::Deny
        };
        assert_eq!(decision.effect(), effect, "{about}");
        assert_eq!(decision.reply().is_ok(), status == 200, "{about}");
    }
}

#[test]
fn rego_does_not_touch_what_authentication_governs() {
    let authenticated = Authenticated {
        set_headers: pairs(&[("x-sub", "alice")]),
        remove_headers: names(&["authorization", "x-role"]).into_iter().collect(),
        remove_parameters: names(&["access_token"]).into_iter().collect(),
        ..Authenticated::default()
    };
    let outcome = Outcome {
        headers: pairs(&[
            ("X-Sub", "root"),
            ("x-role", "admin"),
            ("X-Own", "1"),
            ("x-own", "2"),
        ]),
        request_headers_to_remove: names(&["x-SUB", "X-Role", "x-own", "x-gone"]),
        response_headers_to_add: pairs(&[
            ("x-sub", "fine"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ]),
        query_parameters_to_remove: names(&["q"]),
        query_parameters_to_set: pairs(&[("access_token", "t"), ("q", "1"), ("p", "2")]),
        ..allowing()
    };
    let decision = conclude_with(authenticated, outcome);
    let expected = Mutations {
        set_headers: pairs(&[("x-sub", "alice"), ("X-Own", "1"), ("x-own", "2")]),
        remove_headers: names(&["authorization", "x-role", "x-gone"]),
        response_headers: pairs(&[("x-sub", "fine"), ("set-cookie", "a"), ("set-cookie", "b")]),
        set_parameters: pairs(&[("p", "2")]),
        remove_parameters: names(&["access_token", "q"]),
        explicit: true,
        removed_by_native: 2,
    };
    assert_eq!(decision.reply(), Ok(&expected));
}

#[test]
fn headers_that_look_like_governed_ones() {
    let mutations = Mutations {
        set_headers: pairs(&[("X-User-Id", "alice"), ("x_team", "a"), ("X-USER-ID", "b")]),
        remove_headers: names(&["x-gone-by"]),
        response_headers: pairs(&[("x-told-to", "client")]),
        ..Mutations::default()
    };
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &[]),
        // Governed themselves.
        (&["x-user-id", "X-User-ID", "x_team", "x-gone-by"], &[]),
        (&["x_user_id"], &["x_user_id"]),
        (&["X_USER-id", "x-user_id"], &["X_USER-id", "x-user_id"]),
        (&["x-team", "x-team"], &["x-team"]),
        (&["x_gone-by", "x-user-id"], &["x_gone-by"]),
        (&["x_told_to", "xuser-id", "x-user-idx", "_x-user-id"], &[]),
    ];
    for (sent, expected) in rows {
        let lines = sent.iter().map(|name| ((*name).to_owned(), "v".into()));
        let raw = Headers::new(Vec::new(), Some(lines.collect()));
        assert_eq!(lookalikes(&mutations, &raw), *expected, "{sent:?}");
        let merged = sent.iter().map(|name| (*name, "v")).collect::<Vec<_>>();
        let merged = Headers::new(pairs(&merged), None);
        assert_eq!(lookalikes(&mutations, &merged), *expected, "{sent:?}");
    }
}

/// What a cache counts must grow with whatever a request or policy can make large.
#[test]
fn everything_large_weighs() {
    let large = "x".repeat(10_000);
    let plain = || conclude_with(Authenticated::default(), allowing());
    let with = |change: &dyn Fn(&mut Outcome)| {
        let mut outcome = allowing();
        change(&mut outcome);
        conclude_with(Authenticated::default(), outcome)
    };
    let about = |peer: &str, principal: Option<&str>| {
        let caller = Caller::direct(PeerIdentity::new(peer));
        plain().about(&caller, principal.map(str::to_owned))
    };
    let rows = [
        about(&large, None),
        about("", Some(&large)),
        plain().about(
            &Caller {
                peer: PeerIdentity::default(),
                forwarded_by: Some(PeerIdentity::new(&*large)),
            },
            None,
        ),
        with(&|outcome| outcome.headers = pairs(&[("a", &large)])),
        with(&|outcome| outcome.response_headers_to_add = pairs(&[("a", &large)])),
        with(&|outcome| outcome.request_headers_to_remove = names(&[&large])),
        with(&|outcome| outcome.query_parameters_to_set = pairs(&[("a", &large)])),
        with(&|outcome| outcome.query_parameters_to_remove = names(&[&large])),
        with(&|outcome| {
            let metadata = serde_json::json!({"a": [{"b": large}]});
            outcome.dynamic_metadata = metadata.as_object().cloned();
        }),
        Decision::deny(403, Reason::new(ReasonKind::NoPolicy, large.as_str())),
    ];
    for (row, decision) in rows.iter().enumerate() {
        assert!(
            decision.weight() >= large.len() + plain().weight() / 2,
            "row {row}"
        );
    }
}

#[test]
fn an_empty_change_is_said_only_by_an_object() {
    for (plain, explicit) in [(true, false), (false, true)] {
        let outcome = Outcome {
            plain,
            ..allowing()
        };
        let decision = conclude_with(Authenticated::default(), outcome);
        let expected = Mutations {
            explicit,
            ..Mutations::default()
        };
        assert_eq!(decision.reply(), Ok(&expected));
    }
}

#[test]
fn headers_rego_cannot_send_upstream() {
    let rows = [
        ("x-a", "text", ""),
        ("x-a", "", ""),
        ("x-a", "tab\tand ümlaut", ""),
        ("!#$%&'*+-.^_`|~", "x", ""),
        (":path", "/x", "a policy may not change `:path`"),
        (":method", "x", "a policy may not change `:method`"),
        (":authority", "x", "a policy may not change `:authority`"),
        ("host", "x", "a policy may not change `host`"),
        ("Host", "x", "a policy may not change `Host`"),
        ("x-a", "a\r\nx-admin: yes", "header `x-a` cannot be sent"),
        ("x-a", "a\nb", "header `x-a` cannot be sent"),
        ("x-a", "a\rb", "header `x-a` cannot be sent"),
        ("x-a", "a\0b", "header `x-a` cannot be sent"),
        ("x-a", "a\u{7f}", "header `x-a` cannot be sent"),
        ("", "x", "header `` cannot be sent"),
        ("x a", "x", "header `x a` cannot be sent"),
        ("x-a:", "x", "header `x-a:` cannot be sent"),
        ("x\r\na", "x", "header `x\\r\\na` cannot be sent"),
        ("ä", "x", "header `ä` cannot be sent"),
    ];
    let check = |decision: Decision, expected: &str| {
        if expected.is_empty() {
            assert_eq!(decision.effect(), Effect::Allow, "{:?}", decision.reason);
        } else {
            let actual = (
                decision.status(),
                decision.reason.kind,
                decision.reason.message.as_str(),
            );
            assert_eq!(actual, (403, ReasonKind::RegoError, expected));
            assert_eq!(decision.lifetime, Lifetime::never(Unremembered::Failure));
        }
    };
    for (name, value, expected) in rows {
        let outcome = Outcome {
            headers: pairs(&[("x-good", "1"), (name, value)]),
            ..allowing()
        };
        check(conclude_with(Authenticated::default(), outcome), expected);
        let outcome = Outcome {
            request_headers_to_remove: names(&[name]),
            ..allowing()
        };
        // For a removal only the name counts.
        let is_value = expected == "header `x-a` cannot be sent";
        let expected = if is_value { "" } else { expected };
        check(conclude_with(Authenticated::default(), outcome), expected);
    }
}

#[test]
fn headers_a_client_cannot_get_are_left_out() {
    let given = pairs(&[
        ("x-a", "1"),
        ("x-b", "a\r\nb"),
        ("x c", "1"),
        ("set-cookie", "s"),
    ]);
    let sent = pairs(&[("x-a", "1"), ("set-cookie", "s")]);
    let outcome = Outcome {
        response_headers_to_add: given.clone(),
        ..allowing()
    };
    let decision = conclude_with(Authenticated::default(), outcome);
    assert_eq!(
        decision
            .reply()
            .map(|mutations| &mutations.response_headers),
        Ok(&sent)
    );
    let outcome = Outcome {
        headers: given,
        http_status: Some(302),
        body: Some("gone".to_owned()),
        dynamic_metadata: json!({"a": 1}).as_object().cloned(),
        ..Outcome::default()
    };
    let decision = Decision::denied_by_rego(&outcome, "a/b");
    let expected = Denial {
        status: 302,
        headers: sent,
        body: "gone".to_owned(),
        as_error: false,
        plain: false,
    };
    assert_eq!(decision.reply(), Err(&expected));
    assert_eq!(decision.dynamic_metadata, outcome.dynamic_metadata);
    assert_eq!(decision.reason.entrypoint.as_deref(), Some("a/b"));
}

#[test]
fn challenges_repeat_neither_query_nor_quotes() {
    let long = format!("/{}", "ü".repeat(300));
    let cut = format!("/{}", "ü".repeat(255));
    let rows = [
        ("https", "h", "/a", "https://h/a"),
        (
            "https",
            "h:8443",
            "/a?access_token=secret",
            "https://h:8443/a",
        ),
        ("http", "h", "/a#access_token=secret", "http://h/a"),
        ("https", "h", "/\"x\"\\, realm=\"y", "https://h/x, realm=y"),
        ("https", "h\r\nx: y", "/\0a", "https://hx: y/a"),
        ("https", "h", &long, &format!("https://h{cut}")),
        ("", "", "", "://"),
    ];
    for (scheme, host, path, realm) in rows {
        let http = HttpRequest {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            ..HttpRequest::default()
        };
        let refused = Refused {
            error: TokenError::Expired,
            policy: "shop/jwt".to_owned(),
        };
        let decision = Decision::unauthenticated(&refused, &http, 401);
        let denial = decision.reply().unwrap_err();
        let challenge = format!("Bearer realm=\"{realm}\", error=\"invalid_token\"");
        assert_eq!(denial.headers, pairs(&[("www-authenticate", &challenge)]));
        assert_eq!(
            (denial.status, denial.body.as_str()),
            (401, "Jwt is expired")
        );
        assert_eq!(decision.reason.policy.as_deref(), Some("shop/jwt"));
        assert_eq!(decision.lifetime, Lifetime::never(Unremembered::Failure));
    }
}

#[test]
fn no_token_is_not_called_a_bad_one() {
    let refused = Refused {
        error: TokenError::Missing,
        policy: "shop/jwt".to_owned(),
    };
    let http = HttpRequest {
        scheme: "https".to_owned(),
        host: "h".to_owned(),
        ..HttpRequest::default()
    };
    let decision = Decision::unauthenticated(&refused, &http, 401);
    let denial = decision.reply().unwrap_err();
    let challenge = pairs(&[("www-authenticate", "Bearer realm=\"https://h\"")]);
    assert_eq!(denial.headers, challenge);
    assert_eq!(denial.body, "Jwt is missing");
}

#[test]
fn statuses_of_refused_tokens() {
    for (error, setting, expected) in [
        (TokenError::Expired, 401, 401),
        (TokenError::Expired, 403, 403),
        (TokenError::Audience, 401, 403),
    ] {
        let refused = Refused {
            error,
            policy: String::new(),
        };
        let decision = Decision::unauthenticated(&refused, &HttpRequest::default(), setting);
        assert_eq!(decision.status(), expected, "{error} {setting}");
    }
}

#[test]
fn what_rego_may_not_send_fails_the_check() {
    let outcome = |change: fn(&mut Outcome)| {
        let mut outcome = Outcome {
            allowed: true,
            ..Outcome::default()
        };
        change(&mut outcome);
        outcome
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut rows = Vec::new();
    for name in [
        "transfer-encoding",
        "Content-Length",
        "connection",
        "Host",
        ":path",
    ] {
        let mut refused = outcome(|_| {});
        refused.headers.push(pair(name, "x"));
        rows.push((refused, false));
    }
    for (name, value, fine) in [
        ("a", "b%20c", true),
        ("a", "b&c=d", false),
        ("a", "b#c", false),
        ("a=b", "c", false),
        ("a", "b c", false),
        ("a", "ä", false),
    ] {
        let mut with = outcome(|_| {});
        with.query_parameters_to_set.push(pair(name, value));
        rows.push((with, fine));
    }
    for (outcome, fine) in rows {
        let shown = format!("{outcome:?}");
        let decision = conclude_with(Authenticated::default(), outcome);
        assert_eq!(decision.effect() == Effect::Allow, fine, "{shown}");
    }
}

#[test]
fn a_denying_outcome_denies_whatever_else_speaks_for_the_request() {
    for default_action in [DefaultAction::Allow, DefaultAction::Deny] {
        let denial = Outcome {
            allowed: false,
            ..Outcome::default()
        };
        let decision = conclude(Grounds {
            rego: vec![(denial, "a/b")],
            default_action,
            ..Grounds::default()
        });
        assert_eq!(decision.effect(), Effect::Deny);
    }
}
