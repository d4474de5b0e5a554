//! From the bytes of a check to those of its reply, as `compare.py` measures it over connections.

use std::hint::black_box;

use crate::door::{CACHED, Door, NATIVE, REGO_CONSTANT, REGO_JWT, REGO_RBAC, message};
use crate::harness::{heading, line, median, shown};

pub(crate) fn run() {
    heading("from a check's bytes to its reply's");
    for (name, sources) in [
        ("a remembered decision", CACHED),
        ("five native policies and a token seen before", NATIVE),
        ("Rego: constant", REGO_CONSTANT),
        ("Rego: token", REGO_JWT),
        ("Rego: roles", REGO_RBAC),
    ] {
        let door = Door::new(sources);
        let message = message();
        assert!(door.allows(&message));
        let time = median(|| drop(black_box(door.answer(&message))));
        line(name, &shown(time), "");
    }
}
