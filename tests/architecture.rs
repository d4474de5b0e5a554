//! Who may import whom, and what the decision must never touch. The table is the one of
//! `docs/architecture.md`: change both with a reason, and never make a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

const TABLE: &[(&str, &[&str])] = &[
    ("attributes", &[]),
    ("identity", &["attributes"]),
    ("policy", &["attributes", "identity", "units", "yaml"]),
    ("decision", &["attributes", "identity", "policy"]),
    ("cache", &["attributes", "decision", "policy", "units"]),
    ("snapshot", &["cache", "identity", "policy", "telemetry"]),
    ("shadow", &["decision"]),
    (
        "pdp",
        &[
            "attributes",
            "cache",
            "decision",
            "decision_log",
            "identity",
            "policy",
            "shadow",
            "snapshot",
            "telemetry",
        ],
    ),
    (
        "ext_authz",
        &[
            "attributes",
            "decision",
            "external",
            "listen",
            "pdp",
            "telemetry",
            "tls",
            "traces",
            "units",
        ],
    ),
    ("external", &["address", "policy", "telemetry", "units"]),
    (
        "jwks",
        &["address", "fetch", "identity", "telemetry", "units"],
    ),
    ("bundle", &["identity", "policy", "units", "yaml"]),
    ("store", &["units"]),
    (
        "activation",
        &[
            "bundle",
            "cache",
            "jwks",
            "policy",
            "shadow",
            "snapshot",
            "store",
            "telemetry",
            "yaml",
        ],
    ),
    (
        "remote",
        &[
            "activation",
            "address",
            "bundle",
            "fetch",
            "policy",
            "service",
            "store",
            "telemetry",
        ],
    ),
    (
        "cases",
        &[
            "activation",
            "attributes",
            "bundle",
            "cache",
            "decision",
            "ext_authz",
            "pdp",
            "policy",
            "units",
            "yaml",
        ],
    ),
    (
        "replay",
        &[
            "attributes",
            "decision",
            "decision_log",
            "ext_authz",
            "pdp",
            "policy",
            "shadow",
            "snapshot",
            "telemetry",
            "units",
        ],
    ),
    (
        "decision_log",
        &[
            "attributes",
            "decision",
            "policy",
            "shadow",
            "telemetry",
            "traces",
            "units",
        ],
    ),
    (
        "sinks",
        &[
            "address",
            "bundle",
            "decision_log",
            "fetch",
            "kafka",
            "otlp",
            "service",
            "telemetry",
            "traces",
            "units",
        ],
    ),
    (
        "management",
        &[
            "activation",
            "address",
            "attributes",
            "bundle",
            "decision_log",
            "ext_authz",
            "external",
            "identity",
            "listen",
            "pdp",
            "policy",
            "remote",
            "replay",
            "store",
            "telemetry",
            "tls",
            "yaml",
        ],
    ),
    ("telemetry", &["traces"]),
    ("otlp", &[]),
    ("traces", &[]),
    ("kafka", &["address", "bundle", "fetch", "service"]),
    ("listen", &[]),
    ("tls", &[]),
    ("units", &[]),
    ("address", &[]),
    ("fetch", &["address", "identity"]),
    ("service", &["address", "bundle", "fetch"]),
    ("yaml", &[]),
    (
        "config",
        &[
            "address",
            "attributes",
            "bundle",
            "cache",
            "decision_log",
            "ext_authz",
            "external",
            "jwks",
            "management",
            "policy",
            "replay",
            "sinks",
            "store",
            "telemetry",
            "units",
            "yaml",
        ],
    ),
    (
        "app",
        &[
            "activation",
            "address",
            "config",
            "decision_log",
            "ext_authz",
            "external",
            "fetch",
            "jwks",
            "listen",
            "management",
            "pdp",
            "remote",
            "replay",
            "sinks",
            "store",
            "telemetry",
            "tls",
        ],
    ),
    (
        "cli",
        &[
            "activation",
            "address",
            "app",
            "bundle",
            "cases",
            "config",
            "ext_authz",
            "external",
            "identity",
            "pdp",
            "policy",
            "telemetry",
            "units",
        ],
    ),
];

