//! A clock that stands, runs, jumps to where something ends, and goes back.

use super::random::Random;
use super::tokens::{BEGIN, EDGES};

pub const SECOND: i64 = 1_000_000_000;
/// Longest that decisions are remembered.
pub const TTL_SECONDS: u64 = 25;
const TTL: i64 = TTL_SECONDS as i64 * SECOND;
/// So far it goes from where it begins, either way.
const FAR: i64 = 130 * SECOND;

/// Nanoseconds since 1970, step by step.
pub struct Clock {
    pub now: i64,
    /// Where a token begins or ends that is not far from now.
    edge: i64,
}

impl Clock {
    pub fn new() -> Self {
        let now = BEGIN * SECOND;
        Self { now, edge: now }
    }

    /// Takes a step. `made` is when something was remembered last.
    pub fn step(&mut self, random: &mut Random, made: i64) {
        let next = match random.below(100) {
            0..55 => self.now,
            55..78 => self.now + i64::try_from(random.below(50_000_000)).unwrap(),
            78..82 => self.now + SECOND,
            // Near to where a token begins or ends, and then there, to the nanosecond.
            82..85 => {
                self.edge = random.pick(&EDGES) * SECOND;
                self.edge - i64::try_from(random.below(20)).unwrap() * SECOND - 1
            }
            85..93 => self.edge + random.pick(&[-1, 0, 1, SECOND - 1, SECOND]),
            93..96 => made + random.pick(&[1, 7 * SECOND, TTL]) + random.pick(&[-1, 0, 1]),
            96..99 => self.now - i64::try_from(random.below(40)).unwrap() * SECOND,
            _ => made - 1,
        };
        let begin = BEGIN * SECOND;
        self.now = if (next - begin).abs() < FAR {
            next
        } else {
            begin
        };
    }
}
