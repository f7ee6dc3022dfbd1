//! `sigward completions`: scripts for the shells that clap knows.

use clap::CommandFactory;
use clap_complete::Shell;

/// Print a shell completion script.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(args: &Args) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut C::command(), "sigward", &mut std::io::stdout());
    Ok(())
}
