//! What others recorded, used in place: the folder comes from `DOORWARD_VECTORS`. Without it these
//! tests say so and pass.

mod istio;
mod jwt;
mod normalization;
mod opa;
mod rego;
mod validation;

use std::path::PathBuf;

use crate::support::{Server, http};

/// A folder of vectors, if there are any.
pub fn folder(name: &str) -> Option<PathBuf> {
    match std::env::var_os("DOORWARD_VECTORS").filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path).join(name)),
        None => {
            eprintln!("NOT RUN: {name}, as DOORWARD_VECTORS is not set");
            None
        }
    }
}

/// Bundles that `opa build` and `opa sign` made load, one after the other under the same name.
#[tokio::test]
async fn bundles_made_by_opa_load() {
    let Some(folder) = folder("opa/bundles") else {
        return;
    };
    let server = Server::start();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".tar.gz") {
            let answer = http::put(&server.url("/v1/bundles/b"), &std::fs::read(&path).unwrap());
            assert_eq!(answer.status, 200, "{}: {}", path.display(), answer.body);
            count += 1;
        }
    }
    assert!(count > 3, "only {count} bundles were found");
}
