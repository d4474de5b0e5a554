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
    assert_eq!(said, "valid: 1 native policies, 0 bundles, 1 warning\n");
}

/// Links of the documentation that lead into the project lead somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    let mut documents = files("docs", ".md");
    documents.push(root().join("README.md"));
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
