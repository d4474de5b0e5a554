//! The decision cache changes nothing but the time it takes: generated policies, requests, pushes and
//! steps of the clock are decided with a large cache, a small one and none, and every decision must be
//! the same. `make proof` does so a million times, every run of the tests a little.
//!
//! A run follows from its seed. `DOORWARD_PROOF_SEED=SEED` repeats one, `SEED:EPOCH` only what became of
//! one set of policies in it.

mod clock;
mod edges;
mod machine;
mod parts;
mod policies;
mod random;
mod rego;
mod requests;
mod tokens;
mod twins;

use std::time::{Instant, SystemTime};

use machine::{Machine, Tally};

/// Steps of the run among the other tests.
const SHORT: usize = 30_000;
/// Steps of `make proof`, unless `DOORWARD_PROOF_STEPS` says otherwise.
const LONG: usize = 1_000_000;
/// Least part of all checks that must be answered from memory, in percent: else little is proved.
const LEAST_HITS: usize = 30;

#[test]
fn a_remembered_decision_is_the_one_that_would_be_made() {
    run(SHORT);
}

#[test]
#[ignore = "takes minutes: `make proof`"]
fn a_remembered_decision_is_the_one_that_would_be_made_a_million_times() {
    let steps = std::env::var("DOORWARD_PROOF_STEPS").ok();
    run(steps.map_or(LONG, |steps| steps.parse().unwrap()));
}

#[test]
fn all_rego_that_is_put_together_is_accepted_somewhere() {
    for text in rego::all() {
        let accepted = policies::of_rego(&text);
        assert!(accepted.is_ok(), "{text}\n{accepted:?}");
    }
}

fn run(steps: usize) {
    let (seed, only) = seed();
    eprintln!("DOORWARD_PROOF_SEED={seed}");
    let begin = Instant::now();
    let mut tally = Tally::default();
    let mut shown = 0;
    for epoch in only.map_or(0..u64::MAX, |epoch| epoch..epoch + 1) {
        if let Err(difference) = Machine::of(seed, epoch).run(&mut tally) {
            panic!(
                "after {} steps, DOORWARD_PROOF_SEED={seed}:{epoch}\n{difference}",
                tally.steps
            );
        }
        if tally.steps * 20 / steps > shown {
            shown = tally.steps * 20 / steps;
            eprintln!("{:>4} s  {tally}", begin.elapsed().as_secs());
        }
        if tally.steps >= steps {
            break;
        }
    }
    eprintln!("{:>4} s  {tally}", begin.elapsed().as_secs());
    if only.is_none() {
        tally.check(LEAST_HITS);
    }
}

/// The seed, and the one set of policies to look at.
fn seed() -> (u64, Option<u64>) {
    let Ok(asked) = std::env::var("DOORWARD_PROOF_SEED") else {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        return (now.as_secs() ^ u64::from(now.subsec_nanos()) << 20, None);
    };
    let (seed, epoch) = match asked.split_once(':') {
        Some((seed, epoch)) => (seed, Some(epoch.parse().unwrap())),
        None => (&*asked, None),
    };
    (seed.parse().unwrap(), epoch)
}
