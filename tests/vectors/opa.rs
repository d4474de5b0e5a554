//! Replies recorded from opa-envoy-plugin: each suite is policy, data and the plugin's options for
//! a running server, each case the bytes of a check. What is otherwise here is listed in `expected`,
//! which can only shrink.

mod compare;
mod expected;
mod load;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use expected::DIFFERENCES;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Options, Server};

/// What became of the cases of a suite.
#[derive(Default)]
struct Tally {
    agree: usize,
    /// Cases that are answered otherwise, with how.
    differ: BTreeMap<String, String>,
    /// Cases whose module, or whose suite, was refused, with why.
    refused: BTreeMap<String, String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_of_opa_envoy_plugin() {
    let Some(folder) = super::folder("opa") else {
        return;
    };
    let only = std::env::var("DOORWARD_SUITE").ok();
    let mut wrong = Vec::new();
    let mut total = 0;
    for (name, suite) in suites(&folder) {
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let tally = if suite["kind"] == "load" {
            load::replay(&suite)
        } else {
            replay(&suite).await
        };
        eprintln!(
            "{name}: {} agree, {} differ, {} not supported",
            tally.agree,
            tally.differ.len(),
            tally.refused.len()
        );
        total += tally.agree;
        judge(&name, &tally, &mut wrong);
    }
    eprintln!("{total} replies agree");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(only.is_some() || total > 1_000, "only {total} agree");
}

/// The recorded suites by name.
fn suites(folder: &Path) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, compare::parse(&text).unwrap())
    };
    files.map(read).collect()
}

/// Holds what became of a suite against what is listed of it.
fn judge(name: &str, tally: &Tally, wrong: &mut Vec<String>) {
    let listed: Vec<_> = DIFFERENCES.iter().filter(|entry| entry.0 == name).collect();
    for (_, case, reason) in &listed {
        if !tally.differ.contains_key(*case) && !tally.refused.contains_key(*case) {
            wrong.push(format!("{name}: {case}: agrees, but is listed: {reason}"));
        }
    }
    let is_listed = |case: &str| listed.iter().any(|entry| entry.1 == case);
    let failed = tally.differ.iter().chain(&tally.refused);
    let failed = failed.filter(|(case, _)| !is_listed(case));
    wrong.extend(failed.map(|(case, why)| format!("{name}: {case}: {why}")));
}

async fn replay(suite: &Value) -> Tally {
    let mut tally = Tally::default();
    let files = Files::of(suite);
    let server = files.serve(&mut tally.refused);
    let dropped = tally.refused.clone();
    let Some(server) = server else {
        let why = dropped.values().next().cloned().unwrap_or_default();
        let cases = suite["cases"].as_array().unwrap().iter();
        let cases = cases.map(|case| (name_of(case), why.clone()));
        tally.refused = cases.collect();
        return tally;
    };
    tally.refused.clear();
    let checks = server.checks().await;
    for case in suite["cases"].as_array().unwrap() {
        let name = name_of(case);
        let module = case["module"].as_str().unwrap_or_default();
        if let Some(why) = dropped.get(module) {
            tally.refused.insert(name, why.clone());
            continue;
        }
        let service = case["service"].as_str();
        let service = service.unwrap_or("envoy.service.auth.v3.Authorization");
        let request = STANDARD
            .decode(case["checkRequestB64"].as_str().unwrap())
            .unwrap();
        let reply = checks.call(&format!("/{service}/Check"), request).await;
        match compare::compare(case, reply) {
            Ok(()) => tally.agree += 1,
            Err(why) => drop(tally.differ.insert(name, why)),
        }
    }
    tally
}

fn name_of(case: &Value) -> String {
    case["name"].as_str().unwrap().to_owned()
}

/// A suite's policy, written to a folder.
struct Files {
    folder: TempDir,
    /// To be loaded, by name.
    paths: Vec<String>,
    flags: Vec<String>,
}

impl Files {
    fn of(suite: &Value) -> Self {
        let runtime = &suite["runtime"];
        let folder = tempfile::tempdir().unwrap();
        let is_bundle = runtime["bundle"] == true;
        let base = folder.path().join(if is_bundle { "bundle" } else { "" });
        let mut paths = Vec::new();
        for (name, text) in suite["modules"].as_object().into_iter().flatten() {
            write(&base.join(name), text.as_str().unwrap().as_bytes());
            paths.push(name.clone());
        }
        if !suite["data"].is_null() {
            let text = compare::text(&suite["data"]);
            write(&base.join("data.json"), text.as_bytes());
            paths.push("data.json".to_owned());
        }
        if !runtime["manifest"].is_null() {
            let text = compare::text(&runtime["manifest"]);
            write(&base.join(".manifest"), text.as_bytes());
        }
        for (name, bytes) in suite["files"].as_object().into_iter().flatten() {
            let bytes = STANDARD.decode(bytes.as_str().unwrap()).unwrap();
            write(&folder.path().join(name), &bytes);
        }
        let mut flags = Vec::new();
        if is_bundle {
            paths = vec!["bundle".to_owned()];
            flags.push("--bundle".to_owned());
        }
        if runtime["v0Compatible"] == true {
            flags.push("--v0-compatible".to_owned());
        }
        let mut options = suite["config"].clone();
        if let Some(name) = options.get_mut("proto-descriptor") {
            let path = folder.path().join(name.as_str().unwrap());
            *name = path.to_str().unwrap().into();
        }
        let config = serde_json::json!({ "plugins": { "envoy_ext_authz_grpc": options } });
        let config = compare::text(&config);
        write(&folder.path().join("opa.yaml"), config.as_bytes());
        Self {
            folder,
            paths,
            flags,
        }
    }

    /// Starts a server, leaving out modules that it refuses as long as there are any; they are told
    /// by name with the reason.
    fn serve(&self, refused: &mut BTreeMap<String, String>) -> Option<Server> {
        let mut paths = self.paths.clone();
        loop {
            let in_folder = |path: &String| self.folder.path().join(path).display().to_string();
            let config = ["--opa-config".to_owned(), in_folder(&"opa.yaml".to_owned())];
            let flags = self.flags.iter().cloned().chain(config);
            let arguments = flags.chain(paths.iter().map(in_folder)).collect();
            let started = Server::try_with(Options {
                // Time is no subject here, and the program under test is a slow build.
                config: "ext_authz: { deadline: 20s }\nrego: { evaluation_limit: 20s }\n"
                    .to_owned(),
                arguments,
                ..Options::default()
            });
            let said = match started {
                Ok(server) => return Some(server),
                Err(said) => said,
            };
            let before = paths.len();
            paths.retain(|path| {
                let named = format!("{}:", in_folder(path));
                let why = said.lines().find(|line| line.contains(&named));
                if let Some(why) = why {
                    refused.insert(path.clone(), why.replace(&in_folder(path), path));
                }
                why.is_none()
            });
            if paths.len() == before {
                refused.insert(String::new(), said);
                return None;
            }
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
