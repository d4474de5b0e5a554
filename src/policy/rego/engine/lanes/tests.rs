use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use regorus::Value;

use super::super::{Engine, Terms};
use super::*;
use crate::policy::rego::RegoModule;

const MODULE: &str = "package p\nimport rego.v1\n\
    allow if { some role in data.roles[input.user]; role in {\"admin\", \"owner\"} }\n\
    name := concat(\"-\", [\"lane\", input.user])";

fn compiled(at_once: usize, text: &str, data: &str) -> Engine {
    let module = RegoModule {
        path: "p.rego".to_owned(),
        text: text.to_owned(),
        v0: false,
    };
    let terms = Terms {
        query: None,
        limit: Duration::from_secs(20),
        at_once: NonZeroUsize::new(at_once).unwrap(),
        may_ask: false,
        runtime: None,
        before: None,
    };
    let data = Value::from_json_str(data).unwrap();
    Engine::compile(&[module], data, terms).unwrap().0
}

fn lanes_of(engine: &Engine) -> usize {
    1 + engine.lanes.others.len()
}

#[test]
fn small_policies_have_a_lane_for_each_core() {
    let check = |at_once, padding: usize, roles: usize, expected| {
        let text = format!("{MODULE}\n{}", "# fifteen bytes\n".repeat(padding / 16));
        let roles: Vec<_> = (0..roles)
            .map(|user| format!("\"u{user}\":[\"admin\"]"))
            .collect();
        let data = format!("{{\"roles\":{{{}}}}}", roles.join(","));
        let lanes = lanes_of(&compiled(at_once, &text, &data));
        assert_eq!(
            lanes,
            expected,
            "{at_once} at once, {padding} of text, {} of roles",
            data.len()
        );
    };
    check(1, 0, 1, 1);
    check(2, 0, 1, 2);
    check(7, 0, 1, 7);
    check(200, 0, 1, MAX_LANES);
    // 300 KiB go three times into the whole, 600 KiB once.
    check(8, 300 << 10, 1, 3);
    check(8, 600 << 10, 1, 1);
    check(8, 2 << 20, 1, 1);
    // Data count as well: about 60 bytes a user.
    check(8, 0, 8_000, 2);
    check(8, 0, 50_000, 1);
}

#[test]
fn evaluations_at_once_have_a_lane_each_and_then_share() {
    let engine = compiled(3, MODULE, "{\"roles\": {}}");
    let lane = |taken: &Taken<'_>| std::ptr::from_ref(taken.place.0).addr();
    let held: Vec<_> = (0..3).map(|_| engine.lanes.take()).collect();
    let taken: BTreeSet<_> = held.iter().map(lane).collect();
    assert_eq!(taken.len(), 3);
    let shared = engine.lanes.take();
    assert!(taken.contains(&lane(&shared)));
    drop(held);
    shared.keep();
    // What is free again is found again, and a thread comes back to the lane it had.
    let first = engine.lanes.take();
    let again = lane(&first);
    first.keep();
    assert_eq!(lane(&engine.lanes.take()), again);
}

#[test]
fn every_lane_answers_the_same() {
    let engine = compiled(
        4,
        MODULE,
        "{\"roles\": {\"ann\": [\"admin\"], \"bob\": [\"guest\"]}}",
    );
    let check = |path: &str, user: &str, expected: Option<Value>| {
        let mut held = Vec::new();
        for _ in 0..6 {
            let input = Value::from_json_str(&format!("{{\"user\":\"{user}\"}}")).unwrap();
            let limit = Duration::from_secs(20);
            let result = engine.evaluate(&engine.target(path), input, limit, 0);
            assert_eq!(
                result.ok(),
                expected,
                "{path} for {user} beside {}",
                held.len()
            );
            held.push(engine.lanes.take());
        }
    };
    check("p/allow", "ann", Some(true.into()));
    check("p/allow", "bob", None);
    check("p/allow", "eve", None);
    check("p/name", "bob", Some("lane-bob".into()));
}

#[test]
fn a_copy_is_equal_and_shares_nothing() {
    let text = "{\"a\": [\"b\", 1, 2.5, true, null, {}], \"n\": 123456789012345678901234567890}";
    let mut value = Value::from_json_str(text).unwrap();
    let set = Value::from(BTreeSet::from([Value::from("x"), Value::new_array()]));
    value.as_object_mut().unwrap().insert("set".into(), set);
    let copied = copy(&value);
    assert_eq!(copied, value);
    shares_nothing(&value, &copied);
}

fn shares_nothing(left: &Value, right: &Value) {
    match (left, right) {
        (Value::String(left), Value::String(right)) => assert!(!Arc::ptr_eq(left, right)),
        (Value::Array(left), Value::Array(right)) => {
            assert!(!Arc::ptr_eq(left, right));
            left.iter()
                .zip(right.iter())
                .for_each(|(left, right)| shares_nothing(left, right));
        }
        (Value::Set(left), Value::Set(right)) => {
            assert!(!Arc::ptr_eq(left, right));
            left.iter()
                .zip(right.iter())
                .for_each(|(left, right)| shares_nothing(left, right));
        }
        (Value::Object(left), Value::Object(right)) => {
            assert!(!Arc::ptr_eq(left, right));
            for ((name, item), (other, copied)) in left.iter().zip(right.iter()) {
                shares_nothing(name, other);
                shares_nothing(item, copied);
            }
        }
        _ => {}
    }
}
