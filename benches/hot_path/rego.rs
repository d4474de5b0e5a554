//! What Rego takes of a check, and how that grows with the number of rules that share a name.

use std::fmt::Write as _;
use std::hint::black_box;

use doorward::attributes::Attributes;
use doorward::ext_authz::from_json;
use doorward::pdp::Pdp;

use crate::door::{REGO_CONSTANT, REGO_JWT, REGO_RBAC, pdp, request};
use crate::harness::{heading, line, median_of, shown};

const NOW_NS: i64 = 1_750_000_000_000_000_000;
/// Checks a run: those with many rules take a millisecond.
const CHECKS: u32 = 20;

pub(crate) fn run() {
    heading("Rego, from attributes to a decision");
    let attributes = from_json(&request()).unwrap();
    for (name, sources) in [
        ("constant", REGO_CONSTANT),
        ("token", REGO_JWT),
        ("roles", REGO_RBAC),
    ] {
        measure(name, &pdp(sources), &attributes);
    }
    for count in [10, 100, 1_000] {
        let file = tempfile::Builder::new().suffix(".rego").tempfile().unwrap();
        std::fs::write(&file, rules(count)).unwrap();
        let pdp = pdp((file.path().to_str().unwrap(), None, false));
        let name = format!("{count} rules that compare method and host, the last allows");
        measure(&name, &pdp, &attributes);
    }
}

fn measure(name: &str, pdp: &Pdp, attributes: &Attributes) {
    let check = || pdp.check(attributes.clone(), NOW_NS);
    assert!(check().decision.reply().is_ok());
    let time = median_of(31, || (0..CHECKS).for_each(|_| drop(black_box(check()))));
    line(name, &shown(time / CHECKS), "");
}

/// Rules of one name, of which the last is for the host that is asked.
fn rules(count: usize) -> String {
    let mut text = "package envoy.authz\n\ndefault allow := false\n".to_owned();
    for rule in 1..=count {
        let host = match rule == count {
            true => "httpbin.foo:8000".to_owned(),
            false => format!("h{rule}.example.com"),
        };
        write!(
            text,
            "\nallow if {{\n\tinput.attributes.request.http.method == \"GET\"\n\
             \tinput.attributes.request.http.host == \"{host}\"\n}}\n"
        )
        .unwrap();
    }
    text
}
