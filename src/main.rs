//! The thin binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Only here does the process end other than by returning: a second signal, or a drain that takes too long.
    #[allow(clippy::disallowed_methods, reason = "this is main")]
    sigward::cli::main(|| std::process::exit(1))
}
