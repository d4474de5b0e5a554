//! Tests of policies that people write beside them: requests, and what is to become of each. The
//! policies are compiled as `serve` would and asked through the same function as a proxy's
//! requests. What is printed, and the exit code, is left to the command.

mod expect;
mod file;
mod find;
mod known;
mod rego;
mod request;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use thiserror::Error;

use crate::activation::{ActivationError, ActivationSettings, FilePolicies};
use crate::attributes::Attributes;
use crate::pdp::Pdp;
use crate::policy::resource::ResourceId;
use expect::Expect;

pub use find::find;
pub use rego::{RegoOptions, load_rego};

/// How the name of a cases file ends.
pub const ENDING: &str = ".cases.yaml";

/// One cases file with the policies it is about, ready to run.
#[derive(Debug)]
pub struct Suite {
    /// The file as it was named.
    pub file: String,
    policies: FilePolicies,
    settings: ActivationSettings,
    pdp: Pdp,
    cases: Vec<Case>,
}

/// One request and what is to become of it.
#[derive(Debug)]
struct Case {
    name: String,
    attributes: Attributes,
    /// Nanoseconds since 1970; the time of the run if `None`.
    time_ns: Option<i64>,
    expect: Expect,
}

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub name: String,
    /// What is not as expected; empty if the case passed.
    pub mismatches: Vec<Mismatch>,
    /// The decision and its reason, in a line.
    pub decided: String,
}

/// A member of `expect` that did not come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub member: &'static str,
    pub expected: String,
    pub got: String,
}

/// Everything that keeps a cases file from being run, a line each, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("\n"))]
pub struct LoadError(pub Vec<String>);

// === impl Suite ===

impl Suite {
    /// Reads a cases file and the policies it is about.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        file::load(path)
    }

    /// Runs all cases. `now_ns` is the time of those that name none.
    pub fn run(&self, now_ns: i64) -> Vec<Verdict> {
        let cases = self.cases.iter();
        cases.map(|case| case.run(&self.pdp, now_ns)).collect()
    }

    /// Objects that no case needs: without them, every case that passes still does. What is not
    /// needed is not tested.
    pub fn unneeded(&self, now_ns: i64) -> Result<Vec<ResourceId>, ActivationError> {
        let passes = |pdp: &Pdp| -> Vec<bool> {
            let cases = self.cases.iter();
            let verdicts = cases.map(|case| case.run(pdp, now_ns));
            verdicts.map(|verdict| verdict.passed()).collect()
        };
        let whole = passes(&self.pdp);
        let mut unneeded = Vec::new();
        for object in self.policies.objects() {
            let rest = self.policies.without(&object.id);
            let pdp = Pdp::over(rest.compile(&self.settings)?);
            let missed = |(with, without): (&bool, bool)| *with && !without;
            if !whole.iter().zip(passes(&pdp)).any(missed) {
                unneeded.push(object.id.clone());
            }
        }
        Ok(unneeded)
    }

    /// Files of the native objects this is about.
    pub fn policy_files(&self) -> BTreeSet<String> {
        let objects = self.policies.objects();
        objects.iter().map(|object| object.origin()).collect()
    }
}

// === impl Case ===

impl Case {
    fn run(&self, pdp: &Pdp, now_ns: i64) -> Verdict {
        let time_ns = self.time_ns.unwrap_or(now_ns);
        let mut attributes = self.attributes.clone();
        request::at(&mut attributes, time_ns);
        let answer = pdp.check(attributes, time_ns);
        Verdict {
            name: self.name.clone(),
            mismatches: self.expect.mismatches(&answer),
            decided: expect::summary(&answer),
        }
    }
}

// === impl Verdict ===

impl Verdict {
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}
