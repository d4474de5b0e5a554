//! What tests share: the real server as a process, a gRPC client that can also send bytes that are
//! no message, an HTTP client, and builders of bundles and checks.

pub mod authority;
pub mod bundle;
pub mod check;
pub mod depot;
pub mod disk;
pub mod door;
pub mod http;
pub mod issuer;
pub mod python;
pub mod upstream;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use check::Checks;

/// Longest a server may take to start, generous for busy machines.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `doorward serve`, killed when dropped.
pub struct Server {
    process: Child,
    pub ext_authz: String,
    pub management: String,
    pub revision: u64,
    /// Kept for its lifetime; shared when a server is started again on the same data.
    pub data: std::sync::Arc<TempDir>,
    /// What comes on standard output after it is ready.
    pub output: Option<BufReader<ChildStdout>>,
}

/// How to start one.
#[derive(Default)]
pub struct Options {
    pub config: String,
    pub arguments: Vec<String>,
    pub data: Option<std::sync::Arc<TempDir>>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// A limit on files' sizes makes writes fail and does not end the process.
    pub survives_large_files: bool,
}

/// Namespace of checks that say nothing else.
pub const NAMESPACE: &str = "default";

impl Server {
    /// Starts with nothing but a default workload.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with_config(config: &str) -> Self {
        Self::with(Options {
            config: config.to_owned(),
            ..Options::default()
        })
    }

    pub fn with(options: Options) -> Self {
        Self::try_with(options)
            .unwrap_or_else(|output| panic!("the server did not start: {output}"))
    }

    /// Starts a server, or tells its exit code and what it said.
    pub fn try_with(options: Options) -> Result<Self, String> {
        let data = options
            .data
            .unwrap_or_else(|| std::sync::Arc::new(tempfile::tempdir().unwrap()));
        let config = data.path().join("doorward.yaml");
        let default = format!(
            "mesh: {{ default_workload: {{ namespace: {NAMESPACE}, labels: {{ app: web }} }} }}\n"
        );
        let text = if options.config.contains("mesh:") {
            String::new()
        } else {
            default
        };
        std::fs::write(&config, text + &options.config).unwrap();
        let mut command = doorward();
        if options.survives_large_files {
            command = ignoring_xfsz(&command);
        }
        let mut process = command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .args([
                "--ext-authz-listen",
                "127.0.0.1:0",
                "--management-listen",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(data.path())
            .args(&options.arguments)
            .envs(options.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(
                std::fs::File::create(data.path().join("stderr")).unwrap(),
            ))
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let Some(rest) = line.strip_prefix("ready ") else {
            let status = process.wait().unwrap();
            let said = std::fs::read_to_string(data.path().join("stderr")).unwrap();
            return Err(format!("{status}: {line}{said}"));
        };
        let value = |name: &str| {
            let mut words = rest.split_whitespace();
            let found = words.find_map(|word| word.strip_prefix(&format!("{name}=")));
            found
                .unwrap_or_else(|| panic!("`{line}` lacks {name}"))
                .to_owned()
        };
        Ok(Self {
            ext_authz: value("ext_authz"),
            management: value("management"),
            revision: value("revision").parse().unwrap(),
            process,
            data,
            output: Some(output),
        })
    }

    pub async fn checks(&self) -> Checks {
        Checks::connect(&self.ext_authz).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.management)
    }

    /// Name and niceness of each of its threads.
    pub fn threads(&self) -> Vec<(String, i64)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        // One may have ended meanwhile.
        let told =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let thread = |stat: String| {
            let (name, rest) = stat.rsplit_once(") ")?;
            let niceness = rest.split(' ').nth(16)?.parse().ok()?;
            Some((name.rsplit_once('(')?.1.to_owned(), niceness))
        };
        told.filter_map(thread).collect()
    }

    /// Sends a signal: `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the process to end and returns its exit code, if it has one.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not end");
    }

    /// What it said on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.data.path().join("stderr")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The same command, for which a write beyond the limit is an error and not the end.
fn ignoring_xfsz(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).current_dir(root());
    shell
}

/// The program under test.
pub fn doorward() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.current_dir(root());
    command
}

/// Folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Any number.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Repeats until it holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
