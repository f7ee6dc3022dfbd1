//! `sigward init`: everything that a first start needs, in one folder.

use std::path::Path;

use serde_json::json;

use super::output::Output;
use crate::app;

/// Who moves in or restores must not make a key first: the name would be taken.
const NEXT: &str = "\
Next, one of
  sigward keys create validator     a new key
  sigward import --help             the keys, states and nodes of the signer that you use now
  sigward keys restore --help       keys of a backup
and then
  name your chain and node in the configuration (import does)
  sigward config check
  sigward serve";

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
        format!("Wrote {}\n\n{NEXT}", made.config.display()),
    );
    Ok(())
}
