//! OPA's own cases of the language and its built-ins, each compiled and asked in this process with
//! the service's engine. What does not pass stands with its reason in `rego/known.json`, which can
//! only shrink; `docs/rego-conformance.md` tells both, written anew with `DOORWARD_WRITE_DOCS=1`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use doorward::address::OwnPorts;
use doorward::external::{Config, Outside};
use doorward::policy::rego::external::Reach;
use doorward::policy::rego::{
    Asked, Caching, Data, InputSettings, RegoModule, RegoPolicies, RegoSettings,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::root;

const DOCUMENT: &str = "docs/rego-conformance.md";
/// October 2025: certificates of the cases are valid then.
const NOW_NS: i64 = 1_760_000_000_000_000_000;
/// What the refusal of a call begins with.
const UNDEFINED_FUNCTION: &str = "undefined function ";

#[derive(Deserialize)]
struct Group {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    note: String,
    query: String,
    #[serde(default)]
    modules: Vec<String>,
    data: Option<Value>,
    /// `null` is an input as well.
    #[serde(default, deserialize_with = "present")]
    input: Option<Value>,
    input_term: Option<String>,
    want_result: Option<Vec<Value>>,
    want_error: Option<String>,
    want_error_code: Option<String>,
    #[serde(default)]
    strict_error: bool,
    #[serde(default)]
    sort_bindings: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What is known not to pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Group, case and the reason.
    cases: BTreeMap<String, BTreeMap<String, String>>,
    /// Built-ins that are refused when a policy is loaded, and why.
    missing_builtins: BTreeMap<String, String>,
    /// What is known to differ although no case shows it.
    beyond_the_suite: Vec<String>,
}

/// How a case fails.
enum Failure {
    /// A wrong value, or one where there should be an error.
    Silent(String),
    Error(String),
}

/// All that failed, and how many cases there were.
#[derive(Default)]
struct Tally {
    /// Passed and all, by group.
    groups: BTreeMap<String, (usize, usize)>,
    failures: Vec<(String, String, Failure)>,
}

#[test]
fn cases_of_opa_agree() {
    let Some(folder) = super::folder("rego") else {
        return;
    };
    let known: Known = serde_json::from_str(include_str!("rego/known.json")).unwrap();
    let tally = run_all(&folder);
    let (passed, all) = tally.total();
    eprintln!("{passed} of {all} cases pass");
    assert!(all > 1_000, "only {all} cases were found");
    let wrong = tally.differences_from(&known);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let document = tally.document(&known);
    let path = root().join(DOCUMENT);
    if std::env::var_os("DOORWARD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "{DOCUMENT} is not what this test makes: run it with DOORWARD_WRITE_DOCS=1"
    );
}

fn run_all(folder: &Path) -> Tally {
    let files = std::fs::read_dir(folder).unwrap();
    let paths: BTreeSet<_> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    let mut tally = Tally::default();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let group: Group = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in &group.cases {
            let count = tally.groups.entry(name.clone()).or_default();
            count.1 += 1;
            match judge(case, answer(case)) {
                None => count.0 += 1,
                Some(failure) => tally
                    .failures
                    .push((name.clone(), case.note.clone(), failure)),
            }
        }
    }
    tally
}

/// The bindings of each solution, or the error. A panic is one: the service makes it a denial.
fn answer(case: &Case) -> Result<Vec<Value>, String> {
    std::panic::catch_unwind(|| ask(case)).unwrap_or_else(|_| Err("panics".to_owned()))
}

fn ask(case: &Case) -> Result<Vec<Value>, String> {
    let data = match &case.data {
        None | Some(Value::Null) => Data::default(),
        Some(data) => Data::parse(data.to_string()).unwrap(),
    };
    let input = match (&case.input_term, &case.input) {
        (Some(term), _) => term_value(term)?,
        (None, Some(input)) => Data::parse(input.to_string()).unwrap(),
        (None, None) => Data::undefined(),
    };
    let _reach = Reach::through(outside().for_one_check());
    let solutions = compile(&case.modules, data)?
        .query(&case.query, input, case.strict_error, NOW_NS)
        .map_err(|error| error.to_string())?;
    let json = |solution: &Data| serde_json::from_str(&solution.to_json().unwrap()).unwrap();
    Ok(solutions.iter().map(json).collect())
}

