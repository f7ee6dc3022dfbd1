//! `sigward man`: manual pages, from the same words as `--help`.

mod page;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory;

use super::output::Output;

/// Print the manual page, or write one for each command into a folder.
///
/// Examples:
///
///   sigward man | man -l -                        reads sigward(1)
///   sigward man --dir /usr/local/share/man/man1   writes sigward.1, sigward-keys.1, sigward-keys-create.1, …
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Folder that gets a page for each command; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run<C: CommandFactory>(args: &Args, output: &Output) -> anyhow::Result<()> {
    let mut command = C::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        output.line(page::render(command)?.trim_end());
        return Ok(());
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    write(command, dir).with_context(|| format!("cannot write manual pages into {}", dir.display()))
}

/// A page for the command and for each below it.
fn write(command: clap::Command, dir: &Path) -> anyhow::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write(below.clone(), dir)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(path, page::render(command)?)?;
    Ok(())
}
