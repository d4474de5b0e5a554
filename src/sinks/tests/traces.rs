//! Spans of checks: what a collector gets of them, what its answers mean, and which settings are taken.

use prost::Message as _;

use super::contract::{Other, Receiver, check_with, poster};
use super::*;
use crate::otlp::traces::{ExportRequest, Span as SpanMessage};
use crate::traces::Span;

/// The span of the check with this number.
fn span(seq: i64, error: Option<&str>) -> Arc<Finished> {
    let bytes = |length: usize| vec![7; length];
    let value = json!({
        "trace": bytes(16), "id": bytes(8),
        "parent": (seq % 2 == 0).then(|| bytes(8)),
        "start_ns": 1_763_834_400_000_000_001_u64, "end_ns": 1_763_834_400_000_005_001_u64,
        "error": error,
        "attributes": [["number", seq], ["text", "a"], ["doorward.cached", true]],
    });
    let span: Span = serde_json::from_value(value).unwrap();
    Arc::new(Finished {
        seq,
        id: Uuid::from_u128(seq.cast_unsigned().into()),
        time_ns: 1_763_834_400_000_000_001,
        json: serde_json::to_string(&span).unwrap(),
    })
}

fn spans(numbers: std::ops::Range<i64>) -> Vec<Arc<Finished>> {
    numbers.map(|number| span(number, None)).collect()
}

fn exporter(url: &str) -> Spans {
    Spans::new(poster(url), otlp::resource("i-1", &BTreeMap::new()))
}

/// A collector.
struct OfTraces(Receiver);

impl OfTraces {
    fn spans(&self) -> Vec<SpanMessage> {
        let taken = self.0.state().taken.clone().into_iter();
        let requests = taken.map(|(_, body)| ExportRequest::decode(body.as_slice()).unwrap());
        let of_resources = requests.flat_map(|request| request.resource_spans);
        let of_scopes = of_resources.flat_map(|spans| spans.scope_spans);
        of_scopes.flat_map(|spans| spans.spans).collect()
    }
}

impl Other for OfTraces {
    fn take(&self) {
        self.0.say("200 OK", "", "");
    }

    fn fail(&self) {
        self.0.say("503 c4n4ry", "", "c4n4ry");
    }

    fn got(&self) -> Vec<i64> {
        let numbers = self.spans().into_iter().map(|span| {
            let value = span.attributes[0].value.clone().unwrap().value;
            match value {
                Some(otlp::Any::Int(number)) => number,
                other => panic!("{other:?}"),
            }
        });
        numbers.collect()
    }
}

#[tokio::test]
async fn otlp_over_http() {
    let other = OfTraces(Receiver::start());
    let mut sink = exporter(&other.0.url("/v1/traces"));
    check_with(&mut sink, &other, spans).await;
    let (head, body) = other.0.state().taken[0].clone();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"));
    let request = ExportRequest::decode(body.as_slice()).unwrap();
    let of_resource = &request.resource_spans[0];
    let resource = of_resource.resource.clone().unwrap();
    let names: Vec<_> = resource
        .attributes
        .iter()
        .map(|it| it.key.as_str())
        .collect();
    assert_eq!(
        names,
        ["service.instance.id", "service.name", "service.version"]
    );
    let scope = of_resource.scope_spans[0].scope.clone().unwrap();
    assert_eq!(scope.name, "doorward");

    let [child, root] = &other.spans()[..2] else {
        panic!("there are two");
    };
    assert_eq!(child.name, "envoy.service.auth.v3.Authorization/Check");
    assert_eq!(child.kind, 2);
    assert_eq!(child.trace_id, [7; 16]);
    assert_eq!(child.span_id, [7; 8]);
    assert_eq!(child.parent_span_id, [7; 8]);
    assert_eq!(child.flags, 0x301);
    assert_eq!(child.end_time_unix_nano - child.start_time_unix_nano, 5_000);
    assert_eq!(child.status, None);
    assert_eq!(child.attributes[1], otlp::text("text", "a"));
    assert!(root.parent_span_id.is_empty());
    assert_eq!(root.flags, 0x101);

    let failed = span(100, Some("internal_error"));
    assert!(sink.deliver(&[failed]).await.result.is_ok());
    let last = other.spans().pop().unwrap();
    let status = last.status.unwrap();
    assert_eq!(
        (status.message.as_str(), status.code),
        ("internal_error", 2)
    );
}

