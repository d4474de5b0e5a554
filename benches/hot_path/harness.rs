//! How the benches of this binary measure and show: the median of many short runs on one core, with
//! the bound it is to keep, where there is one. No library: bounds in the same table as the figures
//! are what these benches are for.

use std::time::{Duration, Instant};

/// Time of one call: the median of runs of 200 calls.
pub(crate) fn median(call: impl Fn()) -> Duration {
    median_of(101, || (0..200).for_each(|_| call())) / 200
}

pub(crate) fn median_of(runs: usize, run: impl Fn()) -> Duration {
    run();
    let mut times: Vec<_> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times.get(runs / 2).copied().unwrap()
}

pub(crate) fn heading(what: &str) {
    println!("\n{what:<58}{:>12}{:>10}", "measured", "bound");
}

pub(crate) fn line(what: &str, measured: &str, bound: &str) {
    println!("{what:<58}{measured:>12}{bound:>10}");
}

pub(crate) fn shown(time: Duration) -> String {
    match time.as_nanos() {
        nanos @ ..10_000 => format!("{:.2} µs", nanos as f64 / 1e3),
        nanos @ ..10_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        nanos => format!("{:.0} ms", nanos as f64 / 1e6),
    }
}
