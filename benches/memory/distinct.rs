//! Checks that all differ, which no ready-made load generator sends: the digits of a mark in the
//! request's bytes are replaced by ever other ones. Prints one line of JSON. For `memory.py`.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Stands wherever the request is to differ.
const MARK: &[u8] = b"00000000";

#[derive(Parser)]
struct Options {
    address: SocketAddr,
    /// A CheckRequest in its gRPC frame, in which eight zeros stand where requests are to differ.
    request: PathBuf,
    #[arg(long, default_value_t = 0)]
    first: u64,
    #[arg(long)]
    count: u64,
    /// Most a second; 0: as fast as it goes.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// A connection.
    #[arg(long, default_value_t = 20)]
    streams: usize,
}

/// What all streams share.
struct Load {
    options: Options,
    template: Vec<u8>,
    marks: Vec<Range<usize>>,
    begun: Instant,
    sent: Cell<u64>,
    failed: Cell<u64>,
    micros: RefCell<Vec<u32>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let template = std::fs::read(&options.request)?;
    let marks: Vec<_> = (0..template.len())
        .map(|start| start..start + MARK.len())
        .filter(|range| template.get(range.clone()) == Some(MARK))
        .collect();
    if marks.is_empty() {
        return Err("the request has no mark".into());
    }
    let load = Rc::new(Load {
        options,
        template,
        marks,
        begun: Instant::now(),
        sent: Cell::new(0),
        failed: Cell::new(0),
        micros: RefCell::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, run(&load))?;
    report(&load)
}

async fn run(load: &Rc<Load>) -> Result<(), Box<dyn Error>> {
    let mut streams = Vec::new();
    for _ in 0..load.options.connections {
        let stream = TcpStream::connect(load.options.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(stream).await?;
        spawn_local(connection);
        for _ in 0..load.options.streams {
            streams.push(spawn_local(Rc::clone(load).stream(sender.clone())));
        }
    }
    for stream in streams {
        stream.await?;
    }
    Ok(())
}

impl Load {
    /// Sends one request after the other until all are sent.
    async fn stream(self: Rc<Self>, sender: SendRequest<Bytes>) {
        while self.sent.get() < self.options.count {
            let number = self.sent.get();
            self.sent.set(number + 1);
            let due = self.due(number).await;
            if self
                .check(sender.clone(), self.request(number))
                .await
                .is_err()
            {
                self.failed.set(self.failed.get() + 1);
            }
            let took = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
            self.micros.borrow_mut().push(took);
        }
    }

    /// Waits until a request is to be sent, and tells when that was: what it waits for a stream is
    /// part of its time.
    async fn due(&self, number: u64) -> Instant {
        if self.options.rate == 0 {
            return Instant::now();
        }
        let after = Duration::from_secs_f64(number as f64 / self.options.rate as f64);
        let due = self.begun + after;
        tokio::time::sleep_until(due.into()).await;
        due
    }

    fn request(&self, number: u64) -> Bytes {
        let digits = format!(
            "{:0width$}",
            self.options.first + number,
            width = MARK.len()
        );
        let mut request = self.template.clone();
        for mark in &self.marks {
            if let Some(place) = request.get_mut(mark.clone()) {
                place.copy_from_slice(digits.as_bytes());
            }
        }
        request.into()
    }

    async fn check(&self, sender: SendRequest<Bytes>, body: Bytes) -> Result<(), Box<dyn Error>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{CHECK}", self.options.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut stream) = sender.ready().await?.send_request(request, false)?;
        stream.send_data(body, true)?;
        let mut body = response.await?.into_body();
        let mut length = 0;
        while let Some(data) = body.data().await {
            let data = data?;
            length += data.len();
            body.flow_control().release_capacity(data.len())?;
        }
        let trailers: HeaderMap = body.trailers().await?.unwrap_or_default();
        let status = trailers.get("grpc-status");
        match status.is_some_and(|status| status == "0") && length > 0 {
            true => Ok(()),
            false => Err("no answer".into()),
        }
    }
}

fn report(load: &Load) -> Result<(), Box<dyn Error>> {
    let seconds = load.begun.elapsed().as_secs_f64();
    let mut micros = load.micros.borrow_mut();
    micros.sort_unstable();
    let share = |share: f64| {
        let index = (micros.len() as f64 * share) as usize;
        micros.get(index).or(micros.last()).copied().unwrap_or(0)
    };
    writeln!(
        std::io::stdout(),
        r#"{{"answered": {}, "failed": {}, "seconds": {seconds}, "p50_us": {}, "p99_us": {}, "max_us": {}}}"#,
        micros.len() as u64 - load.failed.get(),
        load.failed.get(),
        share(0.5),
        share(0.99),
        share(1.0),
    )?;
    Ok(())
}
