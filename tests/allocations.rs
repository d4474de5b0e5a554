//! How often a check asks for memory, from the bytes of its message to those of its reply: a bound
//! for each kind, so that it cannot creep up. The crate that counts is the allocator of this whole
//! binary, and counts each thread for itself.

use allocation_counter::measure;

use crate::support::door::{
    CACHED, Door, NATIVE, REGO_CONSTANT, REGO_JWT, REGO_RBAC, Sources, message,
};

/// Lower a bound when a check needs less: it is the most that was counted.
#[test]
fn a_check_allocates_no_more_than_it_did() {
    for (name, sources, most) in [
        ("cached", CACHED, 22),
        ("native", NATIVE, 52),
        ("rego constant", REGO_CONSTANT, 43),
        ("rego jwt", REGO_JWT, 630),
        ("rego rbac", REGO_RBAC, 2_974),
    ] {
        let count = allocations(sources);
        eprintln!("{name}: {count} allocations");
        assert!(count <= most, "{name}: {count} allocations, {most} before");
    }
}

/// Of one check among many: the least of some, since a cache tidies up now and then.
fn allocations(sources: Sources<'_>) -> u64 {
    let door = Door::new(sources);
    let message = message();
    assert!(door.allows(&message));
    let counts = (0..20).map(|_| measure(|| drop(door.answer(&message))).count_total);
    counts.min().unwrap()
}
