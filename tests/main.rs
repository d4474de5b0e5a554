//! Promises of the whole program, kept against the real binary, one file a promise. Start servers
//! and clients through `support`; they take free ports and leave nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod support;

mod access;
mod allocations;
mod architecture;
mod authzen;
mod bad_checks;
mod bad_pushes;
mod bad_rego;
mod bundle_commands;
mod bundle_tests;
mod bundles;
mod cases;
mod clients;
mod decision_questions;
mod decisions;
mod documents;
mod durability;
mod envoy;
mod examples;
mod explain;
mod external;
mod files;
mod history;
mod jwks;
mod lifecycle;
mod log_faults;
mod opa_api;
mod openapi;
mod opa_writes;
mod plugin;
mod proof;
mod pushes;
mod quickstart;
mod reads;
mod reference;
mod remote;
mod replay;
mod shadows;
mod sinks;
mod tls;
mod traces;
mod vectors;
mod writers;
