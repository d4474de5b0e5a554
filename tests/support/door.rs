//! The gRPC door without a socket: from the bytes of a check to those of its reply, under a
//! configuration. The benches use it too, so that what is counted and what is timed are the same.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use doorward::activation::{ActivationSettings, FilePolicies};
use doorward::address::OwnPorts;
use doorward::app::file_sources;
use doorward::config::Config;
use doorward::decision_log::Recorder;
use doorward::ext_authz::Server;
use doorward::external::Outside;
use doorward::identity::RemoteKeySets;
use doorward::pdp::Pdp;
use doorward::snapshot::Snapshot;
use doorward::telemetry::Metrics;
use doorward_proto::envoy::service::auth::v3::CheckResponse;
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// Policies, a bundle, and whether decisions are remembered.
pub type Sources<'a> = (&'a str, Option<&'a str>, bool);

/// All but the first check are cache hits.
pub const CACHED: Sources<'_> = ("policies/quickstart", Some("bundles/quickstart"), true);
/// Five policies and a token that was seen before.
pub const NATIVE: Sources<'_> = ("benches/compare/policies/native.yaml", None, false);
pub const REGO_CONSTANT: Sources<'_> = ("benches/compare/policies/constant.rego", None, false);
pub const REGO_JWT: Sources<'_> = ("benches/compare/policies/jwt.rego", None, false);
pub const REGO_RBAC: Sources<'_> = ("benches/compare/policies/rbac", None, false);

/// A door and what it needs to live.
pub struct Door {
    server: Server,
    _runtime: Runtime,
}

impl Door {
    pub fn new(sources: Sources<'_>) -> Self {
        let (config, metrics) = (Config::default(), Arc::new(Metrics::default()));
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let outside = Arc::new(Outside::new(
            &config.external,
            config.outside_deadline(),
            OwnPorts::default(),
            Arc::clone(&metrics),
        ));
        drop(entered);
        let pdp = Arc::new(pdp(sources));
        let server = Server::new(&config.ext_authz, pdp, outside, metrics);
        let (server, _) = runtime.block_on(server);
        Self {
            server,
            _runtime: runtime,
        }
    }

    pub fn answer(&self, message: &Bytes) -> Bytes {
        self.server.answer(message.clone()).unwrap()
    }

    /// Whether a check is allowed; replies say so by a status, and by the kind of what is in them.
    pub fn allows(&self, message: &Bytes) -> bool {
        let reply = CheckResponse::decode(self.answer(message)).unwrap();
        let denied = matches!(reply.http_response, Some(HttpResponse::DeniedResponse(_)));
        !denied && reply.status.is_some_and(|status| status.code == 0)
    }
}

/// What decides behind a door, with nothing recorded.
pub fn pdp((policies, bundle, remembers): Sources<'_>) -> Pdp {
    let config = config(policies, bundle);
    let mut settings = ActivationSettings {
        bundles: config.bundle_settings(false).unwrap(),
        policy: config.policy_settings().unwrap(),
        cache: config.cache.into(),
    };
    if !remembers {
        settings.cache.max_bytes = 0;
    }
    let files = FilePolicies::load(&file_sources(&config), &settings.bundles).unwrap();
    let policies = Arc::new(files.compile(&settings).unwrap());
    let snapshot = Snapshot::new(1, policies, RemoteKeySets::default(), settings.cache);
    Pdp::new(
        Arc::new(ArcSwap::from_pointee(snapshot)),
        Recorder::default(),
        Arc::default(),
    )
}

fn config(policies: &str, bundle: Option<&str>) -> Config {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundle = bundle.map(|path| ("quickstart".to_owned(), json!({"path": root.join(path)})));
    serde_json::from_value(json!({
        "policies": [root.join(policies)],
        "bundles": bundle.into_iter().collect::<Map<String, Value>>(),
        "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
    }))
    .unwrap()
}

/// What Istio's sidecar would ask for `curl httpbin.foo:8000/headers`, as in `compare/wire.py`.
pub fn request() -> Value {
    let token = include_str!("../../policies/quickstart/demo.jwt").trim();
    let peer = |ip: &str, port: u16, account: &str| {
        json!({
            "address": {"socketAddress": {"address": ip, "portValue": port}},
            "principal": format!("spiffe://cluster.local/ns/foo/sa/{account}"),
        })
    };
    json!({"attributes": {
        "source": peer("10.1.2.3", 45_678, "sleep"),
        "destination": peer("10.1.2.9", 8_000, "httpbin"),
        "request": {
            "time": "2025-06-15T15:06:40.123456789Z",
            "http": {
                "id": "12345678901234567890",
                "method": "GET",
                "path": "/headers",
                "host": "httpbin.foo:8000",
                "scheme": "http",
                "protocol": "HTTP/1.1",
                "headers": {
                    ":authority": "httpbin.foo:8000",
                    ":method": "GET",
                    ":path": "/headers",
                    ":scheme": "http",
                    "accept": "*/*",
                    "accept-encoding": "gzip, deflate, br",
                    "authorization": format!("Bearer {token}"),
                    "user-agent": "curl/8.5.0",
                    "x-b3-sampled": "1",
                    "x-b3-spanid": "e457b5a2e4d86bd1",
                    "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
                    "x-envoy-attempt-count": "1",
                    "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/foo/sa/httpbin;\
                        Subject=\"\";URI=spiffe://cluster.local/ns/foo/sa/sleep",
                    "x-forwarded-proto": "http",
                    "x-request-id": "0c2e6b3e-6f0f-4f2b-9d55-1f5c7a3b9f10",
                },
            },
        },
    }})
}

/// The same as it comes from a connection.
pub fn message() -> Bytes {
    let pool = DescriptorPool::decode(doorward_proto::DESCRIPTORS).unwrap();
    let kind = pool.get_message_by_name("envoy.service.auth.v3.CheckRequest");
    let message = DynamicMessage::deserialize(kind.unwrap(), request()).unwrap();
    message.encode_to_vec().into()
}
