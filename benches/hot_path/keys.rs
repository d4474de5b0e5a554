//! The way of a remembered decision: whose policies are asked, the key of what they read, and what
//! is found under it.

use std::hint::black_box;

use doorward::ext_authz::from_json;
use doorward::policy::native::Workload;

use crate::door::{CACHED, pdp, request};
use crate::harness::{heading, line, median, shown};

const NOW_NS: i64 = 1_750_000_000_000_000_000;

pub(crate) fn run() {
    heading("a remembered decision, from attributes");
    let pdp = pdp(CACHED);
    let attributes = from_json(&request()).unwrap();
    pdp.check(attributes.clone(), NOW_NS);
    let snapshot = pdp.snapshot();
    let (policies, cache) = (&snapshot.policies, &snapshot.cache);
    let attached = || {
        let workload = Workload::of(&attributes, &policies.settings.workloads).unwrap();
        policies.native.attached(&workload).unwrap()
    };
    let time = median(|| drop(black_box(attached())));
    line("the workload and its policies", &shown(time), "");

    let attached = attached();
    let plan = policies.plan(&attached);
    let key = || cache.key(&attached.label, plan, &attributes).unwrap();
    let time = median(|| drop(black_box(key())));
    line("the key of what they read", &shown(time), "");

    let key = key();
    assert!(cache.get(&key, NOW_NS).is_some());
    let time = median(|| drop(black_box(cache.get(&key, NOW_NS))));
    line("what is found under it", &shown(time), "");
}
