//! Starting Envoy with the configuration users are given, ports aside, and an upstream that tells
//! what it was sent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::support::root;

/// Longest Envoy may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Path of Envoy, if there is one.
pub fn binary() -> Option<PathBuf> {
    match std::env::var_os("DOORWARD_ENVOY").filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None if std::env::var_os("DOORWARD_REQUIRE_ENVOY").is_some() => {
            panic!("DOORWARD_REQUIRE_ENVOY is set, but DOORWARD_ENVOY names no Envoy")
        }
        None => {
            eprintln!(
                "NOT RUN: the tests against a real Envoy, as DOORWARD_ENVOY is not set (`make test` sets it)"
            );
            None
        }
    }
}

/// A running Envoy, killed when dropped.
pub struct Envoy {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Envoy {
    pub fn start(binary: &std::path::Path, ext_authz: &str, upstream: &str) -> Self {
        Self::start_with(binary, ext_authz, upstream, "")
    }

    /// Sending bodies along, as the configuration shows.
    pub fn start_with_bodies(binary: &std::path::Path, ext_authz: &str, upstream: &str) -> Self {
        let shown = "# with_request_body:";
        Self::start_edited(binary, ext_authz, upstream, "", |config| {
            assert!(
                config.contains(shown),
                "deploy/envoy/envoy.yaml lacks {shown}"
            );
            config.replace(shown, "with_request_body:")
        })
    }

    /// With a further piece of YAML in the filter chain of its listener.
    pub fn start_with(
        binary: &std::path::Path,
        ext_authz: &str,
        upstream: &str,
        piece: &str,
    ) -> Self {
        Self::start_edited(binary, ext_authz, upstream, piece, |config| config)
    }

    /// With a further piece of YAML in the cluster that is asked.
    pub fn start_with_cluster(
        binary: &std::path::Path,
        ext_authz: &str,
        upstream: &str,
        piece: &str,
    ) -> Self {
        Self::start_edited(binary, ext_authz, upstream, "", |config| {
            let cluster = "    - name: doorward\n";
            assert!(
                config.contains(cluster),
                "deploy/envoy/envoy.yaml lacks {cluster}"
            );
            let piece = piece.replace('\n', "\n      ");
            config.replace(cluster, &format!("{cluster}      {piece}\n"))
        })
    }

    /// Tracing, with a collector of OTLP over HTTP.
    pub fn start_tracing(
        binary: &std::path::Path,
        ext_authz: &str,
        upstream: &str,
        collector: &str,
    ) -> Self {
        let address = collector.split('/').nth(2).unwrap();
        let (_, port) = address.rsplit_once(':').unwrap();
        let provider = format!(
            r#"          tracing:
              provider:
                name: envoy.tracers.opentelemetry
                typed_config:
                  "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                  service_name: envoy
                  http_service:
                    http_uri: {{ uri: "{collector}", cluster: collector, timeout: 1s }}
"#
        );
        let cluster = format!(
            r"    - name: collector
      type: STATIC
      load_assignment:
        cluster_name: collector
        endpoints:
        - lb_endpoints:
          - endpoint:
              address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
"
        );
        Self::start_edited(binary, ext_authz, upstream, "", |config| {
            let prefix = config
                .lines()
                .find(|line| line.trim_start().starts_with("stat_prefix:"))
                .unwrap();
            let indent = prefix.len() - prefix.trim_start().len();
            let provider = provider.replace(
                "
          ",
                &format!(
                    "
{}",
                    " ".repeat(indent)
                ),
            );
            let provider = format!("{}{}", " ".repeat(indent), provider.trim_start());
            let config = config.replace(prefix, &format!("{provider}{prefix}"));
            config.replace(
                "  clusters:
",
                &format!(
                    "  clusters:
{cluster}"
                ),
            )
        })
    }

    fn start_edited(
        binary: &std::path::Path,
        ext_authz: &str,
        upstream: &str,
        piece: &str,
        edit: impl FnOnce(String) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, admin) = (free_port(), free_port());
        let port_of = |address: &str| address.rsplit(':').next().unwrap().to_owned();
        let config = std::fs::read_to_string(root().join("deploy/envoy/envoy.yaml")).unwrap();
        let config = [
            ("port_value: 10000", port.to_string()),
            ("port_value: 9901", admin.to_string()),
            ("port_value: 9191", port_of(ext_authz)),
            ("port_value: 10001", port_of(upstream)),
        ]
        .iter()
        .fold(config, |config, (from, to)| {
            assert!(
                config.contains(from),
                "deploy/envoy/envoy.yaml lacks {from}"
            );
            config.replace(from, &format!("port_value: {to}"))
        });
        let chain = "        - filters:\n";
        assert!(
            config.contains(chain),
            "deploy/envoy/envoy.yaml lacks {chain}"
        );
        let piece = piece.replace('\n', "\n          ");
        let config = config.replace(chain, &format!("        - {piece}\n          filters:\n"));
        let path = folder.path().join("envoy.yaml");
        std::fs::write(&path, edit(config)).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(binary)
            .arg("--config-path")
            .arg(path)
            .args([
                "--concurrency",
                "1",
                "--log-level",
                "warning",
                "--disable-hot-restart",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self {
            process,
            port,
            folder,
        };
        envoy.wait_until_it_listens();
        envoy
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "Envoy did not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it wrote: its access log and its complaints.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Sends a request whose path no client library touches; returns the status.
    pub fn raw(&self, method: &str, path: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A server that answers with what it was asked.
pub struct Upstream {
    pub address: String,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || serve(stream, &counter));
            }
        });
        Self { address, requests }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers requests until the connection ends; bodies are not looked at.
fn serve(mut stream: TcpStream, counter: &AtomicUsize) {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read) = stream.read(&mut chunk) {
        if read == 0 {
            return;
        }
        received.extend_from_slice(&chunk[..read]);
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            let whole = end + 4 + content_length(&head);
            if received.len() < whole {
                break;
            }
            received.drain(..whole);
            counter.fetch_add(1, Ordering::SeqCst);
            let body = describe(&head).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn content_length(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, length)| length.trim().parse().unwrap())
}

fn describe(head: &str) -> Value {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next(), words.next());
    let mut headers = Map::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match headers.get_mut(name) {
            Some(Value::String(existing)) => existing.push_str(&format!(",{value}")),
            _ => drop(headers.insert(name.to_ascii_lowercase(), value.into())),
        }
    }
    json!({ "method": method, "path": path, "headers": headers })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
