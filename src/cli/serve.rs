//! `sigward serve`: sign until told to stop.

use std::path::Path;

use crate::app;
use crate::config;

pub(super) fn run(home: &Path) -> anyhow::Result<()> {
    let config = config::load(home)?;
    // The soft end takes too long, or was asked for twice: nothing is lost, what was released is on disk.
    app::serve(&config, |_cut| std::process::abort())
}
