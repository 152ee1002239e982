//! Arguments to exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    alertrouter::cli::main()
}
