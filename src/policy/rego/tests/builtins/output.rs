use super::*;
use crate::policy::rego::output::lower;

#[test]
fn outputs_of_our_built_ins_are_bound() {
    let rows = [
        ("io.jwt.decode(t, [h, p, s])", "io.jwt.decode(t)= [h, p, s]"),
        ("io.jwt.decode(t, x,)", "io.jwt.decode(t)= x"),
        (
            "\tnot io.jwt.verify_hs256(t, \",)\", x)",
            "\tnot io.jwt.verify_hs256(t, \",)\")= x",
        ),
        (
            "p if io.jwt.decode(f(a, b), x)",
            "p if io.jwt.decode(f(a, b))= x",
        ),
        (
            "io.jwt.decode(\n\tt, # ,)\n\tx\n)",
            "io.jwt.decode(\n\tt)= # ,)\n\tx\n",
        ),
        ("a; io.jwt.decode(`\"`, x)", "a; io.jwt.decode(`\"`)= x"),
        ("{io.jwt.decode(t, x)}", "{io.jwt.decode(t)= x}"),
    ];
    for (text, expected) in rows {
        assert_eq!(lower(text), expected);
    }
    let untouched = [
        "io.jwt.decode(t)",
        "io.jwt.decode(t,)",
        "io.jwt.decode(t, u, x)",
        "y := io.jwt.decode(t, x)",
        "my.io.jwt.decode(t, x)",
        "io.jwt.decoded(t, x)",
        "# io.jwt.decode(t, x)",
        "x := \"\nio.jwt.decode(t, x)\"",
        "io.jwt.decode(t, x",
        "concat(\",\", [\"a\"], x)",
        "io.jwt.decode (t, x)",
        "\"\\\"io.jwt.decode(t, x)",
        "((((]]]}}})",
    ];
    for text in untouched {
        assert_eq!(lower(text), text);
    }
}

#[test]
fn a_policy_with_outputs() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.AA";
    let policies = compile(&format!(
        "package envoy.authz\n\nallow if {{\n\tio.jwt.decode(\"{token}\", [_, payload, _])\n\tpayload.sub == \"alice\"\n}}\n"
    ));
    assert!(ask(&policies, &Attributes::default()).unwrap().allowed);
}