fn compile(texts: &[String], data: Data) -> Result<RegoPolicies, String> {
    let modules = texts.iter().enumerate().map(|(index, text)| RegoModule {
        path: format!("{index}.rego"),
        text: text.clone(),
        v0: false,
    });
    let settings = RegoSettings {
        input: InputSettings::default(),
        asked: Asked::Rule("test/p".to_owned()),
        providers: BTreeMap::new(),
        evaluation_limit: Duration::from_secs(20),
        at_once: NonZeroUsize::MIN,
        runtime: None,
        caching: Caching::default(),
        outside: Some(Duration::from_secs(20)),
    };
    RegoPolicies::compile(&modules.collect::<Vec<_>>(), data, &settings).map_err(|errors| {
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        texts.join("; ")
    })
}

/// What is asked with, for cases that ask others.
fn outside() -> &'static Outside {
    static OUTSIDE: OnceLock<(Runtime, Outside)> = OnceLock::new();
    let (_, outside) = OUTSIDE.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let deadline = Duration::from_secs(20);
        let outside = Outside::new(
            &Config::default(),
            deadline,
            OwnPorts::default(),
            Arc::default(),
        );
        (runtime, outside)
    });
    outside
}

/// The value of a Rego term.
fn term_value(term: &str) -> Result<Data, String> {
    let solutions = compile(&[], Data::default())?
        .query(&format!("x = {term}"), Data::undefined(), true, NOW_NS)
        .map_err(|error| error.to_string())?;
    let value = solutions.first().and_then(|solution| solution.member("x"));
    value.ok_or_else(|| "the input has no value".to_owned())
}

fn judge(case: &Case, answer: Result<Vec<Value>, String>) -> Option<Failure> {
    let fails = case.want_error.is_some() || case.want_error_code.is_some();
    match answer {
        // Rule: an error that is wanted is not one that comes of a missing built-in.
        Err(error) if fails && !error.contains(UNDEFINED_FUNCTION) => None,
        Err(error) => Some(Failure::Error(error)),
        Ok(got) if fails => Some(Failure::Silent(format!("no error but {}", list(&got)))),
        Ok(got) => {
            let want = case.want_result.as_deref().unwrap_or_default();
            let same = if case.sort_bindings {
                same_members(&got, want)
            } else {
                same_items(&got, want)
            };
            let difference = || format!("{}, not {}", list(&got), list(want));
            (!same).then(|| Failure::Silent(difference()))
        }
    }
}

fn list(values: &[Value]) -> String {
    Value::from(values).to_string()
}

fn same_items(got: &[Value], want: &[Value]) -> bool {
    let mut pairs = got.iter().zip(want);
    got.len() == want.len() && pairs.all(|(got, want)| same(got, want))
}

fn same_members(got: &[Value], want: &[Value]) -> bool {
    let in_both = |one: &[Value], other: &[Value]| {
        one.iter()
            .all(|value| other.iter().any(|other| same_unordered(value, other)))
    };
    got.len() == want.len() && in_both(got, want) && in_both(want, got)
}

/// Rule: bindings that have no order may be made of sets, which have none either.
fn same_unordered(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Array(got), Value::Array(want)) => same_members(got, want),
        (Value::Object(got), Value::Object(want)) => {
            let mut fields = got.iter();
            got.len() == want.len()
                && fields
                    .all(|(name, got)| want.get(name).is_some_and(|want| same_unordered(got, want)))
        }
        _ => same(got, want),
    }
}

/// Rule: numbers are the same by value. Sets are arrays here, in the order OPA gives them as well.
fn same(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Array(got), Value::Array(want)) => same_items(got, want),
        (Value::Object(got), Value::Object(want)) => {
            let mut fields = got.iter();
            got.len() == want.len()
                && fields.all(|(name, got)| want.get(name).is_some_and(|want| same(got, want)))
        }
        (Value::Number(got), Value::Number(want)) => got == want || got.as_f64() == want.as_f64(),
        _ => got == want,
    }
}

// === impl Failure ===

