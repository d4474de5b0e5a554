//! How long an answer holds for equal requests, and why some are not to be remembered at all. What is
//! remembered, and until when in the end, is left to `cache`.

use std::time::Duration;

use serde::Serialize;

/// How long an answer may be remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// From this time on it does not hold any more, in nanoseconds since 1970.
    pub until_ns: Option<i64>,
    /// Longest it is remembered, by a policy's word.
    pub ttl: Option<Duration>,
    /// Why it is not remembered at all.
    pub never: Option<Unremembered>,
}

/// Why an answer is not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unremembered {
    /// Nothing is: the cache is off.
    Off,
    /// The configuration says so of an entrypoint that was asked.
    EntrypointOff,
    /// A policy that was asked says so.
    PolicyOff,
    /// A policy that was asked reads the clock and does not say how long its answer holds.
    ReadsTime,
    /// The same for random numbers.
    ReadsRandom,
    /// The same for what others answer.
    External,
    /// It is none of policy: an error, a malformed request, or a token that is refused and may be good
    /// a second later.
    Failure,
}

// === impl Lifetime ===

impl Lifetime {
    /// Not to be remembered.
    pub fn never(why: Unremembered) -> Self {
        Self {
            never: Some(why),
            ..Self::default()
        }
    }

    /// Holds to the end of a second since 1970, if there is one.
    pub fn through_second(last: Option<u64>) -> Self {
        let end = |last: u64| i64::try_from(last).ok()?.checked_add(1)?.checked_mul(NANOS);
        Self {
            // An end that cannot be written as a time is none.
            until_ns: last.and_then(end),
            ..Self::default()
        }
    }

    /// How long both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            until_ns: least(self.until_ns, other.until_ns),
            ttl: least(self.ttl, other.ttl),
            never: self.never.or(other.never),
        }
    }
}

const NANOS: i64 = 1_000_000_000;

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

// === impl Unremembered ===

impl Unremembered {
    /// The name in metrics and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::EntrypointOff => "entrypoint_off",
            Self::PolicyOff => "policy_off",
            Self::ReadsTime => "reads_time",
            Self::ReadsRandom => "reads_random",
            Self::External => "external",
            Self::Failure => "failure",
        }
    }
}
