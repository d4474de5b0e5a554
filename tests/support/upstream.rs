//! A server that policies ask: notes what it was asked, and answers each request as a test says, well
//! or badly, over plain HTTP or TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::depot::read_head;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// As they were written.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Play {
    /// These bytes, with the connection left open.
    Answer(String),
    /// The same, once the server is released.
    Held(String),
    /// These bytes, and then `x` without end.
    Endless(String),
    /// The connection is closed at once.
    Close,
}

type Handler = dyn Fn(&Asked) -> Play + Send + Sync;

/// A server on a free port, stopped when dropped.
pub struct Upstream {
    address: String,
    scheme: &'static str,
    state: Arc<State>,
}

struct State {
    handler: Box<Handler>,
    tls: Option<Arc<ServerConfig>>,
    asked: Mutex<Vec<Asked>>,
    released: Mutex<bool>,
    release: Condvar,
    stop: AtomicBool,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Asked {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|header| header.0.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// An answer with a length.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Play {
    let headers = headers.iter();
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    Play::Answer(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
}

impl Upstream {
    pub fn start(handler: impl Fn(&Asked) -> Play + Send + Sync + 'static) -> Self {
        Self::with(None, Box::new(handler))
    }

    pub fn start_tls(
        tls: ServerConfig,
        handler: impl Fn(&Asked) -> Play + Send + Sync + 'static,
    ) -> Self {
        Self::with(Some(Arc::new(tls)), Box::new(handler))
    }

    fn with(tls: Option<Arc<ServerConfig>>, handler: Box<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = Arc::new(State {
            handler,
            tls,
            asked: Mutex::default(),
            released: Mutex::default(),
            release: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        std::thread::spawn({
            let state = Arc::clone(&state);
            move || state.serve(&listener)
        });
        Self {
            address,
            scheme,
            state,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// `IP:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Answers what is held, now and from now on.
    pub fn release(&self) {
        *self.state.released.lock().unwrap() = true;
        self.state.release.notify_all();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.release();
        // Wakes the accept loop.
        drop(TcpStream::connect(&self.address));
    }
}

impl State {
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let state = Arc::clone(self);
            // A client that goes away in the middle ends its thread.
            std::thread::spawn(move || stream.and_then(|stream| state.connection(stream)));
        }
    }

    fn connection(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        loop {
            let asked = read(&mut stream)?;
            self.asked.lock().unwrap().push(asked.clone());
            match (self.handler)(&asked) {
                Play::Answer(answer) => stream.write_all(answer.as_bytes())?,
                Play::Held(answer) => {
                    let released = self.released.lock().unwrap();
                    drop(self.release.wait_while(released, |released| !*released));
                    stream.write_all(answer.as_bytes())?;
                }
                Play::Endless(head) => {
                    stream.write_all(head.as_bytes())?;
                    loop {
                        stream.write_all(&[b'x'; 64 << 10])?;
                    }
                }
                Play::Close => return Ok(()),
            }
            stream.flush()?;
        }
    }
}

fn read(stream: &mut dyn Stream) -> std::io::Result<Asked> {
    let head = read_head(stream)?;
    let mut lines = head.lines().filter(|line| !line.is_empty());
    let mut asked = Asked {
        line: lines.next().unwrap().to_owned(),
        ..Asked::default()
    };
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        asked.headers.push((name.to_owned(), value.to_owned()));
    }
    let length = asked.header("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body)?;
    asked.body = String::from_utf8(body).unwrap();
    Ok(asked)
}
