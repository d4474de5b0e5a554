//! Which attributes a policy reads, told from the paths of the input document that it can read. Every
//! member of the document that `input` makes stands here; one that does not is taken for everything.

use super::builtins::Purity;
use super::graph::Reached;
use super::paths::{Paths, Use};
use crate::policy::reads::{Field, Reads};

/// What an entrypoint reads. With `skip_body` the document holds no parsed body.
pub(super) fn reads(reached: &Reached, skip_body: bool) -> Reads {
    let mut reads = Reads {
        volatile: reached.effect.volatile(),
        external: reached.effect.purity == Purity::External,
        ..Reads::default()
    };
    // Whatever a policy reads, the document itself can only be made of a path, a query and a body
    // that parse.
    reads.field(Field::Shape);
    reads.field(Field::Target);
    if !skip_body {
        reads.field(Field::Body);
    }
    document(&mut reads, &reached.input);
    reads
}

/// What of a request stands at a place of the document, as far as it is told apart.
pub fn reads_of(place: &[String]) -> Reads {
    let mut paths = Paths::default();
    paths.add(place, Use::Whole);
    let mut reads = Reads::default();
    document(&mut reads, &paths);
    reads
}

fn document(reads: &mut Reads, input: &Paths) {
    if input.is_whole() {
        reads.whole_input = true;
    }
    for (name, paths) in input.members() {
        match name {
            // Made of what is in the key already.
            "version" | "parsed_path" | "parsed_query" | "parsed_body" | "truncated_body" => {}
            "source_principal" => reads.field(Field::Principal),
            "attributes" => attributes(reads, paths),
            "doorward" => identity(reads, paths),
            _ => reads.whole_input = true,
        }
    }
}

/// Rule: a token is among what native policies read, and the workload is told by the proxy's route, its
/// own side of the connection and the settings.
fn identity(reads: &mut Reads, paths: &Paths) {
    each(
        paths,
        &["peer", "request", "workload"],
        |name, _| match name {
            "peer" => reads.field(Field::Principal),
            "request" => {}
            "workload" => {
                reads.field(Field::ContextExtensions);
                reads.field(Field::DestinationService);
            }
            _ => reads.whole_input = true,
        },
    );
}

fn attributes(reads: &mut Reads, paths: &Paths) {
    if paths.is_whole() {
        reads.whole_input = true;
    }
    for (name, paths) in paths.members() {
        match name {
            "source" => source(reads, paths),
            "destination" => destination(reads, paths),
            "request" => request(reads, paths),
            // With the names of version 2 of the protocol.
            "contextExtensions" | "context_extensions" => reads.field(Field::ContextExtensions),
            "metadataContext" | "metadata_context" => reads.field(Field::Metadata),
            "routeMetadataContext" => reads.field(Field::RouteMetadata),
            "tlsSession" => reads.field(Field::TlsSession),
            _ => reads.whole_input = true,
        }
    }
}

fn source(reads: &mut Reads, paths: &Paths) {
    each(
        paths,
        &["principal", "certificate", "address", "service", "labels"],
        |name, _| match name {
            "principal" | "certificate" => reads.field(Field::Principal),
            "address" => reads.field(Field::SourceAddress),
            "service" | "labels" => reads.field(Field::SourceService),
            _ => reads.whole_input = true,
        },
    );
}

fn destination(reads: &mut Reads, paths: &Paths) {
    each(paths, &["address", "service"], |name, _| match name {
        "address" => reads.field(Field::DestinationAddress),
        "service" | "labels" | "principal" | "certificate" => {
            reads.field(Field::DestinationService);
        }
        _ => reads.whole_input = true,
    });
}

fn request(reads: &mut Reads, paths: &Paths) {
    each(paths, &["time", "http"], |name, paths| match name {
        "time" => reads.field(Field::Time),
        "http" => http(reads, paths),
        _ => reads.whole_input = true,
    });
}

fn http(reads: &mut Reads, paths: &Paths) {
    const MEMBERS: &[&str] = &[
        "id", "method", "path", "host", "scheme", "query", "fragment", "protocol", "body",
        "headers",
    ];
    each(paths, MEMBERS, |name, paths| match name {
        "id" => reads.field(Field::Id),
        "method" => reads.field(Field::Method),
        "path" => reads.field(Field::Target),
        "host" => reads.field(Field::Host),
        "scheme" => reads.field(Field::Scheme),
        "query" | "fragment" => reads.field(Field::QueryAndFragment),
        "protocol" => reads.field(Field::HttpVersion),
        "body" | "rawBody" | "size" => reads.field(Field::Body),
        "headers" => headers(reads, paths),
        "headerMap" => reads.field(Field::Headers),
        _ => reads.whole_input = true,
    });
}

fn headers(reads: &mut Reads, paths: &Paths) {
    if paths.is_whole() {
        reads.field(Field::Headers);
    }
    for (name, _) in paths.members() {
        reads.header(name);
    }
}

/// Goes through what is read of an object, whose members, as far as they are fields of their own,
/// are `all`.
fn each(paths: &Paths, all: &[&str], mut read: impl FnMut(&str, &Paths)) {
    if paths.is_whole() {
        all.iter().for_each(|name| read(name, Paths::everything()));
    }
    for (name, paths) in paths.members() {
        read(name, paths);
    }
}
