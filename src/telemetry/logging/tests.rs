//! What is told of a panic, by a process of its own: the hook is the whole process's.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;

use super::*;

const CANARY: &str = "c4n4ry-s3cr3t";

#[test]
fn a_panic_tells_its_place_and_nothing_of_a_request() {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "telemetry::logging::tests::panics", "--ignored"])
        .arg("--nocapture")
        .env("RUST_LOG", "info")
        .output()
        .unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{said}");
    assert!(!said.contains(CANARY), "{said}");
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 6, "{said}");
    for line in &lines {
        assert!(line["place"].as_str().unwrap().contains(".rs:"), "{line}");
        assert_eq!(line["level"], "ERROR");
    }
    let words: Vec<_> = lines
        .iter()
        .filter_map(|line| line["words"].as_str())
        .collect();
    assert_eq!(words, ["words of the program"]);
}

#[test]
#[ignore = "for the test above, which runs it"]
fn panics() {
    init(LogFormat::Json);
    tell_panics();
    let secret = black_box(format!("\u{e9}{CANARY}"));
    let panics: [&dyn Fn(); 6] = [
        &|| panic!("words of the program"),
        &|| panic!("{secret}"),
        &|| panic_any(secret.clone()),
        &|| black_box(Err(secret.clone())).unwrap(),
        // Not between characters: the text is quoted.
        &|| assert!(!black_box(&secret[..1]).is_empty()),
        &|| assert_eq!(secret, "other"),
    ];
    for panics in panics {
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    }
}
