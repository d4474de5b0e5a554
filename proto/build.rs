//! Compiles the `.proto` files to Rust with a compiler written in Rust, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=envoy");
    println!("cargo:rerun-if-changed=google");
    let services = [
        "envoy/service/auth/v2/external_auth.proto",
        "envoy/service/auth/v3/external_auth.proto",
    ];
    let descriptors = protox::compile(services, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        // Ordered, so that equal messages have equal bytes.
        .btree_map(["."])
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
