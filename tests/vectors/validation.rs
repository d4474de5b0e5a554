//! Objects that Istio's API server and istiod accept, warn of or refuse.

use doorward::policy::config::{MeshConfig, RegoConfig, settings};
use doorward::policy::resource::Resource;
use doorward::policy::{PolicySet, PolicySources};
use serde_json::Value;

#[test]
fn objects_that_istio_accepts_or_refuses() {
    let Some(folder) = super::folder("istio") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("validation.json")).unwrap();
    // Names of constants that were left in the recording.
    let text = text
        .replace("gvk.KubernetesGateway.Group", "gateway.networking.k8s.io")
        .replace("gvk.KubernetesGateway.Kind", "Gateway")
        .replace("gvk.Service.Group", "")
        .replace("gvk.Service.Kind", "Service");
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let wrong: Vec<_> = rows.iter().filter_map(differs).collect();
    eprintln!("{} objects agree", rows.len() - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() > 100, "only {} were checked", rows.len());
}

fn differs(row: &Value) -> Option<String> {
    let result = judge(&row["object"].to_string());
    let is_same = match &result {
        Ok(warned) => row["valid"] == true && (*warned || row["warning"] != true),
        Err(_) => row["valid"] == false,
    };
    let name = row["name"].as_str().unwrap();
    (!is_same).then(|| {
        format!(
            "{name}: {result:?}, not valid {} warning {}: {}",
            row["valid"], row["warning"], row["object"]
        )
    })
}

/// Whether the object is warned of, or why it is refused.
fn judge(object: &str) -> Result<bool, String> {
    let resources = Resource::parse_stream(object).map_err(|problems| format!("{problems:?}"))?;
    let second = std::time::Duration::from_secs(1);
    let settings = settings(&MeshConfig::default(), &RegoConfig::default(), &[], second);
    let sources = PolicySources {
        resources: resources.iter().collect(),
        ..PolicySources::default()
    };
    let policies =
        PolicySet::compile(sources, &settings).map_err(|errors| format!("{errors:?}"))?;
    Ok(!policies.warnings.is_empty())
}
