//! What every sink must do, whatever is on its other side: deliver in order and say what became of
//! how many, tell what may pass from what will not, and never tell a secret.

use std::io::{self, Write};

use prost::Message as _;

use super::*;
use crate::otlp::logs::{ExportRequest, LogRecord};

/// What the other side of a sink is told to do, and what it got.
pub(super) trait Other {
    /// Takes everything from now on.
    fn take(&self);
    /// Fails in a way that may pass.
    fn fail(&self);
    /// Numbers of the records it got whole, in their order.
    fn got(&self) -> Vec<i64>;
}

/// The suite.
pub(super) async fn check(sink: &mut dyn Sink, other: &dyn Other) {
    check_with(sink, other, records).await;
}

/// The suite, with what a sink takes that takes no records.
pub(super) async fn check_with(
    sink: &mut dyn Sink,
    other: &dyn Other,
    records: fn(std::ops::Range<i64>) -> Vec<Arc<Finished>>,
) {
    other.take();
    let mut sent = 0;
    let all = records(0..50);
    while sent < all.len() {
        let answer = sink.deliver(&all[sent..]).await;
        assert!(answer.result.is_ok(), "{:?}", answer.result);
        assert!((1..=all.len() - sent).contains(&answer.count));
        sent += answer.count;
    }
    assert_eq!(other.got(), (0..50).collect::<Vec<_>>());

    other.fail();
    let next = records(50..53);
    for _ in 0..3 {
        let answer = sink.deliver(&next).await;
        let Err(Failure::MayPass { why, .. }) = answer.result else {
            panic!("{:?}", answer.result);
        };
        assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        // Neither who asks nor what of.
        assert!(
            !why.contains("c4n4ry") && !why.contains("shop.example"),
            "{why}"
        );
    }
    other.take();
    let mut sent = 0;
    while sent < next.len() {
        let answer = sink.deliver(&next[sent..]).await;
        assert!(answer.result.is_ok(), "{:?}", answer.result);
        sent += answer.count;
    }
    assert_eq!(other.got(), (0..53).collect::<Vec<_>>());
}

/// A pipe.
#[derive(Debug, Default, Clone)]
struct Pipe(Arc<Mutex<(Vec<u8>, bool)>>);

impl Write for Pipe {
    /// A few bytes at a time; when it fails, after a few more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.1 && state.0.last() != Some(&b'\n') {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(100);
        state.0.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Other for Pipe {
    fn take(&self) {
        self.0.lock().unwrap().1 = false;
    }

    fn fail(&self) {
        self.0.lock().unwrap().1 = true;
    }

    fn got(&self) -> Vec<i64> {
        let text = String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap();
        // What was begun and not ended is a line of its own.
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .map(|line| line["sequence"].as_i64().unwrap())
            .collect()
    }
}

#[tokio::test]
async fn console() {
    let pipe = Pipe::default();
    let form = Form {
        format: Format::Doorward,
        labels: Arc::default(),
    };
    let mut sink = Console::to(form, Box::new(pipe.clone()));
    check(&mut sink, &pipe).await;
}

/// A server on a free port that takes what is posted, or says what a test wants it to say.
#[derive(Debug)]
pub(super) struct Receiver {
    address: std::net::SocketAddr,
    state: Arc<Mutex<Received>>,
}

#[derive(Debug, Default)]
pub(super) struct Received {
    /// Status line, headers and body of the answer; nothing closes the connection.
    pub(super) answer: Option<String>,
    /// Only up to so many bytes.
    pub(super) limit: Option<usize>,
    /// What was taken: head, and body unpacked.
    pub(super) taken: Vec<(String, Vec<u8>)>,
    pub(super) largest: usize,
}

impl Receiver {
    pub(super) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<Received>>::default();
        let answering = Arc::downgrade(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(state) = answering.upgrade() else {
                    return;
                };
                // Who goes away in the middle is gone.
                drop(stream.and_then(|stream| Self::answer(stream, &state)));
            }
        });
        let receiver = Self { address, state };
        receiver.say("200 OK", "", "{}");
        receiver
    }

    pub(super) fn say(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.state().answer = Some(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ));
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, Received> {
        self.state.lock().unwrap()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answer(mut stream: std::net::TcpStream, state: &Mutex<Received>) -> io::Result<()> {
        use std::io::Read as _;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut unpacked)?;
        let mut state = state.lock().unwrap();
        if state.limit.is_some_and(|limit| body.len() > limit) {
            return write!(stream, "HTTP/1.1 413 X\r\ncontent-length: 0\r\n\r\n");
        }
        let Some(answer) = state.answer.clone() else {
            return Ok(());
        };
        if answer.starts_with("HTTP/1.1 2") {
            state.largest = state.largest.max(body.len());
            state.taken.push((head, unpacked));
        }
        stream.write_all(answer.as_bytes())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state = Arc::default();
        // Wakes the accept loop.
        drop(std::net::TcpStream::connect(self.address));
    }
}

