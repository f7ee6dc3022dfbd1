//! `sigward serve`: sign until told to stop.

use std::path::Path;

use crate::app;
use crate::config;

pub(super) fn run(home: &Path) -> anyhow::Result<()> {
    let config = config::load(home)?;
    app::serve(config)
}
