//! The gRPC door for Envoy: its external authorization protocol to attributes and back. The only
//! place where Envoy's messages appear.

mod json;
mod legacy;
mod request;
mod response;
mod server;
mod wire;
mod written;

#[cfg(test)]
mod tests;

pub use json::{from_input, from_json};
pub use response::Replies;
pub use server::{Config, Health, Server};
