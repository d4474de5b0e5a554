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
use doorward_proto::envoy::config::core::v3::address::Address as AddressKind;
use doorward_proto::envoy::config::core::v3::socket_address::PortSpecifier;
use doorward_proto::envoy::config::core::v3::{Address, SocketAddress};
use doorward_proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use doorward_proto::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use prost::Message as _;
use serde_json::json;
use tokio::runtime::Runtime;

/// Policies, a bundle, and whether decisions are remembered.
pub type Sources = (&'static str, Option<&'static str>, bool);

/// All but the first check are cache hits.
pub const CACHED: Sources = ("policies/quickstart", Some("bundles/quickstart"), true);
/// Five policies and a token that was seen before.
pub const NATIVE: Sources = ("benches/compare/policies/native.yaml", None, false);
pub const REGO_CONSTANT: Sources = ("benches/compare/policies/constant.rego", None, false);
pub const REGO_JWT: Sources = ("benches/compare/policies/jwt.rego", None, false);
pub const REGO_RBAC: Sources = ("benches/compare/policies/rbac", None, false);

/// A door and what it needs to live.
pub struct Door {
    server: Server,
    _runtime: Runtime,
}

impl Door {
    /// With nothing recorded.
    pub fn new((policies, bundle, remembers): Sources) -> Self {
        let config = config(policies, bundle);
        let settings = ActivationSettings {
            bundles: config.bundle_settings(false).unwrap(),
            policy: config.policy_settings().unwrap(),
            cache: config.cache.into(),
        };
        let files = FilePolicies::load(&file_sources(&config), &settings.bundles).unwrap();
        let policies = Arc::new(files.compile(&settings).unwrap());
        let mut cache = settings.cache;
        if !remembers {
            cache.max_bytes = 0;
        }
        let snapshot = Snapshot::new(1, policies, RemoteKeySets::default(), cache);
        let metrics = Arc::new(Metrics::default());
        let pdp = Arc::new(Pdp::new(
            Arc::new(ArcSwap::from_pointee(snapshot)),
            Recorder::default(),
            Arc::clone(&metrics),
        ));
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let outside = Arc::new(Outside::new(
            &config.external,
            config.outside_deadline(),
            OwnPorts::default(),
            Arc::clone(&metrics),
        ));
        drop(entered);
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

fn config(policies: &str, bundle: Option<&str>) -> Config {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundles = bundle.map(|bundle| ("quickstart", json!({"path": root.join(bundle)})));
    serde_json::from_value(json!({
        "policies": [root.join(policies)],
        "bundles": serde_json::Map::from_iter(bundles.map(|(name, source)| (name.to_owned(), source))),
        "mesh": {"default_workload": {"namespace": "foo", "labels": {"app": "httpbin"}}},
    }))
    .unwrap()
}

/// What Istio's sidecar would ask for `curl httpbin.foo:8000/headers`, as in `compare/wire.py`.
pub fn request() -> CheckRequest {
    let token = include_str!("../../policies/quickstart/demo.jwt").trim();
    let bearer = format!("Bearer {token}");
    let headers = [
        (":authority", "httpbin.foo:8000"),
        (":method", "GET"),
        (":path", "/headers"),
        (":scheme", "http"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, deflate, br"),
        ("authorization", &bearer),
        ("user-agent", "curl/8.5.0"),
        ("x-b3-sampled", "1"),
        ("x-b3-spanid", "e457b5a2e4d86bd1"),
        ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
        ("x-envoy-attempt-count", "1"),
        (
            "x-forwarded-client-cert",
            r#"By=spiffe://cluster.local/ns/foo/sa/httpbin;Subject="";URI=spiffe://cluster.local/ns/foo/sa/sleep"#,
        ),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "0c2e6b3e-6f0f-4f2b-9d55-1f5c7a3b9f10"),
    ];
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("10.1.2.3", 45_678, "sleep")),
            destination: Some(peer("10.1.2.9", 8_000, "httpbin")),
            request: Some(Request {
                time: Some(prost_types::Timestamp {
                    seconds: 1_750_000_000,
                    nanos: 123_456_789,
                }),
                http: Some(HttpRequest {
                    id: "12345678901234567890".to_owned(),
                    method: "GET".to_owned(),
                    path: "/headers".to_owned(),
                    host: "httpbin.foo:8000".to_owned(),
                    scheme: "http".to_owned(),
                    protocol: "HTTP/1.1".to_owned(),
                    headers: headers
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .into_iter()
                        .collect(),
                    ..HttpRequest::default()
                }),
            }),
            ..AttributeContext::default()
        }),
    }
}

/// The same as it comes from a connection.
pub fn message() -> Bytes {
    request().encode_to_vec().into()
}

fn peer(ip: &str, port: u32, account: &str) -> Peer {
    Peer {
        address: Some(Address {
            address: Some(AddressKind::SocketAddress(SocketAddress {
                address: ip.to_owned(),
                port_specifier: Some(PortSpecifier::PortValue(port)),
                ..SocketAddress::default()
            })),
        }),
        principal: format!("spiffe://cluster.local/ns/foo/sa/{account}"),
        ..Peer::default()
    }
}
