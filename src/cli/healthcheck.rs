//! `doorward healthcheck`: asks `/readyz` of a running server; what a container's health check
//! runs, since its image has no other client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args as ClapArgs;

use super::{Outcome, complain, say};

/// Longest to wait for each step.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4096;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Address of the management API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    management: SocketAddr,
}

pub(super) fn run(args: &Args) -> Outcome {
    match ask(args.management) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => say("ready"),
        Ok(answer) => {
            let why = answer.rsplit("\r\n").next().unwrap_or_default().trim();
            complain(&format!("not ready: {why}"));
            Outcome::No
        }
        Err(error) => {
            complain(&format!("{} cannot be asked: {error}", args.management));
            Outcome::CouldNotRun
        }
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}
