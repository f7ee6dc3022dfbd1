//! `sigward completions`: scripts for the shells that clap knows.

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::Output;

/// Print a shell completion script.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(args: &Args, output: &Output) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "sigward", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end());
}
