//! `sigward init`: everything that a first start needs, in one folder.

use std::path::Path;

use serde_json::json;

use super::output::Output;
use crate::app;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Accept overlayfs, tmpfs and network file systems, which may forget, and write so into the configuration. For
    /// development only: a state that forgets is a double sign
    #[arg(long)]
    allow_volatile: bool,
}

pub(super) fn run(args: &Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    let durability = if args.allow_volatile {
        app::Durability::Volatile
    } else {
        app::Durability::Demanded
    };
    let made = app::init(home, durability)?;
    output.result(
        &json!({ "home": home, "config": made.config, "store_id": made.store_id.to_string() }),
        format!(
            "Wrote {}\n\nNext:\n  sigward keys create validator\n  name your chain and node in the configuration\n  sigward serve",
            made.config.display()
        ),
    );
    Ok(())
}
