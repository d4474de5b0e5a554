//! What version 2 of the protocol cannot say.

use super::*;
use crate::attributes::ProtocolVersion;

/// Wants a query parameter changed as the header says, and lets pass.
const REGO: &str = r#"package envoy.authz
    wanted := json.unmarshal(input.attributes.request.http.headers["x-wanted"])
    allow := object.union({"allowed": true}, wanted)"#;

#[test]
fn a_change_of_the_query_that_cannot_be_said_denies() {
    let signer = Signer::eddsa();
    let token = signer.token(&json!({"iss": "i", "sub": "s"}));
    let with_token = format!("/?access_token={token}");
    let authorization = format!("authorization: Bearer {token}");
    let removing = r#"x-wanted: {"query_parameters_to_remove": ["q"]}"#;
    let setting = r#"x-wanted: {"query_parameters_to_set": {"q": "1"}}"#;
    let nothing = "x-wanted: {}";
    // Path and headers, and the status by version 3, 2, and 2 with the replies of OPA's plugin.
    let rows: &[(&str, &[&str], [u16; 3])] = &[
        ("/?q=1", &[nothing], [200, 200, 200]),
        ("/?q=1", &[&authorization, nothing], [200, 200, 200]),
        (&with_token, &[nothing], [200, 403, 403]),
        ("/?q=1", &[removing], [200, 403, 200]),
        ("/?q=1", &[setting], [200, 403, 200]),
        (&with_token, &[setting], [200, 403, 403]),
    ];
    let settings = [
        (ProtocolVersion::V3, false),
        (ProtocolVersion::V2, false),
        (ProtocolVersion::V2, true),
    ];
    for (at, (version, as_plugin)) in settings.into_iter().enumerate() {
        let setup = Setup::native(&[jwt(&signer)]).with_rego(REGO).cached();
        let pdp = setup
            .with(|settings| settings.replies_as_plugin = as_plugin)
            .pdp();
        for (path, lines, expected) in rows.iter().chain(rows) {
            let mut attributes = get(lines);
            attributes.version = version;
            let request = attributes.request.as_mut().unwrap();
            request.http.as_mut().unwrap().path = (*path).to_owned();
            let answer = pdp.check(attributes, NOW_NS);
            let reason = &answer.decision.reason;
            assert_eq!(
                answer.decision.status(),
                expected[at],
                "{version:?} {path} {lines:?} {reason:?}"
            );
        }
    }
}
