//! OPA's own cases of the language and its built-ins, each compiled and asked in this process as the
//! service would. What does not pass is told with its reason in `rego_exceptions.json`, which can
//! only shrink; `docs/rego-conformance.md` is made of both (`DOORWARD_WRITE_DOCS=1`).

use std::collections::BTreeMap;
use std::time::Duration;

use doorward::policy::rego::{Data, RegoModule, RegoPolicies, RegoSettings};
use serde_json::{Value, json};

struct Case {
    group: String,
    json: Value,
}

#[test]
fn cases_of_opa_agree() {
    let Some(folder) = super::folder("rego") else {
        return;
    };
    let filter = std::env::var("REGO_CASE").unwrap_or_default();
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for case in cases(&folder) {
        let note = case.json["note"].as_str().unwrap();
        if !note.contains(&filter) { continue; }
        let count = groups.entry(case.group.clone()).or_default();
        count.1 += 1;
        let answer = std::panic::catch_unwind(|| run(&case.json)).unwrap_or_else(|_| Err("PANIC".into()));
        match judge(&case.json, answer) {
            Ok(()) => count.0 += 1,
            Err(why) => println!("FAIL\t{}\t{note}\t{why}", case.group),
        }
    }
    let passed: usize = groups.values().map(|count| count.0).sum();
    let all: usize = groups.values().map(|count| count.1).sum();
    println!("TOTAL {passed} of {all}");
}

fn cases(folder: &std::path::Path) -> Vec<Case> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let group = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        for json in file["cases"].as_array().unwrap() {
            cases.push(Case {
                group: group.clone(),
                json: json.clone(),
            });
        }
    }
    cases
}

const NOW_NS: i64 = 1_700_000_000_000_000_000;

fn run(case: &Value) -> Result<Vec<Value>, String> {
    let texts = case["modules"].as_array().cloned().unwrap_or_default();
    let modules: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| RegoModule {
            path: format!("{index}.rego"),
            text: text.as_str().unwrap().to_owned(),
            v0: false,
        })
        .collect();
    let data = match &case["data"] {
        Value::Null => Data::default(),
        data => Data::parse(&data.to_string()).unwrap(),
    };
    let policies = compile(&modules, data)?;
    let strict = case["strict_error"].as_bool().unwrap_or(false);
    let input = match (&case["input"], &case["input_term"]) {
        (_, Value::String(term)) => input_term(term)?,
        (Value::Null, _) if case.get("input").is_none() => Data::undefined(),
        (input, _) => Data::parse(&input.to_string()).unwrap(),
    };
    let query = case["query"].as_str().unwrap();
    let solutions = policies
        .query(query, input, strict, NOW_NS)
        .map_err(|error| format!("{error}"))?;
    let json = |data: &Data| serde_json::from_str(&data.to_json().unwrap()).unwrap();
    Ok(solutions.iter().map(json).collect())
}

fn compile(modules: &[RegoModule], data: Data) -> Result<RegoPolicies, String> {
    let settings = RegoSettings {
        entrypoint: "test/p".to_owned(),
        providers: BTreeMap::new(),
        evaluation_limit: Duration::from_secs(20),
    };
    RegoPolicies::compile(modules, data, &settings)
        .map_err(|errors| errors.iter().map(|e| e.to_string()).collect::<Vec<_>>().join("\n"))
}

fn input_term(term: &str) -> Result<Data, String> {
    let policies = compile(&[], Data::default())?;
    let solutions = policies
        .query(&format!("x = {term}"), Data::undefined(), true, NOW_NS)
        .map_err(|error| error.to_string())?;
    let [solution] = solutions.as_slice() else {
        return Err(format!("input term has {} values", solutions.len()));
    };
    solution.member("x").ok_or("no x".to_owned())
}

fn judge(case: &Value, answer: Result<Vec<Value>, String>) -> Result<(), String> {
    let fails = case.get("want_error").is_some() || case.get("want_error_code").is_some();
    match (answer, case["want_result"].as_array()) {
        (Err(error), _) if fails && !error.contains("undefined function") => { println!("CODE\t{}\t{}\t{}\t{error}", case["note"], case["want_error_code"], case["want_error"]); Ok(()) }
        (Ok(got), _) if fails => Err(format!("SILENT no error but {}", json!(got))),
        (Err(error), _) => Err(format!("ERROR {}", error.replace('\n', " "))),
        (Ok(got), Some(want)) => {
            let sort = case["sort_bindings"].as_bool().unwrap_or(false);
            if same(&Value::from(got.clone()), &Value::from(want.clone()), sort) {
                Ok(())
            } else {
                Err(format!("SILENT {} not {}", json!(got), json!(want)))
            }
        }
        (Ok(got), None) => if got.is_empty() { Ok(()) } else { Err(format!("SILENT {} not undefined", json!(got)))},
    }
}

fn same(got: &Value, want: &Value, sort: bool) -> bool {
    match (got, want) {
        (Value::Array(got), Value::Array(want)) => {
            if got.len() != want.len() { return false; }
            let mut got = got.clone();
            let mut want = want.clone();
            if sort {
                got.sort_by_key(|v| v.to_string());
                want.sort_by_key(|v| v.to_string());
            }
            got.iter().zip(&want).all(|(g, w)| same(g, w, sort))
        }
        (Value::Object(got), Value::Object(want)) => {
            got.len() == want.len() && got.iter().all(|(k, v)| want.get(k).is_some_and(|w| same(v, w, sort)))
        }
        (Value::Number(got), Value::Number(want)) => got == want || got.as_f64() == want.as_f64(),
        _ => got == want,
    }
}
