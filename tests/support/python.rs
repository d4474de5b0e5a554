//! Servers of somebody else's, as scripts of `tests/stores`. What they need comes from `DOORWARD_STORES`
//! (`make test` sets it); without it tests that want one say so and pass, unless `DOORWARD_REQUIRE_STORES`
//! is set.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::root;

/// A running script, which ends with its input.
pub struct Script {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Script {
    /// Starts one, if its modules are anywhere.
    pub fn start(name: &str, arguments: &[&Path]) -> Option<Self> {
        let modules = modules(name)?;
        let mut process = Command::new(modules.parent().unwrap().join("bin/python"))
            .arg(root().join("tests/stores").join(name))
            .args(arguments)
            .env("PYTHONPATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            input: process.stdin.take(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        })
    }

    /// What it says next.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn modules(script: &str) -> Option<PathBuf> {
    match std::env::var_os("DOORWARD_STORES").filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None if std::env::var_os("DOORWARD_REQUIRE_STORES").is_some() => {
            panic!("DOORWARD_REQUIRE_STORES is set, but DOORWARD_STORES names no folder")
        }
        None => {
            eprintln!(
                "NOT RUN: a test with {script}, as DOORWARD_STORES is not set (`make test` sets it)"
            );
            None
        }
    }
}
