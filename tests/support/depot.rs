//! A server of bundles, or of anything: answers each request as a closure says, well or badly, and
//! remembers what it was asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// Unpacked.
    pub bytes: Vec<u8>,
    /// The same as text, as far as it is one.
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, headers, body.
    With(u16, Vec<(String, String)>, Vec<u8>),
    /// The same after a while.
    After(Duration, Box<Self>),
    /// No answer, with the connection open.
    Hang,
    /// No answer, with the connection closed at once.
    Close,
    /// A good head, then a byte from time to time.
    Drip,
    /// A good head without a length, then a body without end.
    Endless,
    /// A good head with a length that nobody sends.
    Announced(u64),
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::With(status, Vec::new(), Vec::new())
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::With(200, Vec::new(), body.into())
    }

    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("location", to)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::With(_, headers, _) = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Handler = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A connection, over TLS or not.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A server on a free port, stopped when dropped.
pub struct Depot {
    scheme: &'static str,
    port: u16,
    state: Arc<State>,
}

struct State {
    handler: Mutex<Arc<Handler>>,
    asked: Mutex<Vec<Asked>>,
    tls: Option<Arc<ServerConfig>>,
    hanging: Mutex<Vec<Box<dyn Stream>>>,
    stop: AtomicBool,
}

impl Depot {
    pub fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler)
    }

    /// The same over TLS.
    pub fn start_tls(
        tls: ServerConfig,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Some(Arc::new(tls)), handler)
    }

    fn start_with(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            handler: Mutex::new(Arc::new(Box::new(handler))),
            asked: Mutex::default(),
            tls,
            hanging: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn({
            let state = Arc::clone(&state);
            move || state.serve(&listener)
        });
        Self {
            scheme,
            port,
            state,
        }
    }

    /// Answers so from now on.
    pub fn play(&self, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.state.handler.lock().unwrap() = Arc::new(Box::new(handler));
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// The same under another name, which is another origin.
    pub fn other_url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Depot {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl State {
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                self.hanging.lock().unwrap().clear();
                return;
            }
            let state = Arc::clone(self);
            // A client that goes away in the middle ends its thread.
            std::thread::spawn(move || stream.and_then(|stream| state.answer(stream)));
        }
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        let asked = match read(&mut stream) {
            Ok(asked) => asked,
            Err(error) => {
                // Closed at once, the client might not see why its handshake failed.
                self.hanging.lock().unwrap().push(stream);
                return Err(error);
            }
        };
        self.asked.lock().unwrap().push(asked.clone());
        let handler = Arc::clone(&self.handler.lock().unwrap());
        let mut reply = handler(&asked);
        while let Reply::After(pause, then) = reply {
            std::thread::sleep(pause);
            reply = *then;
        }
        match reply {
            Reply::With(status, headers, body) => {
                write!(stream, "HTTP/1.1 {status} X\r\n")?;
                for (name, value) in headers {
                    write!(stream, "{name}: {value}\r\n")?;
                }
                write!(stream, "content-length: {}\r\n\r\n", body.len())?;
                stream.write_all(&body)?;
                stream.flush()
            }
            Reply::Hang => {
                self.hanging.lock().unwrap().push(stream);
                Ok(())
            }
            Reply::Drip => {
                write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
                while !self.stop.load(Ordering::SeqCst) {
                    stream.write_all(b"x")?;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            }
            Reply::Endless => {
                write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    stream.write_all(&[b'x'; 64 << 10])?;
                }
            }
            Reply::Announced(length) => {
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
                )?;
                self.hanging.lock().unwrap().push(stream);
                Ok(())
            }
            Reply::Close | Reply::After(..) => Ok(()),
        }
    }
}

fn read(stream: &mut impl Read) -> std::io::Result<Asked> {
    let head = read_head(stream)?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = match headers.get("content-length") {
        Some(length) => taken(stream, length.parse().unwrap())?,
        None if headers.contains_key("transfer-encoding") => read_chunks(stream)?,
        None => Vec::new(),
    };
    if headers
        .get("content-encoding")
        .is_some_and(|how| how == "gzip")
    {
        let packed = std::mem::take(&mut body);
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut body)?;
    }
    Ok(Asked {
        method,
        target,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body,
    })
}

fn taken(stream: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A body in chunks, each with its length before it.
fn read_chunks(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(taken(stream, 1)?);
        }
        let line = String::from_utf8(line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        body.extend(taken(stream, length)?);
        taken(stream, 2)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// The first lines of a request.
pub fn read_head(stream: &mut (impl Read + ?Sized)) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}
