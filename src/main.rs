//! Arguments to exit code, nothing else.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    alertrouter::cli::main()
}
