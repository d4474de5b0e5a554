//! Cases files, good and bad, in a folder of their own.

use tempfile::TempDir;

use super::*;

mod files;
mod mutations;
mod requests;
mod verdicts;

/// 2023-11-14T22:13:20Z
const NOW_NS: i64 = 1_700_000_000_000_000_000;

/// Allows GET, says so in dry runs, and marks what it sees.
const POLICIES: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: get, namespace: shop }
spec:
  rules:
    - to: [{ operation: { methods: [GET] } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin, namespace: shop }
spec:
  action: DENY
  rules:
    - to: [{ operation: { paths: [/admin] } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: try, namespace: shop, annotations: { istio.io/dry-run: \"true\" } }
spec:
  action: DENY
  rules:
    - to: [{ operation: { paths: [/old] } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: seen, namespace: shop }
spec:
  action: AUDIT
  rules:
    - to: [{ operation: { paths: [/old] } }]
";

/// A folder with files, among them `x.cases.yaml`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Loads a cases file beside files; errors name it without the folder.
fn load(cases: &str, files: &[(&str, &str)]) -> Result<Suite, Vec<String>> {
    let mut all = files.to_vec();
    all.push(("x.cases.yaml", cases));
    let folder = folder(&all);
    let prefix = format!("{}/", folder.path().display());
    let suite = Suite::load(&folder.path().join("x.cases.yaml"));
    suite.map_err(|LoadError(errors)| {
        let errors = errors.iter();
        errors.map(|error| error.replace(&prefix, "")).collect()
    })
}

/// Runs one case, given without its name, under `POLICIES`.
fn run_one(case: &str) -> Verdict {
    run_with(case, &[("p.yaml", POLICIES)])
}

fn run_with(case: &str, files: &[(&str, &str)]) -> Verdict {
    let text = format!(
        "workload: {{ namespace: shop, labels: {{ app: web }} }}\n\
         cases:\n  - {{ name: one, {case} }}\n"
    );
    let suite = load(&text, files).unwrap_or_else(|errors| panic!("{case}: {errors:#?}"));
    suite.run(NOW_NS).remove(0)
}
