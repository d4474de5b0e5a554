//! Results as the JSON that `opa test --format json` writes: an object a test. Cases files are told in
//! the same form, with the file as their package.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::cases::wrong;
use super::rego::Ran;
use crate::cases::Verdict;
use crate::policy::rego::{Cases, RegoError, TestVerdict};

#[derive(Debug, Serialize)]
pub(super) struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorEntry>,
    location: Place,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sub_results: BTreeMap<String, Sub>,
    package: String,
    name: String,
    /// In base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    /// In nanoseconds.
    duration: u64,
    #[serde(skip_serializing_if = "is_false")]
    fail: bool,
    #[serde(skip_serializing_if = "is_false")]
    skip: bool,
}

#[derive(Debug, Serialize)]
struct ErrorEntry {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Place>,
}

#[derive(Debug, Serialize)]
struct Place {
    file: String,
    row: u64,
    col: u64,
}

#[derive(Debug, Serialize)]
struct Sub {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sub_results: BTreeMap<String, Self>,
    name: String,
    #[serde(skip_serializing_if = "is_false")]
    fail: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

// === impl Entry ===

impl Entry {
    pub(super) fn of_test(ran: &Ran<'_>) -> Self {
        let (test, verdict) = (ran.test, &ran.result.verdict);
        let output: String = ran
            .result
            .output
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        Self {
            error: match verdict {
                TestVerdict::Error(error) => Some(ErrorEntry::of(error)),
                _ => None,
            },
            location: Place {
                file: test.file.clone(),
                row: test.row,
                col: test.col,
            },
            sub_results: subs(&ran.result.cases),
            package: test.package.clone(),
            name: test.name.clone(),
            output: STANDARD.encode(output),
            duration: u64::try_from(ran.duration.as_nanos()).unwrap_or(u64::MAX),
            fail: *verdict == TestVerdict::Failed,
            skip: *verdict == TestVerdict::Skipped,
        }
    }

    pub(super) fn of_case(file: &str, verdict: &Verdict) -> Self {
        let output = match verdict.passed() {
            true => String::new(),
            false => wrong(verdict).join("\n"),
        };
        Self {
            error: None,
            location: Place {
                file: file.to_owned(),
                row: 0,
                col: 0,
            },
            sub_results: BTreeMap::new(),
            package: file.to_owned(),
            name: verdict.name.clone(),
            output: STANDARD.encode(output),
            duration: 0,
            fail: !verdict.passed(),
            skip: false,
        }
    }
}

impl ErrorEntry {
    fn of(error: &RegoError) -> Self {
        let place = || Place {
            file: error.file.clone(),
            row: error.row,
            col: error.col,
        };
        Self {
            code: error.code,
            message: error.message.clone(),
            location: (!error.file.is_empty()).then(place),
        }
    }
}

fn subs(cases: &Cases) -> BTreeMap<String, Sub> {
    let subs = cases.iter().map(|(name, case)| {
        let sub = Sub {
            sub_results: subs(&case.cases),
            name: name.clone(),
            fail: case.failed,
        };
        (name.clone(), sub)
    });
    subs.collect()
}
