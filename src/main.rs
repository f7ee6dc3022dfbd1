//! The thin binary: everything is in the library.

use std::io::Write as _;

fn main() {
    let code = sigward::cli::main(|| leave(1));
    leave(code);
}

/// Ends the process here and now, as `_exit` does. All that is ours was dropped and is on disk; a module of a token may still be at work on
/// a thread of its own, and would crash if the C library took its data away underneath it (`exit` runs the destructors of libraries).
fn leave(code: u8) {
    let _nobody_reads = std::io::stdout().flush();
    signal_hook::low_level::exit(code.into())
}
