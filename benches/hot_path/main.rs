//! What the parts of a check cost, in this process: no sockets and nothing recorded. Prints tables
//! with the bounds that are kept. One binary for all, since linking takes longer than measuring.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a bench prints, ends when something is wrong, and shares a file with tests"
)]

mod harness;
mod wire;
mod keys;
mod matchers;
mod rego;
#[path = "../../tests/support/door.rs"]
mod door;

// As in the `doorward` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    wire::run();
    keys::run();
    matchers::run();
    rego::run();
}
