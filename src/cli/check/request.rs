//! The request to ask about: a `CheckRequest` in JSON, or what a few flags say of one.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};

use super::Unanswered;

/// Largest request that is read, in bytes.
const MAX_REQUEST: u64 = 1 << 20;

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The request")]
pub(super) struct RequestArgs {
    /// A CheckRequest in protobuf's JSON; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tcp", "method", "host", "path", "header", "principal", "source_ip", "port", "namespace", "labels"])]
    request: Option<PathBuf>,
    /// A TCP connection instead of an HTTP request.
    #[arg(long, conflicts_with_all = ["method", "host", "path", "header"])]
    tcp: bool,
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
    #[arg(long, default_value = "localhost")]
    host: String,
    /// With query string.
    #[arg(long, default_value = "/", value_name = "PATH")]
    path: String,
    /// `Name: value`; may be repeated.
    #[arg(long, short = 'H', value_name = "LINE")]
    header: Vec<String>,
    /// Identity in the peer's certificate, `spiffe://…`.
    #[arg(long)]
    principal: Option<String>,
    /// Where the connection comes from.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    source_ip: std::net::IpAddr,
    /// The workload's own port.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Namespace of the workload.
    #[arg(long)]
    namespace: Option<String>,
    /// Labels of the workload: `app=web,version=v1`.
    #[arg(long)]
    labels: Option<String>,
}

impl RequestArgs {
    pub(super) fn read(&self) -> Result<Value, Unanswered> {
        let Some(path) = &self.request else {
            return self.described();
        };
        let name = path.display();
        let mut text = String::new();
        let read = if path.as_os_str() == "-" {
            let input = std::io::stdin().lock();
            input.take(MAX_REQUEST).read_to_string(&mut text)
        } else {
            let file = std::fs::File::open(path);
            file.and_then(|file| file.take(MAX_REQUEST).read_to_string(&mut text))
        };
        read.map_err(|error| Unanswered::one(format!("{name}: {error}")))?;
        serde_json::from_str(&text)
            .map_err(|error| Unanswered::one(format!("{name} is not JSON: {error}")))
    }

    fn described(&self) -> Result<Value, Unanswered> {
        if let Some(principal) = &self.principal
            && principal.contains("/ns/")
            && !principal.starts_with("spiffe://")
        {
            let why = format!("a request's principal has its scheme: `spiffe://{principal}`");
            return Err(Unanswered::one(why));
        }
        let socket = |ip: &str, port: u16| {
            let socket = json!({"address": ip, "portValue": port});
            json!({ "socketAddress": socket })
        };
        let mut source = json!({ "address": socket(&self.source_ip.to_string(), 0) });
        if let (Some(principal), Some(source)) = (&self.principal, source.as_object_mut()) {
            source.insert("principal".to_owned(), principal.as_str().into());
        }
        let mut extensions = Map::new();
        for (name, value) in [
            ("doorward.namespace", &self.namespace),
            ("doorward.labels", &self.labels),
        ] {
            if let Some(value) = value {
                extensions.insert(name.to_owned(), value.as_str().into());
            }
        }
        let mut attributes = json!({
            "source": source,
            "destination": { "address": socket("127.0.0.1", self.port) },
            "contextExtensions": extensions,
        });
        if !self.tcp
            && let Some(attributes) = attributes.as_object_mut()
        {
            attributes.insert("request".to_owned(), json!({ "http": self.http()? }));
        }
        Ok(json!({ "attributes": attributes }))
    }

    fn http(&self) -> Result<Value, Unanswered> {
        let mut headers = Map::new();
        for line in &self.header {
            let Some((name, value)) = line.split_once(':') else {
                let why = format!("`{line}` is not a header: write `Name: value`");
                return Err(Unanswered::one(why));
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            // As a proxy joins them.
            let joined = match headers.get(&name).and_then(Value::as_str) {
                Some(first) => format!("{first},{value}"),
                None => value.to_owned(),
            };
            headers.insert(name, joined.into());
        }
        Ok(json!({
            "method": self.method,
            "host": self.host,
            "path": self.path,
            "scheme": "http",
            "protocol": "HTTP/1.1",
            "headers": headers,
        }))
    }
}