/// A server that gets lists of events.
struct OfOpa(Receiver);

impl Other for OfOpa {
    fn take(&self) {
        self.0.say("204 No Content", "", "");
    }

    fn fail(&self) {
        self.0.say("503 c4n4ry", "", "c4n4ry");
    }

    fn got(&self) -> Vec<i64> {
        let lists = self.0.state().taken.clone().into_iter();
        let lists = lists.map(|(_, body)| serde_json::from_slice::<Vec<Value>>(&body).unwrap());
        let events = lists.flatten();
        events
            .map(|event| event["custom"]["doorward"]["sequence"].as_i64().unwrap())
            .collect()
    }
}

pub(super) fn poster(url: &str) -> Poster {
    let config = json!([{
        "type": "http", "url": url, "timeout": "5s", "headers": {"x-tenant": "c4n4ry-shop"},
        "credentials": {"bearer": {"token": "c4n4ry"}},
    }]);
    let mut config: Vec<SinkConfig> = serde_json::from_value(config).unwrap();
    assert!(SinkConfig::problems(&config).is_empty());
    Poster::new(config.remove(0).post_to().unwrap(), OwnPorts::default())
}

fn upload(url: &str, limit: usize) -> Upload {
    let form = Form {
        format: Format::Opa,
        labels: Arc::default(),
    };
    Upload::new(poster(url), form, limit)
}

#[tokio::test]
async fn http() {
    let other = OfOpa(Receiver::start());
    for limit in [900, 4_000, 1 << 20] {
        other.0.state().taken.clear();
        let mut sink = upload(&other.0.url("/base/logs?x=c4n4ry"), limit);
        check(&mut sink, &other).await;
        let state = other.0.state();
        assert!(state.largest <= limit, "{} {limit}", state.largest);
        for (head, _) in &state.taken {
            assert!(
                head.starts_with("post /base/logs?x=c4n4ry http/1.1\r\n"),
                "{head}"
            );
            assert!(
                head.contains("\r\ncontent-type: application/json\r\n"),
                "{head}"
            );
            assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
            assert!(
                head.contains("\r\nauthorization: bearer c4n4ry\r\n"),
                "{head}"
            );
            assert!(head.contains("\r\nx-tenant: c4n4ry-shop\r\n"), "{head}");
        }
    }
}

/// What each answer means.
#[tokio::test]
async fn answers_are_told_apart() {
    let receiver = Receiver::start();
    let mut sink = upload(&receiver.url("/logs"), 1 << 20);
    let rows = [
        ("200 OK", "", "delivered"),
        ("202 Accepted", "", "delivered"),
        ("204 No Content", "", "delivered"),
        ("302 Found", "location: http://192.0.2.1/\r\n", "again"),
        ("400 Bad Request", "", "never"),
        ("401 Unauthorized", "", "again"),
        ("403 Forbidden", "", "again"),
        ("404 Not Found", "", "again"),
        ("408 Timeout", "", "again"),
        ("413 Too Large", "", "fewer"),
        ("422 Unprocessable", "", "never"),
        ("429 Too Many", "retry-after: 7\r\n", "again in 7s"),
        ("500 Error", "", "again"),
        ("503 Unavailable", "retry-after: 0\r\n", "again in 0ns"),
    ];
    for (status, headers, expected) in rows {
        receiver.say(status, headers, "");
        let sent = sink.deliver(&records(0..3)).await;
        assert_eq!(sent.count, 3);
        let found = match sent.result {
            Ok(accepted) if accepted == sink::Accepted::default() => "delivered".to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(Failure::Final { .. }) => "never".to_owned(),
            Err(Failure::TooLarge { .. }) => "fewer".to_owned(),
            Err(Failure::MayPass { after: None, .. }) => "again".to_owned(),
            Err(Failure::MayPass {
                after: Some(after), ..
            }) => format!("again in {after:?}"),
        };
        assert_eq!(found, expected, "{status}");
    }
    // No answer, and nobody there.
    receiver.state().answer = None;
    let sent = sink.deliver(&records(0..3)).await;
    assert!(matches!(sent.result, Err(Failure::MayPass { .. })));
    let url = receiver.url("/logs");
    drop(receiver);
    let sent = upload(&url, 1 << 20).deliver(&records(0..3)).await;
    assert!(matches!(sent.result, Err(Failure::MayPass { .. })));
}

