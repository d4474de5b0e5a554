//! OPA's language suite, and the policies and requests recorded from opa-envoy-plugin.

use std::path::Path;

use doorward::attributes::Attributes;
use doorward::cache::{self, DecisionCache};
use doorward::ext_authz;
use doorward::policy::reads::Plan;

use super::*;
use crate::support::root;
use crate::vectors::folder;

/// Fewest entrypoints of example policies, in percent, that read less than the whole input.
const USEFUL_PERCENT: usize = 80;

fn files(folder: &Path) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read(&path).unwrap();
        Some((name, serde_json::from_slice(&text).ok()?))
    };
    paths.filter_map(read).collect()
}

/// Whether an answer is another each time, whatever the input.
fn is_random(policies: &RegoPolicies) -> bool {
    let volatile = policies.entrypoint().unwrap().reads().volatile.as_deref();
    volatile.is_some_and(|name| name != "time.now_ns")
}

#[test]
fn the_language_suite() {
    let Some(folder) = folder("rego") else {
        return;
    };
    let mut wrong = Vec::new();
    let (mut all, mut asked, mut with_input) = (0, 0, 0);
    for (group, file) in files(&folder) {
        for case in file["cases"].as_array().unwrap() {
            all += 1;
            let Some(policies) = compiled(case).filter(|policies| !is_random(policies)) else {
                continue;
            };
            asked += 1;
            let input = case.get("input").cloned();
            with_input += usize::from(input.is_some());
            let input = input.unwrap_or_else(|| json!({"a": "b", "x": {"a": 1}}));
            let query = case["query"].as_str().unwrap();
            let read = policies.entrypoint().unwrap().input();
            if let Err(why) = check(&policies, query, &input, read) {
                wrong.push(format!("{group}: {}: {why}", case["note"]));
            }
        }
    }
    eprintln!("{asked} of {all} cases were asked, {with_input} with an input");
    assert!(asked * 10 > all * 8, "only {asked} of {all} could be asked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The policies of a case of the language suite with its query, if they compile.
fn compiled(case: &Value) -> Option<RegoPolicies> {
    let texts: Vec<_> = case["modules"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = (0..texts.len()).map(|at| format!("{at}.rego")).collect();
    let texts = names.iter().zip(texts);
    let texts = texts.map(|(name, text)| (name.as_str(), text.as_str().unwrap()));
    let data = match &case["data"] {
        Value::Null => Data::default(),
        data => Data::from_json(data.clone()),
    };
    let settings = RegoSettings {
        asked: Asked::Query(case["query"].as_str().unwrap().to_owned()),
        ..settings()
    };
    let compile = || RegoPolicies::compile(&modules(texts, false), data, &settings);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(compile))
        .ok()?
        .ok()
}

/// The policy of a suite recorded from the plugin, and the path it is asked by.
fn policies_of(suite: &Value) -> Option<(RegoPolicies, String)> {
    let texts = suite["modules"].as_object()?.iter();
    let texts = texts.map(|(name, text)| (name.as_str(), text.as_str().unwrap()));
    let v0 = suite["runtime"]["v0Compatible"] == true;
    let data = match &suite["data"] {
        Value::Null => Data::default(),
        data => Data::from_json(data.clone()),
    };
    let entrypoint = suite["config"]["path"]
        .as_str()
        .unwrap_or("envoy/authz/allow");
    let settings = RegoSettings {
        asked: Asked::Rule(entrypoint.to_owned()),
        ..settings()
    };
    let policies = RegoPolicies::compile(&modules(texts, v0), data, &settings).ok()?;
    Some((policies, entrypoint.to_owned()))
}

/// The whole input document of a request; `None` if it has none.
fn document(of: &RegoPolicies, attributes: &Attributes) -> Option<Value> {
    let outcome = of
        .evaluate(of.entrypoint().unwrap(), attributes, NOW_NS)
        .ok()?;
    serde_json::from_str(&outcome.body?).ok()
}

fn showing_the_input() -> RegoPolicies {
    let text = "package envoy.authz\nallow := {\"allowed\": false, \"body\": json.marshal(input)}";
    let settings = RegoSettings {
        asked: Asked::Rule("envoy/authz/allow".to_owned()),
        ..settings()
    };
    RegoPolicies::compile(
        &modules([("p.rego", text)], false),
        Data::default(),
        &settings,
    )
    .unwrap()
}

#[test]
fn policies_of_the_plugin() {
    let Some(folder) = folder("opa") else {
        return;
    };
    let whole = showing_the_input();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (name, suite) in files(&folder) {
        let Some((policies, path)) = policies_of(&suite) else {
            continue;
        };
        let parts = path.split('/').filter(|part| !part.is_empty());
        let parts: String = parts.map(|part| format!("[{}]", json!(part))).collect();
        let query = format!("data{parts} = x");
        let read = policies.entrypoint().unwrap().input();
        for case in suite["cases"].as_array().unwrap() {
            let attributes = ext_authz::from_json(&case["checkRequest"]);
            let Some(attributes) = attributes.ok().filter(|_| !is_random(&policies)) else {
                continue;
            };
            let Some(input) = document(&whole, &attributes) else {
                continue;
            };
            asked += 1;
            if let Err(why) = check(&policies, &query, &input, read) {
                wrong.push(format!("{name}: {}: {why}", case["name"]));
            }
            if let Err(why) = check_keys(&policies, &case["checkRequest"]) {
                wrong.push(format!("{name}: {}: {why}", case["name"]));
            }
        }
    }
    eprintln!("{asked} requests were asked");
    assert!(asked > 300, "only {asked} were asked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Holds the answers to requests that differ in one place each against the one to the request itself:
/// under the same key they are the same.
fn check_keys(policies: &RegoPolicies, request: &Value) -> Result<(), String> {
    let entrypoint = policies.entrypoint().unwrap();
    if entrypoint.reads().volatile.is_some() {
        return Ok(());
    }
    let cache = DecisionCache::new(cache::Config::default().into());
    let plan = Plan::of([entrypoint.reads()]);
    let of = |request: &Value| {
        let attributes = ext_authz::from_json(request).ok()?;
        let key = cache.key(b"", &plan, &attributes)?;
        let outcome = policies.evaluate(entrypoint, &attributes, NOW_NS);
        Some((key, outcome))
    };
    let Some((key, outcome)) = of(request) else {
        return Ok(());
    };
    let mut others = Vec::new();
    each_leaf_changed(request, &mut |other| others.push(other));
    for other in others {
        match of(&other) {
            Some((same, found)) if same == key && found != outcome => {
                return Err(format!(
                    "one key for {request} and {other}, but {outcome:?} and {found:?}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Calls `use_it` with copies of a document that differ in one leaf each.
fn each_leaf_changed(value: &Value, use_it: &mut dyn FnMut(Value)) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let mut without = members.clone();
                without.remove(name);
                use_it(without.into());
                each_leaf_changed(inner, &mut |other| {
                    let mut changed = members.clone();
                    changed.insert(name.clone(), other);
                    use_it(changed.into());
                });
            }
        }
        Value::String(text) => use_it(format!("{text}x").into()),
        Value::Number(_) => use_it(json!(7)),
        Value::Bool(is) => use_it((!is).into()),
        Value::Array(_) | Value::Null => {}
    }
}

/// The example policies of this project, each by its package's `allow`.
fn own_examples() -> Vec<(String, RegoPolicies)> {
    let folders = std::fs::read_dir(root().join("policies/rego")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let files = folders.filter_map(|folder| {
        let name = folder.file_name()?.to_str()?.to_owned();
        let text = std::fs::read_to_string(folder.join(format!("{name}.rego"))).ok()?;
        Some((name, text))
    });
    let compile = |(name, text): (String, String)| {
        let settings = RegoSettings {
            asked: Asked::Rule(format!("{name}/authz/allow")),
            ..settings()
        };
        let modules = modules([(name.as_str(), text.as_str())], false);
        (
            name,
            RegoPolicies::compile(&modules, Data::default(), &settings).unwrap(),
        )
    };
    files.map(compile).collect()
}

#[test]
fn example_policies_read_less_than_everything() {
    let mut found = own_examples();
    assert!(found.len() >= 3, "only {} examples", found.len());
    let suites = folder("opa")
        .map(|folder| files(&folder))
        .unwrap_or_default();
    let suites = suites.into_iter();
    for (name, suite) in suites.filter(|(name, _)| name.starts_with("example-")) {
        if let Some((policies, path)) = policies_of(&suite) {
            found.push((format!("{name}: {path}"), policies));
        }
    }
    let is_useful = |policies: &RegoPolicies| {
        // Nothing at all would be a policy that is not there.
        let entrypoint = policies.entrypoint().unwrap();
        !entrypoint.reads().whole_input && !entrypoint.input().is_empty()
    };
    for (name, policies) in found.iter().filter(|(_, policies)| !is_useful(policies)) {
        eprintln!(
            "{name}: {:?}",
            policies.entrypoint().unwrap().input().references("input")
        );
    }
    let useful = found.iter().filter(|(_, policies)| is_useful(policies));
    let useful = useful.count();
    assert!(
        useful * 100 >= found.len() * USEFUL_PERCENT,
        "{useful} of {} read less than everything",
        found.len()
    );
}
