//! `net.lookup_ip_addr`, up to what is asked of others.

use super::super::*;
use super::http::{Others, UNDEFINED, evaluate};
use crate::policy::rego::external::ExternalError;

#[test]
fn names_are_looked_up() {
    let others = Others::answering(200, &[], "");
    let rows = [
        ("two.example", Some(json!(["10.0.0.1", "10.0.0.2", "::1"]))),
        // An address is its own.
        ("::", Some(json!(["::"]))),
        ("127.0.0.1", Some(json!(["127.0.0.1"]))),
        ("::ffff:10.0.0.1", Some(json!(["10.0.0.1"]))),
        ("", None),
        (".", None),
        ("a..b", None),
        ("a b", None),
        ("-a", None),
        // Old spellings of addresses are no names.
        ("127.1", None),
        ("2130706433", None),
        ("0x7f000001", None),
        ("0x7f.1", None),
    ];
    for (name, expected) in rows {
        let found = evaluate(&others, &format!("x := net.lookup_ip_addr(\"{name}\")"));
        assert_eq!(found, expected.ok_or(UNDEFINED.to_owned()), "{name}");
    }
    let long = format!("x := net.lookup_ip_addr(\"{}\")", "a.".repeat(200));
    assert_eq!(evaluate(&others, &long), Err(UNDEFINED.to_owned()));
    let rows = [
        (ExternalError::Network("no such host".to_owned()), UNDEFINED),
        (ExternalError::TimeUp, "the check's time is up"),
    ];
    for (error, expected) in rows {
        let others = Others::new(Err(error));
        let error = evaluate(&others, "x := net.lookup_ip_addr(\"two.example\")").unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