/// As far as it is read here, field by field: what a collector makes of the numbers is fixed elsewhere.
#[test]
fn a_span_is_written_as_otlp_has_it() {
    let span = SpanMessage {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![3; 8],
        name: "n".to_owned(),
        kind: 2,
        start_time_unix_nano: 4,
        end_time_unix_nano: 5,
        attributes: Vec::new(),
        status: Some(otlp::traces::Status {
            message: "m".to_owned(),
            code: 2,
        }),
        flags: 0x301,
    };
    let expected = [
        &b"\x0a\x10"[..],
        &[1; 16],
        b"\x12\x08",
        &[2; 8],
        b"\x22\x08",
        &[3; 8],
        b"\x2a\x01n\x30\x02",
        b"\x39\x04\0\0\0\0\0\0\0",
        b"\x41\x05\0\0\0\0\0\0\0",
        b"\x7a\x05\x12\x01m\x18\x02",
        b"\x85\x01\x01\x03\0\0",
    ];
    assert_eq!(span.encode_to_vec(), expected.concat());
}

#[tokio::test]
async fn answers_are_told_apart() {
    let receiver = Receiver::start();
    let mut sink = exporter(&receiver.url("/v1/traces"));
    // 2 of them, and why.
    let partly = "\u{a}\u{6}\u{8}\u{2}\u{12}\u{2}no";
    let rows = [
        ("200 OK", "", "", "refused 0"),
        ("200 OK", "", "junk", "refused 0"),
        ("200 OK", "", partly, "refused 2"),
        ("302 Found", "location: http://192.0.2.1/\r\n", "", "never"),
        ("400 Bad Request", "", "", "never"),
        ("404 Not Found", "", "", "never"),
        ("413 Too Large", "", "", "fewer"),
        ("429 Too Many", "retry-after: 7\r\n", "", "again in 7s"),
        ("500 Error", "", "", "never"),
        ("502 Bad Gateway", "", "", "again"),
        ("503 Unavailable", "", "", "again"),
        ("504 Timeout", "", "", "again"),
    ];
    for (status, headers, body, expected) in rows {
        receiver.say(status, headers, body);
        let sent = sink.deliver(&spans(0..3)).await;
        assert_eq!(sent.count, 3);
        let found = match sent.result {
            Ok(accepted) => format!("refused {}", accepted.rejected),
            Err(Failure::Final { .. }) => "never".to_owned(),
            Err(Failure::TooLarge { .. }) => "fewer".to_owned(),
            Err(Failure::MayPass { after: None, .. }) => "again".to_owned(),
            Err(Failure::MayPass {
                after: Some(after), ..
            }) => format!("again in {after:?}"),
        };
        assert_eq!(found, expected, "{status} {body}");
    }
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    let url = "http://collector.example:4318/v1/traces";
    let rows = [
        (json!({}), ""),
        (json!({"url": url}), ""),
        (json!({"url": url, "headers": {"x-api-key": "k"}}), ""),
        (json!({"url": "collector"}), "is not a URL"),
        (json!({"urls": []}), "unknown field `urls`"),
        (
            json!({"sampling": {"ratio": 1.1}}),
            "`sampling.ratio`: 1.1 is not between 0 and 1",
        ),
        (
            json!({"sampling": {"ratio": -0.1}}),
            "`sampling.ratio`: -0.1",
        ),
        (json!({"sampling": {"rate": 1}}), "unknown field `rate`"),
        (json!({"max_per_second": 0}), "`max_per_second`: is not"),
        (
            json!({"max_per_second": 100_001}),
            "`max_per_second`: is not",
        ),
        (
            json!({"url": url, "queue_bytes": "1MiB"}),
            "`queue_bytes`: 1MiB is not",
        ),
        (
            json!({"url": url, "batch_spans": 0}),
            "`batch_spans`: is not",
        ),
        (json!({"url": url, "timeout": "0s"}), "`timeout`: is not"),
        (
            json!({"url": url, "min_delay": "6s"}),
            "`max_delay`: is below `min_delay`",
        ),
        (
            json!({"url": url, "headers": {"host": "k"}}),
            "`headers`: `host` is no header",
        ),
    ];
    for (config, expected) in rows {
        let found = match serde_json::from_value::<TracesConfig>(config.clone()) {
            Ok(config) => config.problems().join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{config}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{config}: {found}");
    }
    // A sink of this name would be counted together with the exporter.
    let sink: SinkConfig =
        serde_json::from_value(json!({"type": "console", "name": "traces"})).unwrap();
    let problems = SinkConfig::problems(&[sink]).join("\n");
    assert!(problems.contains("`[0].name`: `traces` is"), "{problems}");
}

#[test]
fn no_secret_is_shown() {
    let config = json!({
        "url": "http://collector.example:4318/v1/traces",
        "headers": {"x-api-key": "c4n4ry"}, "credentials": {"bearer": {"token": "c4n4ry"}},
    });
    let config: TracesConfig = serde_json::from_value(config).unwrap();
    let shown = serde_json::to_string(&config).unwrap();
    assert!(
        !shown.contains("c4n4ry") && shown.contains("collector.example"),
        "{shown}"
    );
    assert!(!format!("{config:?}").contains("c4n4ry"));
}