/// Rule: an event that is too large goes without input and result; only if it still is, it is lost.
#[tokio::test]
async fn an_event_that_is_too_large_goes_in_part() {
    let other = OfOpa(Receiver::start());
    let mut sink = upload(&other.0.url("/logs"), 1_500);
    let noise = || {
        (0..200)
            .map(|_| Uuid::new_v4().to_string())
            .collect::<String>()
    };
    let rows = [
        (json!({"input": {"x": noise()}}), 0),
        (json!({"result": {"x": noise()}}), 0),
        (json!({"more": noise()}), 1),
    ];
    for (index, (more, lost)) in rows.into_iter().enumerate() {
        let seq = index as i64;
        let sent = sink.deliver(&[record_of(seq, &more), record(100)]).await;
        assert_eq!(sent.count, 1);
        assert_eq!(sent.result.unwrap().too_large, lost);
        assert_eq!(other.got().last() == Some(&seq), lost == 0);
    }
}

/// A collector.
struct OfOtlp(Receiver);

impl OfOtlp {
    fn records(&self) -> Vec<LogRecord> {
        let taken = self.0.state().taken.clone().into_iter();
        let requests = taken.map(|(_, body)| ExportRequest::decode(body.as_slice()).unwrap());
        let logs = requests.flat_map(|request| request.resource_logs);
        let logs = logs.flat_map(|logs| logs.scope_logs);
        logs.flat_map(|logs| logs.log_records).collect()
    }
}

fn value_of<'a>(record: &'a LogRecord, name: &str) -> Option<&'a otlp::Any> {
    let mut attributes = record.attributes.iter();
    let found = attributes.find(|attribute| attribute.key == name)?;
    found.value.as_ref()?.value.as_ref()
}

impl Other for OfOtlp {
    fn take(&self) {
        self.0.say("200 OK", "", "");
    }

    fn fail(&self) {
        self.0.say("503 c4n4ry", "", "c4n4ry");
    }

    fn got(&self) -> Vec<i64> {
        let records = self.records();
        let numbers = records
            .iter()
            .map(|record| match value_of(record, "doorward.sequence") {
                Some(otlp::Any::Int(number)) => *number,
                other => panic!("{other:?}"),
            });
        numbers.collect()
    }
}

fn collector(url: &str) -> Collector {
    let resource = otlp::resource("i-1", &BTreeMap::new());
    Collector::new(poster(url), resource)
}

#[tokio::test]
async fn otlp_over_http() {
    let other = OfOtlp(Receiver::start());
    let mut sink = collector(&other.0.url("/v1/logs"));
    check(&mut sink, &other).await;
    let (head, body) = other.0.state().taken[0].clone();
    assert!(head.starts_with("post /v1/logs http/1.1"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: application/x-protobuf\r\n"),
        "{head}"
    );
    let request = ExportRequest::decode(body.as_slice()).unwrap();
    let resource = request.resource_logs[0].resource.clone().unwrap();
    assert_eq!(
        resource.attributes[1],
        otlp::text("service.name", "doorward")
    );

    let record = &other.records()[5];
    assert_eq!(record.time_unix_nano, 1_763_834_400_000_000_001);
    assert_eq!(record.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(record.trace_id.len(), 16);
    assert!(record.span_id.is_empty());
    assert_eq!(record.severity_text, "WARN");
    assert_eq!(record.event_name, "doorward.decision");
    let text = |text: &str| Some(otlp::Any::Text(text.to_owned()));
    let rows = [
        ("http.request.method", text("GET")),
        ("url.path", text("/5")),
        ("server.address", text("shop.example")),
        (
            "doorward.decision_id",
            text("00000000-0000-0000-0000-000000000005"),
        ),
        ("doorward.effect", text("deny")),
        ("doorward.status", Some(otlp::Any::Int(403))),
        ("doorward.cached", Some(otlp::Any::Bool(false))),
        ("doorward.reason.kind", text("rego")),
        ("doorward.request.path", text("/5")),
        ("doorward.time", None),
    ];
    for (name, expected) in rows {
        assert_eq!(value_of(record, name), expected.as_ref(), "{name}");
    }
    assert!(matches!(
        value_of(record, "doorward.request.headers"),
        Some(otlp::Any::Map(_))
    ));
}

/// Rule: what a collector refuses of what it takes is lost, and is not sent again.
#[tokio::test]
async fn a_collector_may_take_a_part() {
    let receiver = Receiver::start();
    let mut sink = collector(&receiver.url("/v1/logs"));
    // 2 of them, and why.
    let answer = "\u{a}\u{6}\u{8}\u{2}\u{12}\u{2}no";
    let rows = [
        ("200 OK", answer, Ok(2)),
        ("200 OK", "junk", Ok(0)),
        ("400 X", "", Err(())),
    ];
    for (status, body, expected) in rows {
        receiver.say(status, "", body);
        let sent = sink.deliver(&records(0..3)).await;
        assert_eq!(sent.count, 3);
        let found = match sent.result {
            Ok(accepted) => Ok(accepted.rejected),
            Err(Failure::Final { .. }) => Err(()),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{status} {body}");
    }
}
