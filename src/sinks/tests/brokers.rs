//! Sink `kafka` by the suite of all sinks, with a broker that knows just what is sent here; others' brokers
//! are asked in `tests/sinks`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::contract::{Other, check};
use super::*;

const PRODUCE: u8 = 0;
/// An error that may pass: not enough replicas are there.
const NOT_NOW: u8 = 19;

#[derive(Debug)]
struct OneBroker {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    code: u8,
    got: Vec<i64>,
}

fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0, length], text.as_bytes()].concat()
}

/// Reads a number of as many bytes as it needs.
fn varint(bytes: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            let signed = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
            return usize::try_from(signed).unwrap();
        }
    }
}

/// Numbers of the decisions in a batch.
fn numbers(batch: &[u8]) -> Vec<i64> {
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(&batch[61..])
        .read_to_end(&mut raw)
        .unwrap();
    let mut rest = raw.as_slice();
    let mut numbers = Vec::new();
    while !rest.is_empty() {
        let length = varint(&mut rest);
        let (mut record, others) = rest.split_at(length);
        rest = others;
        record = &record[1..];
        let (_time, _offset) = (varint(&mut record), varint(&mut record));
        let key = varint(&mut record);
        let key = record.split_off(..key).unwrap();
        let value = varint(&mut record);
        let value: Value = serde_json::from_slice(record.split_off(..value).unwrap()).unwrap();
        assert_eq!(
            value["decision_id"],
            String::from_utf8(key.to_vec()).unwrap()
        );
        assert_eq!(record, [0]);
        numbers.push(value["sequence"].as_i64().unwrap());
    }
    numbers
}

impl OneBroker {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let answering = Arc::downgrade(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(state) = answering.upgrade() else {
                    return;
                };
                // Who goes away is gone.
                std::thread::spawn(move || stream.and_then(|it| serve(it, address, &state)));
            }
        });
        Self { address, state }
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let body = &request[10 + usize::from(request[9])..];
        let answer = match request[1] {
            PRODUCE => {
                // No transaction, all replicas, and after the topic one partition with its batch.
                assert_eq!(body[..4], [0xff, 0xff, 0xff, 0xff]);
                let batch = &body[8 + 4 + text("decisions").len() + 4 + 4 + 4..];
                let mut state = state.lock().unwrap();
                if state.code == 0 {
                    state.got.extend(numbers(batch));
                }
                let end = [vec![0, 0, 0, 1, 0, 0, 0, 0, 0, state.code], vec![0; 20]].concat();
                [vec![0, 0, 0, 1], text("decisions"), end].concat()
            }
            _ => {
                let port = address.port().to_be_bytes();
                let broker = [
                    vec![0, 0, 0, 7],
                    text("127.0.0.1"),
                    vec![0, 0, port[0], port[1]],
                ];
                let topic = [vec![0, 0, 0, 1, 0, 0], text("decisions"), vec![0]].concat();
                let one = [0, 0, 0, 1, 0, 0, 0, 7];
                let partition = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &one, &one];
                [
                    &[0, 0, 0, 0, 0, 0, 0, 1][..],
                    &broker.concat(),
                    &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 7],
                    &topic,
                    &partition.concat(),
                ]
                .concat()
            }
        };
        let length = u32::try_from(answer.len() + 4).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &request[4..8], &answer].concat())?;
    }
}

impl Drop for OneBroker {
    fn drop(&mut self) {
        self.state = Arc::default();
        // Wakes the accept loop.
        drop(TcpStream::connect(self.address));
    }
}

impl Other for OneBroker {
    fn take(&self) {
        self.state.lock().unwrap().code = 0;
    }

    fn fail(&self) {
        self.state.lock().unwrap().code = NOT_NOW;
    }

    fn got(&self) -> Vec<i64> {
        self.state.lock().unwrap().got.clone()
    }
}

fn broker(address: SocketAddr) -> Broker {
    let config = json!({
        "type": "kafka", "brokers": [address.to_string()], "topic": "decisions", "timeout": "5s",
    });
    let config: SinkConfig = serde_json::from_value(config).unwrap();
    let form = Form {
        format: config.format(),
        labels: Arc::default(),
    };
    let producer = Producer::new(config.target().unwrap(), OwnPorts::default());
    Broker::new(producer, form, None, config.timeout())
}

#[tokio::test]
async fn kafka() {
    let other = OneBroker::start();
    check(&mut broker(other.address), &other).await;
}

/// What each error means.
#[tokio::test]
async fn errors_are_told_apart() {
    let other = OneBroker::start();
    let mut sink = broker(other.address);
    let rows = [
        (0, "delivered"),
        (2, "again"),
        (3, "again"),
        (6, "again"),
        (7, "again"),
        (10, "fewer"),
        (18, "fewer"),
        (19, "again"),
        (29, "again"),
        (87, "never"),
    ];
    for (code, expected) in rows {
        other.state.lock().unwrap().code = code;
        let sent = sink.deliver(&records(0..3)).await;
        assert_eq!(sent.count, 3);
        let found = match sent.result {
            Ok(accepted) if accepted.rejected == 3 => "never",
            Ok(_) => "delivered",
            Err(Failure::TooLarge { .. }) => "fewer",
            Err(Failure::MayPass { .. }) => "again",
            Err(Failure::Final { .. }) => "final",
        };
        assert_eq!(found, expected, "{code}");
    }
}
