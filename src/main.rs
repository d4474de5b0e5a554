//! The `doorward` program.

use std::process::ExitCode;

// Many short-lived strings per check: this allocator is measurably quicker at them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doorward::cli::main()
}
