//! Paths that are normalised: what native policies see, what Rego sees, and what is refused.

use super::*;

fn at(path: &str) -> Attributes {
    let mut attributes = get(&[]);
    let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
    http.path = path.to_owned();
    attributes
}

fn under(mode: PathNormalization, objects: &[Value]) -> Setup {
    Setup::native(objects).with(|settings| settings.path_normalization = mode)
}

fn guarded() -> [Value; 2] {
    let admin =
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}]});
    [
        policy("admin", &admin),
        policy("all", &json!({"rules": [{}]})),
    ]
}

#[test]
fn native_policies_see_the_normal_path() {
    use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None, Reject};
    // Statuses under none, base, merge_slashes, decode_and_merge_slashes, reject.
    let rows: &[(&str, [u16; 5])] = &[
        ("/admin", [403; 5]),
        ("/admin?a=/../b", [403; 5]),
        ("/other", [200; 5]),
        ("*", [200; 5]),
        ("", [200; 5]),
        ("/x/../admin", [200, 403, 403, 403, 400]),
        ("/%61dmin", [200, 403, 403, 403, 400]),
        ("/..;/admin", [200, 403, 403, 403, 400]),
        ("//admin", [200, 200, 403, 403, 400]),
        ("/x%2f..%2fadmin", [200, 200, 200, 403, 400]),
        ("/%c0%ae%c0%ae/admin", [200, 200, 200, 200, 400]),
        ("/other%00", [200, 400, 400, 400, 400]),
        // No path at all: matched by every DENY on paths.
        ("admin", [403, 403, 403, 403, 400]),
        ("http://h/admin", [403, 403, 403, 403, 400]),
    ];
    let modes = [None, Base, MergeSlashes, DecodeAndMergeSlashes, Reject];
    for (column, mode) in modes.into_iter().enumerate() {
        let (pdp, cached) = (
            under(mode, &guarded()).pdp(),
            under(mode, &guarded()).cached().pdp(),
        );
        for (path, statuses) in rows.iter().chain(rows) {
            let decision = pdp.check(at(path), NOW_NS).decision;
            assert_eq!(decision.status(), statuses[column], "{mode:?} {path}");
            let remembered = cached.check(at(path), NOW_NS).decision;
            assert_eq!(remembered, decision, "{mode:?} {path}");
        }
    }
}

/// Nobody reads the path, so that the answer to another could be remembered for it.
#[test]
fn what_is_refused_is_refused_whatever_policies_read() {
    let all = policy("all", &json!({"rules": [{}]}));
    let pdp = under(PathNormalization::Reject, &[all]).cached().pdp();
    for (path, status) in [("/a", 200), ("/b", 200), ("//a", 400), ("/a", 200)] {
        let answer = pdp.check(at(path), NOW_NS);
        assert_eq!(answer.decision.status(), status, "{path}");
        if status == 400 {
            assert_eq!(answer.decision.reason.kind, ReasonKind::InvalidRequest);
            assert_eq!(
                answer.decision.reason.message,
                "the path is not in normal form"
            );
        }
    }
}

#[test]
fn the_path_header_is_normal_too() {
    let on = |value: &str| {
        let when = json!([{"key": "request.headers[:path]", "values": [value]}]);
        policy("on", &json!({"rules": [{"when": when}]}))
    };
    let rows = [
        ("/b?c=../d", "/a/../b?c=../d", 200),
        ("/a/../b?c=../d", "/a/../b?c=../d", 403),
        ("/b?c", "/b?c", 200),
    ];
    for (value, path, status) in rows {
        let pdp = under(PathNormalization::Base, &[on(value)]).pdp();
        let decision = pdp.check(at(path), NOW_NS).decision;
        assert_eq!(decision.status(), status, "{value} {path}");
    }
}

#[test]
fn rego_sees_what_the_proxy_sent() {
    let rego = "package envoy.authz\n\
        allow := input.attributes.request.http.path == \"/a/../b\"\n";
    let setup = under(PathNormalization::Base, &[]).with_rego(rego);
    assert_eq!(
        setup.pdp().check(at("/a/../b"), NOW_NS).decision.status(),
        200
    );
    assert_eq!(setup.pdp().check(at("/b"), NOW_NS).decision.status(), 403);
}
