//! An issuer of tokens: signs them, and serves its keys over HTTP as it is told to, well or badly.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key pair with an id.
pub struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

/// What is answered to a request.
#[derive(Debug, Clone)]
pub enum Play {
    /// 200 with this body.
    Body(String),
    Status(u16),
    Redirect(String),
    /// No answer, with the connection open.
    Hang,
    /// A good head, then a byte from time to time.
    Drip,
    /// A good head, then a body without end.
    Endless,
    /// The connection is closed at once.
    Close,
}

/// A server on a free port, stopped when dropped.
pub struct Issuer {
    address: String,
    state: Arc<State>,
}

struct State {
    /// Answers by the beginning of a path; the first that fits.
    plays: Mutex<Vec<(String, Play)>>,
    /// Targets of the requests so far.
    asked: Mutex<Vec<String>>,
    /// Connections that get no answer.
    hanging: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl Key {
    pub fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let id = id.to_owned();
        Self { id, pair }
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": base64(x), "y": base64(y)})
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id}).to_string();
        let signed = format!("{}.{}", base64(header), base64(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", base64(signature.unwrap()))
    }
}

/// The set of some keys.
pub fn jwks(keys: &[&Key]) -> Play {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Play::Body(json!({ "keys": keys }).to_string())
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    pub fn start(play: Play) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            plays: Mutex::new(vec![(String::new(), play)]),
            asked: Mutex::default(),
            hanging: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn({
            let state = Arc::clone(&state);
            move || state.serve(&listener)
        });
        Self { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Answers so from now on, whatever is asked for.
    pub fn play(&self, play: Play) {
        *self.state.plays.lock().unwrap() = vec![(String::new(), play)];
    }

    /// Answers so to paths that begin like this.
    pub fn play_at(&self, path: &str, play: Play) {
        let mut plays = self.state.plays.lock().unwrap();
        plays.insert(0, (path.to_owned(), play));
    }

    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        drop(TcpStream::connect(&self.address));
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

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        self.asked.lock().unwrap().push(target.clone());
        let play = {
            let plays = self.plays.lock().unwrap();
            let found = plays.iter().find(|(path, _)| target.starts_with(path));
            found.unwrap().1.clone()
        };
        let open = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        match play {
            Play::Body(body) => {
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
                )
            }
            Play::Status(status) => {
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")
            }
            Play::Redirect(to) => write!(
                stream,
                "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
            ),
            Play::Hang => {
                self.hanging.lock().unwrap().push(stream);
                Ok(())
            }
            Play::Drip => {
                write!(stream, "{open}{{")?;
                while !self.stop.load(Ordering::SeqCst) {
                    stream.write_all(b" ")?;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            }
            Play::Endless => {
                write!(stream, "{open}{{\"keys\":[],\"x\":\"")?;
                loop {
                    stream.write_all(&[b'x'; 64 << 10])?;
                }
            }
            Play::Close => Ok(()),
        }
    }
}
