//! What others recorded, used in place: the folder comes from `DOORWARD_VECTORS`. Without it these
//! tests say so and pass.

mod bundles;
mod istio;
mod jwt;
mod normalization;
mod opa;
mod rego;
mod rest;
mod validation;

use std::path::PathBuf;

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
