//! What a server answers and counts that was started with a configuration of OPA, where the recorded
//! replies of OPA's plugin say nothing of it.

use prost::Message as _;
use tonic::Code;

use crate::support::bundle::archive;
use crate::support::check::{http_check, http_of};
use crate::support::upstream::{Play, Upstream};
use crate::support::{Options, Server, http};

/// What is answered depends on the first part of the path. `URL` is of a server that never answers.
const POLICY: &str = r#"package envoy.authz

part := input.parsed_path[0]

n := numbers.range(1, 1000)

allow if part in {"good", "both"}

allow := false if part in {"denied", "both"}

allow := 7 if part == "seven"

allow if {
	part == "endless"
	some a in n
	some b in n
	some c in n
	a + b + c < 0
}

allow if {
	part == "hanging"
	http.send({"method": "GET", "url": "URL", "timeout": "60s"}).status_code == 200
}
"#;

const CANCELLED: &str = "eval_cancel_error: context deadline reached during query execution";

/// Starts a server with options of the plugin.
fn start(options: &str, url: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opa.yaml");
    let text = format!("plugins: {{ envoy_ext_authz_grpc: {{ {options} }} }}");
    std::fs::write(&file, text).unwrap();
    let server = Server::with(Options {
        config: "external: { deadline: 1s }".to_owned(),
        arguments: vec!["--opa-config".to_owned(), file.display().to_string()],
        ..Options::default()
    });
    let bundle = archive(&[("p.rego", &POLICY.replace("URL", url))]);
    http::put(&server.url("/v1/bundles/b"), &bundle).expect(200);
    server
}

/// Lines of the plugin's metrics.
fn counted(server: &Server) -> Vec<String> {
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let ours =
        |line: &&str| line.contains("grpc_request_duration") || line.contains("error_counter");
    let lines = metrics.lines().filter(ours);
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn errors_and_metrics_are_those_of_the_plugin() {
    let upstream = Upstream::start(|_| Play::Held(String::new()));
    let options =
        "enable-performance-metrics: true, grpc-request-duration-seconds-buckets: [0, 600]";
    let server = start(options, &upstream.url("/"));
    let checks = server.checks().await;
    let check =
        |path: &str, headers: &[(&str, &str)]| http_check("GET", path, headers).encode_to_vec();
    let mut unreadable = http_check("POST", "/good", &[("content-type", "application/json")]);
    http_of(&mut unreadable).body = "{".to_owned();
    let rows = [
        (check("/good", &[]), Code::Ok, ""),
        (check("/denied", &[]), Code::PermissionDenied, ""),
        (check("/none", &[]), Code::Unknown, "undefined decision"),
        (check("/seven", &[]), Code::Unknown, "illegal value"),
        (
            check("/both", &[]),
            Code::Unknown,
            "b/p.rego:9: eval_conflict_error: complete rules must not produce multiple outputs",
        ),
        (check("/endless", &[]), Code::DeadlineExceeded, CANCELLED),
        (check("/hanging", &[]), Code::DeadlineExceeded, CANCELLED),
        (
            unreadable.encode_to_vec(),
            Code::PermissionDenied,
            "request_parse_error",
        ),
        (vec![0xff], Code::PermissionDenied, "cannot be decoded"),
    ];
    for (message, code, text) in rows {
        let about = String::from_utf8_lossy(&message).into_owned();
        let (found, said) = match checks.send(message).await {
            Ok(reply) => {
                let status = reply.response.status.clone().unwrap_or_default();
                (Code::from(status.code), status.message)
            }
            Err(status) => (status.code(), status.message().to_owned()),
        };
        assert_eq!(found, code, "{about}: {said}");
        assert!(said.contains(text), "{about}: {said}");
    }
    let counted = counted(&server);
    for row in [
        "# TYPE error_counter unknown",
        "error_counter{reason=\"request_parse_error\"} 2",
        "error_counter{reason=\"envoyauth_eval_error\"} 1",
        "error_counter{reason=\"envoyauth_result_error\"} 1",
        "error_counter{reason=\"eval_conflict_error\"} 1",
        "error_counter{reason=\"eval_cancel_error\"} 2",
        "# TYPE grpc_request_duration_seconds histogram",
        "grpc_request_duration_seconds_count{handler=\"check\"} 2",
        "grpc_request_duration_seconds_bucket{handler=\"check\",le=\"0.0\"} 0",
        "grpc_request_duration_seconds_bucket{handler=\"check\",le=\"600.0\"} 2",
    ] {
        assert!(
            counted.iter().any(|line| line == row),
            "{row}: {counted:#?}"
        );
    }
}

#[tokio::test]
async fn metrics_of_the_plugin_are_not_there_unless_asked_for() {
    let server = start("", "http://127.0.0.1:1/");
    let checks = server.checks().await;
    assert!(checks.get("/good").await.allows());
    let undefined = http_check("GET", "/none", &[]).encode_to_vec();
    assert_eq!(
        checks.send(undefined).await.unwrap_err().code(),
        Code::Unknown
    );
    assert_eq!(counted(&server), Vec::<String>::new());
}
