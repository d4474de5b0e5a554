//! RequestAuthentications that are refused.

use super::*;

#[test]
fn request_authentications() {
    let rows: &[(&str, &[&str])] = &[
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwks_url: x",
            &["7: unknown field `jwks_url`…"],
        ),
        (
            "spec:\n  jwtRules:\n  - audiences: [a]",
            &["6: `issuer` must be a non-empty string"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a",
            &[
                "6: OIDC discovery needs the issuer's URL, but it is not a URL: relative URL without a base; or give `jwksUri` or `jwks`",
            ],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: https://a?b",
            &[
                "6: OIDC discovery needs the issuer's URL, but it has a query or a fragment, which an issuer cannot have; or give `jwksUri` or `jwks`",
            ],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwksUri: ftp://x",
            &["7: is neither `http` nor `https`"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwksUri: https://x:99999",
            &["7: is not a URL: invalid port number"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwksUri: https://x:0",
            &["7: has port 0"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwksUri: https://u:p@x",
            &["7: holds a user name or password"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwksUri: https://x\n    jwks: '{}'",
            &["7: only one of `jwks` and `jwksUri` can be set"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwks: '{\"keys\": []}'",
            &["7: has no usable public key"],
        ),
        (
            "spec:\n  jwtRules:\n  - issuer: a\n    jwks: x",
            &["7: is not a JSON Web Key Set: …"],
        ),
        (
            "spec:\n  targetRefs: [{kind: Gateway, name: a}]",
            &["5: `/Gateway` is neither `core/Service`…"],
        ),
        (
            "spec:\n  selector: {matchLabels: {a: \"*\"}}",
            &["5: wildcard is not supported in selector"],
        ),
    ];
    for (spec, expected) in rows {
        check_spec("RequestAuthentication", spec, expected);
    }
    // Members beside an issuer and a good key set.
    let rows = [
        (
            "audiences: [\"\"]",
            "8: audience must be a non-empty string",
        ),
        ("fromHeaders: [{name: \"\"}]", "8: `` is not a header name"),
        (
            "fromHeaders: [{name: \"a b\"}]",
            "8: `a b` is not a header name",
        ),
        ("fromHeaders: [{prefix: a}]", "8: missing field `name`"),
        ("fromParams: [\"\"]", "8: names must not be empty"),
        ("fromCookies: [\"\"]", "8: names must not be empty"),
        (
            "timeout: 5",
            "8: invalid type: integer `5`, expected a string",
        ),
        (
            "timeout: \"5\"",
            "8: `5` is not a duration in seconds such as `5s` or `0.5s`",
        ),
        (
            "timeout: 5m",
            "8: `5m` is not a duration in seconds such as `5s` or `0.5s`",
        ),
        (
            "timeout: -1s",
            "8: `-1s` is not a duration in seconds such as `5s` or `0.5s`",
        ),
        (
            "timeout: .5s",
            "8: `.5s` is not a duration in seconds such as `5s` or `0.5s`",
        ),
        ("timeout: 0.0009s", "8: must be at least 0.001s"),
        ("timeout: 0s", "8: must be at least 0.001s"),
        (
            "outputPayloadToHeader: \":path\"",
            "6: `:path` is not a header name",
        ),
        (
            "outputClaimToHeaders: [{header: \"a\\r\\nb\", claim: c}]",
            "6: `a\r\nb` is not a header name",
        ),
        (
            "outputClaimToHeaders: [{header: Content-Length, claim: c}]",
            "6: a policy may not change `content-length`",
        ),
        (
            "outputClaimToHeaders: [{header: a, claim: \"\"}]",
            "8: claim must be a non-empty string",
        ),
    ];
    for (member, expected) in rows {
        let jwks = SIGNER.jwks();
        let spec = format!("spec:\n  jwtRules:\n  - issuer: a\n    jwks: '{jwks}'\n    {member}");
        check_spec("RequestAuthentication", &spec, &[expected]);
    }
}
