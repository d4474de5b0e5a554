//! Every example that users are given is one that works.

use std::path::Path;
use std::process::Stdio;

use crate::support::{doorward, root};

fn files(folder: &str, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

#[test]
fn example_configurations_are_valid() {
    let files = files("examples", ".yaml");
    assert!(!files.is_empty());
    for file in files {
        doorward::config::Config::load(Some(&file), [], &[])
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The documented defaults are the defaults.
#[test]
fn the_documented_configuration_is_the_default() {
    let document = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let (_, rest) = document.split_once("```yaml\n").unwrap();
    let (yaml, _) = rest.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documented.yaml");
    std::fs::write(&file, yaml).unwrap();
    let documented = doorward::config::Config::load(Some(&file), [], &[]).unwrap();
    let default = serde_json::to_value(doorward::config::Config::default()).unwrap();
    assert_eq!(serde_json::to_value(documented).unwrap(), default);
    // And no setting is left out of it.
    for (section, settings) in default.as_object().unwrap() {
        assert!(
            yaml.contains(&format!("{section}:")),
            "{section} is not documented"
        );
        for name in settings
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
        {
            assert!(
                yaml.contains(&format!("  {name}:")),
                "{section}.{name} is not documented"
            );
        }
    }
}

#[test]
fn example_policies_and_bundles_are_valid() {
    let validate = |arguments: &[&str]| {
        let output = doorward()
            .arg("validate")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    for folder in std::fs::read_dir(root().join("policies")).unwrap() {
        validate(&[folder.unwrap().path().to_str().unwrap()]);
    }
    for folder in std::fs::read_dir(root().join("bundles")).unwrap() {
        validate(&["--bundle", folder.unwrap().path().to_str().unwrap()]);
    }
}

#[test]
fn warnings_are_told_and_do_not_make_a_policy_invalid() {
    let file = "tests/fixtures/doubtful.yaml";
    let output = doorward().args(["validate", file]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("{file}:8:7: warning: ")), "{told}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        "valid: 1 native policy, 0 Rego modules, 0 bundles, 1 warning\n"
    );
}

/// An entrypoint that nothing has is doubtful: policy that brings it may come later.
#[test]
fn an_entrypoint_that_is_not_there_is_told() {
    let entrypoint = |path: &str| format!("rego: {{ entrypoint: {path} }}");
    let folder = tempfile::tempdir().unwrap();
    for (path, warned) in [
        ("rbac/authz/allow", false),
        ("rbac/authz", false),
        ("rbac/people", false),
        ("none", false),
        ("rbac/authz/allowed", true),
        ("envoy/authz/allow", true),
    ] {
        let config = folder.path().join("config");
        std::fs::write(&config, entrypoint(path)).unwrap();
        let mut command = doorward();
        let command = command.args(["validate", "--bundle", "bundles/rbac", "--config"]);
        let output = command.arg(&config).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{path}: {told}");
        assert_eq!(
            told.contains("no rule or data is loaded at data."),
            warned,
            "{path}: {told}"
        );
    }
}

/// Cases files of the example policies.
fn cases_files() -> Vec<std::path::PathBuf> {
    doorward::cases::find(&[root().join("policies")]).unwrap()
}

#[test]
fn example_policies_do_what_their_cases_say() {
    let output = doorward().args(["test", "policies"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for file in cases_files() {
        let file = file.strip_prefix(root()).unwrap().display().to_string();
        assert!(said.contains(&format!("{file}\n")), "{file}: {said}");
    }
}

/// Every Rego file has tests beside it, and they reach nearly all of it.
#[test]
fn example_rego_does_what_its_tests_say() {
    for (arguments, least) in [
        (&["policies/rego", "policies/quickstart"][..], "95"),
        (&["--bundle", "bundles/rbac"], "95"),
    ] {
        let mut command = doorward();
        let output = command.args(["test", "--threshold", least]).args(arguments);
        let output = output.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complained = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}{complained}");
        assert!(said.contains("_test.rego"), "{said}");
    }
}

/// An example that nothing would miss is not tested, and nor is one without a denial.
#[test]
fn every_example_policy_has_a_case_that_needs_it() {
    let now_ns = doorward::telemetry::unix_nanos();
    for file in cases_files() {
        let suite = doorward::cases::Suite::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let verdicts = suite.run(now_ns);
        assert!(verdicts.len() >= 5, "{} has few cases", file.display());
        for effect in ["allow ", "deny "] {
            let mut decided = verdicts.iter().map(|verdict| &verdict.decided);
            assert!(
                decided.any(|decided| decided.starts_with(effect)),
                "{} has no case that ends in {effect}",
                file.display()
            );
        }
        let unneeded = suite.unneeded(now_ns).unwrap();
        assert!(unneeded.is_empty(), "{}: {unneeded:?}", file.display());
    }
}

/// Every policy file is in the cases of its folder.
#[test]
fn every_example_policy_has_cases() {
    let suites: Vec<_> = cases_files()
        .iter()
        .map(|file| doorward::cases::Suite::load(file).unwrap())
        .collect();
    let tested: std::collections::BTreeSet<_> = suites
        .iter()
        .flat_map(doorward::cases::Suite::policy_files)
        .collect();
    for folder in std::fs::read_dir(root().join("policies")).unwrap() {
        let name = folder.unwrap().file_name();
        let name = format!("policies/{}", name.to_str().unwrap());
        for file in files(&name, ".yaml") {
            let file = file.display().to_string();
            let is_policy = !file.ends_with(doorward::cases::ENDING);
            assert!(!is_policy || tested.contains(&file), "{file} has no cases");
        }
    }
}

/// What each token claims stands beside it.
#[test]
fn example_tokens_claim_what_is_written_beside_them() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for folder in ["policies/istio/tokens", "policies/zero-trust/tokens"] {
        let payloads = files(folder, ".json");
        assert!(!payloads.is_empty());
        for payload in payloads {
            let token = std::fs::read_to_string(payload.with_extension("jwt")).unwrap();
            let claims = URL_SAFE_NO_PAD
                .decode(token.split('.').nth(1).unwrap())
                .unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            let written = std::fs::read_to_string(&payload).unwrap();
            let written: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert_eq!(claims, written, "{}", payload.display());
        }
    }
}

/// Kinds of a mesh that are enforced elsewhere are refused by name, as the README of the zero-trust
/// example shows.
#[test]
fn kinds_that_others_enforce_are_refused_by_name() {
    let readme = std::fs::read_to_string(root().join("policies/zero-trust/README.md")).unwrap();
    let yaml = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: only-through-the-proxy, namespace: shop }
spec: { podSelector: {}, ingress: [] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: mutual-tls, namespace: shop }
spec: { host: \"*.local\" }
";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("network.yaml"), yaml).unwrap();
    std::fs::write(folder.path().join("x.cases.yaml"), "cases: []").unwrap();
    let mut shown = 0;
    for (arguments, code) in [
        (["validate", "network.yaml"], 1),
        (["test", "x.cases.yaml"], 3),
    ] {
        let mut command = doorward();
        let output = command
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let complained = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{complained}");
        for line in complained
            .lines()
            .filter(|line| line.contains("network.yaml"))
        {
            let (_, line) = line.rsplit_once("./").unwrap_or(("", line));
            let line = line.trim_start_matches("doorward: ");
            assert!(readme.contains(line), "the README lacks {line}");
            shown += 1;
        }
    }
    assert_eq!(shown, 4);
}

#[test]
fn nothing_to_validate_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (arguments, told) in [
        (&["validate"][..], "nothing to validate"),
        (&["validate", folder], "holds no policy"),
        (&["validate", "no/such/file"], "does not exist"),
    ] {
        let output = doorward().args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn policies_are_validated_with_the_settings_they_will_have() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let policy = write(
        "p.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }\n",
    );
    let config = write("config", "rego: { providers: { opa: shop/authz/allow } }\n");
    for (arguments, warned) in [
        (vec!["validate", &policy], true),
        (vec!["validate", "--config", &config, &policy], false),
    ] {
        let output = doorward().args(&arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert_eq!(said.contains("1 warning"), warned, "{arguments:?}: {said}");
    }
}

#[test]
fn whoever_reads_the_output_may_stop_reading() {
    let mut child = doorward()
        .args(["test", "policies"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// Links of the documentation that lead into the project lead somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    let mut documents = files("docs", ".md");
    documents.push(root().join("README.md"));
    documents.push(root().join("policies/istio/README.md"));
    documents.push(root().join("policies/zero-trust/README.md"));
    documents.push(root().join("policies/rego/README.md"));
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = document.parent().unwrap_or(Path::new("")).join(target);
            assert!(path.exists(), "{}: {target}", document.display());
        }
    }
}
