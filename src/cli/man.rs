//! `sigward man`: manual pages, from the same words as `--help`.

use std::path::PathBuf;

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
    let command = C::command();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        output.line(String::from_utf8_lossy(&page).trim_end());
        return Ok(());
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    clap_mangen::generate_to(command, dir)
        .with_context(|| format!("cannot write manual pages into {}", dir.display()))
}
