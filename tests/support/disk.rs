//! A disk that takes no more: the system lets one process write files up to a size only. For a server that
//! was started with `survives_large_files`.

use std::process::Command;

use super::Server;

/// Whether that can be had here; says so if not.
pub fn has_limits(test: &str) -> bool {
    let has = Command::new("prlimit").arg("--version").output().is_ok();
    if !has {
        eprintln!("NOT RUN: {test} needs prlimit");
    }
    has
}

/// Lets the process write files up to a size, as if the disk refused the rest.
pub fn limit_files(server: &Server, bytes: Option<u64>) {
    let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let done = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string()])
        .arg(format!("--fsize={bytes}:unlimited"))
        .status();
    assert!(done.unwrap().success());
}
