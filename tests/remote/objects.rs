//! Bundles of object stores. What a store would check of a request is checked here, by the rules of each
//! kind: signatures are made anew from what came, tokens are verified.

mod azure;
mod gcs;
mod moto;
mod s3;

use super::{OFTEN, asked_again, message, ready, revision, source};
use crate::support::bundle::constant;
use crate::support::depot::{Asked, Depot, Reply};
use crate::support::{Options, Server, eventually, http};

const MODIFIED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// A configuration with one object.
fn config(url: &str, depot: &Depot, settings: &str) -> String {
    let endpoint = depot.url("");
    format!(
        "bundles: {{ main: {{ url: \"{url}\", {OFTEN}, object_store: {{ endpoint: \"{endpoint}\" \
         }}, {settings} }} }}\n"
    )
}

/// A server in an environment.
fn server(config: String, environment: &[(&str, &str)]) -> Server {
    let environment = environment.iter();
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Server::with(Options {
        config,
        environment: environment.map(pair).collect(),
        ..Options::default()
    })
}

/// Gives an object to who may have it.
fn guarded(may: impl Fn(&Asked) -> bool) -> impl Fn(&Asked) -> Reply {
    move |asked| match may(asked) {
        true if asked.header("if-none-match") == "\"1\"" => {
            Reply::status(304).header("etag", "\"1\"")
        }
        true => object(constant("one", "true")),
        false => Reply::status(403),
    }
}

fn object(archive: Vec<u8>) -> Reply {
    Reply::body(archive)
        .header("etag", "\"1\"")
        .header("last-modified", MODIFIED)
}

fn is_kept_secret(server: &Server) {
    let config = http::get(&server.url("/v1/config")).expect(200).body;
    let status = http::get(&server.url("/v1/status")).expect(200).body;
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    for text in [config, status, metrics, server.said()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}

async fn fails(server: &Server, expected: &str) {
    eventually(expected, || message(server).contains(expected)).await;
    is_kept_secret(server);
}