/// Modules that decide, and what they must leave to others.
const PURE: &[&str] = &[
    "attributes",
    "identity",
    "policy",
    "decision",
    "cache",
    "snapshot",
    "pdp",
];
const IMPURE: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::env",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "SystemTime",
    "Instant",
    "std::process",
];

/// Product code by top module: tests are left out.
fn modules() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let source = root().join("src");
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(&source).unwrap().to_owned();
            let is_test = relative
                .iter()
                .any(|part| matches!(part.to_str(), Some("tests" | "tests.rs")));
            let first = relative.iter().next().unwrap().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            if !is_test && !matches!(module.as_str(), "lib" | "main") {
                modules
                    .entry(module)
                    .or_default()
                    .push((relative, fs::read_to_string(path).unwrap()));
            }
        }
    }
    modules
}

/// Top modules that a text names after `crate::`, also in a list of imports.
fn imports(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|character| character.is_ascii_lowercase() || *character == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for (at, matched) in text.match_indices("crate::") {
        let rest = &text[at + matched.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split(';').next().unwrap();
                found.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => drop(found.insert(word(rest))),
        }
    }
    found.remove("");
    found
}

#[test]
fn imports_follow_the_table() {
    let modules = modules();
    let names: BTreeSet<_> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        modules.keys().cloned().collect::<BTreeSet<_>>(),
        names,
        "modules and table differ"
    );
    let mut wrong = Vec::new();
    for (name, allowed) in TABLE {
        let mut unused: BTreeSet<&str> = allowed.iter().copied().collect();
        for (path, text) in &modules[*name] {
            let mut imports = imports(text);
            imports.retain(|import| names.contains(import) && import != name);
            for import in imports {
                unused.remove(import.as_str());
                if !allowed.contains(&import.as_str()) {
                    wrong.push(format!("{} imports {import}", path.display()));
                }
            }
        }
        wrong.extend(
            unused
                .iter()
                .map(|import| format!("{name} does not need {import}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Walks the table from every module: coming back to where it began is a cycle. `pdp` hands records
/// to `decision_log`, which reads decisions but never asks for one.
#[test]
fn the_table_has_no_cycle() {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    for (start, _) in TABLE {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = table[start].to_vec();
        while let Some(module) = next.pop() {
            assert_ne!(module, *start, "a cycle through {start}");
            if seen.insert(module) {
                next.extend(table[module]);
            }
        }
    }
}

#[test]
fn the_decision_is_pure() {
    let modules = modules();
    for name in PURE {
        for (path, text) in &modules[*name] {
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let found = IMPURE.iter().find(|word| line.contains(*word));
                assert!(found.is_none(), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn envoys_messages_stay_at_the_door() {
    for (name, files) in modules() {
        for (path, text) in files {
            let is_door = name == "ext_authz";
            assert!(
                is_door || !text.contains("doorward_proto"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in modules().into_values().flatten() {
        assert!(
            text.starts_with("//! "),
            "{} lacks its `//!` lines",
            path.display()
        );
    }
}

#[test]
fn the_documented_table_is_this_one() {
    let document = fs::read_to_string(Path::new(root()).join("docs/architecture.md")).unwrap();
    for (name, allowed) in TABLE {
        let list = if allowed.is_empty() {
            "nothing of ours".to_owned()
        } else {
            allowed
                .iter()
                .map(|module| format!("`{module}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let row = format!("| `{name}` | {list} |");
        assert!(document.contains(&row), "docs/architecture.md lacks\n{row}");
    }
}

/// Whoever blocks threads of the runtime says how many, and there are as many as all take together.
#[test]
fn every_part_has_threads_to_block() {
    let modules = modules();
    let blocks = |files: &[(PathBuf, String)]| {
        let mut texts = files.iter();
        texts.any(|(_, text)| text.contains("spawn_blocking("))
    };
    let blocking = modules.iter().filter(|(_, files)| blocks(files));
    let mut blocking: BTreeSet<_> = blocking.map(|(name, _)| name.as_str()).collect();
    let wiring = fs::read_to_string(root().join("src/app.rs")).unwrap();
    assert!(blocking.len() >= 7, "{blocking:?}");
    blocking.remove("app");
    // They have runtimes of their own.
    blocking.remove("sinks");
    for module in blocking {
        let term = format!("{module}::BLOCKING_THREADS");
        assert!(wiring.contains(&term), "src/app.rs does not count {term}");
    }
}
