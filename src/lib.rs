//! Doorward: external authorization for Envoy.
//!
//! A map of the house, in the order to read it. Bytes become [`attributes`] at a door, [`pdp`]
//! turns attributes into a [`decision`] under one [`snapshot`], and the door turns it back into
//! bytes. `docs/architecture.md` says who may import whom and which invariants hold.

pub mod pdp;

// Doors.
pub mod ext_authz;

// The decision: no I/O, no clock.
pub mod attributes;
pub mod identity;
pub mod policy;
pub mod decision;
pub mod cache;
pub mod snapshot;
pub mod shadow;

// How policy gets here.
pub mod bundle;
pub mod store;
pub mod jwks;
pub mod activation;
pub mod remote;

// What policy asks of others.
pub mod external;

// Policy tried out.
pub mod cases;
pub mod replay;

// What we tell the world.
pub mod traces;
pub mod decision_log;
pub mod sinks;
pub mod management;
pub mod telemetry;
pub mod otlp;
pub mod kafka;

// The process.
pub mod config;
pub mod app;
pub mod cli;
pub mod listen;
pub mod tls;
pub mod address;
pub mod fetch;
pub mod service;
pub mod units;
pub mod yaml;