impl Failure {
    fn text(&self) -> &str {
        match self {
            Self::Silent(text) | Self::Error(text) => text,
        }
    }

    /// The built-ins whose lack makes a case fail.
    fn missing_builtins(&self) -> impl Iterator<Item = &str> {
        let mentions = self.text().split(UNDEFINED_FUNCTION).skip(1);
        mentions.map(|rest| rest.split([';', ' ']).next().unwrap_or_default())
    }
}

// === impl Tally ===

impl Tally {
    fn total(&self) -> (usize, usize) {
        let counts = self.groups.values();
        counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    /// Failures that are not known, and known ones that do not fail.
    fn differences_from(&self, known: &Known) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut seen = BTreeSet::new();
        for (group, note, failure) in &self.failures {
            let builtins: Vec<_> = failure.missing_builtins().collect();
            let reason = known.cases.get(group).and_then(|cases| cases.get(note));
            if reason.is_some() {
                seen.insert(format!("{group}: {note}"));
            } else if !builtins.is_empty()
                && builtins
                    .iter()
                    .all(|name| known.missing_builtins.contains_key(*name))
            {
                seen.extend(builtins.into_iter().map(str::to_owned));
            } else {
                let kind = match failure {
                    Failure::Silent(_) => "SILENT ",
                    Failure::Error(_) => "",
                };
                wrong.push(format!("{group}: {note}: {kind}{}", failure.text()));
            }
        }
        let cases = known.cases.iter().flat_map(|(group, cases)| {
            let notes = cases.keys();
            notes.map(move |note| format!("{group}: {note}"))
        });
        let listed = cases.chain(known.missing_builtins.keys().cloned());
        let stale = listed.filter(|key| !seen.contains(key));
        wrong.extend(stale.map(|key| format!("{key}: passes, and is listed in known.json")));
        wrong
    }

    fn document(&self, known: &Known) -> String {
        let (passed, all) = self.total();
        let percent = passed as f64 / all as f64 * 100.0;
        let mut text = format!(
            "# Rego conformance\n\n\
             {passed} of {all} cases of OPA's own language and built-in suite pass ({percent:.1} %). \
             A test makes this page (`tests/vectors/rego.rs`): every case is compiled and asked with \
             the engine, guards, built-ins and limits of the service. A case that begins to fail, or \
             one listed here that begins to pass, fails the test.\n"
        );
        let reason = |group: &String, note: &String| known.cases.get(group)?.get(note);
        let section = |text: &mut String, title: &str, silent: bool| {
            let rows: BTreeSet<_> = self
                .failures
                .iter()
                .filter(|(_, _, failure)| matches!(failure, Failure::Silent(_)) == silent)
                .filter_map(|(group, note, _)| Some((group, note, reason(group, note)?)))
                .collect();
            if !rows.is_empty() {
                text.push_str(&format!(
                    "\n## {title}\n\n| group | case | reason |\n|---|---|---|\n"
                ));
            }
            for (group, note, reason) in rows {
                text.push_str(&format!("| {group} | {note} | {reason} |\n"));
            }
        };
        section(
            &mut text,
            "Another value than OPA's, without an error",
            true,
        );
        if !known.beyond_the_suite.is_empty() {
            text.push_str("\n## Beyond the suite\n\n");
        }
        for difference in &known.beyond_the_suite {
            text.push_str(&format!("- {difference}\n"));
        }
        section(&mut text, "Refused, or an error", false);
        if !known.missing_builtins.is_empty() {
            text.push_str(
                "\n## Built-ins that are refused when a policy is loaded\n\n\
                 | built-in | cases | reason |\n|---|---|---|\n",
            );
        }
        for (name, reason) in &known.missing_builtins {
            let failures = self.failures.iter();
            let count = failures
                .filter(|(_, _, failure)| failure.missing_builtins().any(|missing| missing == name))
                .count();
            text.push_str(&format!("| `{name}` | {count} | {reason} |\n"));
        }
        text.push_str("\n## Groups\n\n| group | pass | of |\n|---|---|---|\n");
        for (group, (passed, all)) in &self.groups {
            text.push_str(&format!("| {group} | {passed} | {all} |\n"));
        }
        text
    }
}
