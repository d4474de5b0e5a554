//! A second opinion on Istio's semantics: a plain evaluator written from their text alone, compared
//! with what Doorward compiles, on generated policies and requests. A disagreement is a fault of
//! one of the two, or a gap in the text.

mod case;
mod evaluator;
mod facts;
mod matching;
mod matrix;
pub mod policies;
mod properties;
mod recorded;
mod requests;
mod tally;
mod tokens;
mod vocabulary;
mod yaml;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use case::Case;
use evaluator::{Because, Evaluator};
use tally::Tally;

/// Pairs of a policy set and a request that are compared unless `DOORWARD_REFERENCE_PAIRS` says
/// more.
const PAIRS: usize = 100_000;
/// Requests a policy set is asked about.
const REQUESTS: usize = 50;
/// Values of each field match, and do not match, at least once in so many pairs. What is rarer than
/// a field is seen to by `matrix`.
const PAIRS_PER_MATCH: usize = 2_000;
/// Rules of three actions; seven fields of a source, four of an operation and 15 keys, each with its
/// negation.
const FIELDS: usize = 3 + 2 * (7 + 4 + 15);

fn config(cases: usize) -> Config {
    Config {
        cases: u32::try_from(cases).unwrap(),
        max_shrink_iters: 50_000,
        failure_persistence: None,
        ..Config::default()
    }
}

/// How many were compared, and how they came out.
#[derive(Default)]
struct Outcomes {
    pairs: usize,
    because: BTreeMap<(bool, Because), usize>,
}

#[test]
fn doorward_decides_as_the_text_reads() {
    let asked = std::env::var("DOORWARD_REFERENCE_PAIRS").ok();
    let pairs = asked.map_or(PAIRS, |pairs| pairs.parse().unwrap());
    let tally = Tally::default();
    let outcomes = RefCell::new(Outcomes::default());
    let mut runner = TestRunner::new(config(pairs.div_ceil(REQUESTS)));
    let result = runner.run(&case::any(REQUESTS), |case| {
        let compared = compare(&case, &tally).map_err(TestCaseError::fail)?;
        let mut outcomes = outcomes.borrow_mut();
        for key in compared {
            outcomes.pairs += 1;
            *outcomes.because.entry(key).or_default() += 1;
        }
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\n{case:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    report(&outcomes.into_inner(), &tally, pairs);
}

/// Decides every request of a case both ways.
fn compare(case: &Case, tally: &Tally) -> Result<Vec<(bool, Because)>, String> {
    let pdp = case.pdp()?;
    let evaluator = Evaluator {
        mesh: &case.mesh,
        objects: &case.objects,
        tally,
    };
    let requests = case.requests.iter();
    let compared = requests.map(|sent| {
        let expected = evaluator.verdict(sent.asked());
        let actual = case::decide(&pdp, sent);
        if actual == expected {
            Ok((expected.allowed, expected.because))
        } else {
            Err(format!(
                "Doorward says {actual:?}\nthe text says  {expected:?}\nfor\n{sent:?}"
            ))
        }
    });
    compared.collect()
}

/// Prints what was compared, and makes sure that it was not too little of anything.
fn report(outcomes: &Outcomes, tally: &Tally, asked: usize) {
    let Outcomes { pairs, because } = outcomes;
    let of = |effect| {
        let counted = because
            .iter()
            .filter(|((allowed, _), _)| *allowed == effect);
        counted.map(|(_, count)| count).sum::<usize>()
    };
    let (allowed, denied) = (of(true), of(false));
    let mut counts: BTreeMap<_, [u64; 2]> = BTreeMap::new();
    for ((field, _), [hits, misses]) in tally.counts() {
        let sum = counts.entry(field).or_default();
        *sum = [sum[0] + hits, sum[1] + misses];
    }
    eprintln!("{pairs} pairs compared: {allowed} allowed, {denied} denied {because:?}");
    for (field, [hits, misses]) in &counts {
        eprintln!("  {field}: matched {hits} of {}", hits + misses);
    }
    let least = u64::try_from(pairs / PAIRS_PER_MATCH).unwrap();
    let is_starved = |(_, counts): &(_, &[u64; 2])| counts.iter().any(|count| *count < least);
    let starved: Vec<_> = counts.iter().filter(is_starved).collect();
    assert!(*pairs >= asked, "only {pairs} of {asked}");
    assert!(allowed > pairs / 5 && denied > pairs / 5, "{because:?}");
    assert!(because.len() >= 8, "{because:?}");
    assert_eq!(counts.len(), FIELDS);
    assert!(
        starved.is_empty(),
        "each should match and not match {least} times: {starved:?}"
    );
}
