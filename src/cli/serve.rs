//! `sigward serve`: sign until told to stop.

use std::path::Path;

use crate::app;
use crate::config;

pub(super) fn run(home: &Path, cut: fn()) -> anyhow::Result<()> {
    let config = config::load(home)?;
    // Ending hard loses nothing: what was released is on disk.
    app::serve(home, &config, move |_why| cut())
}
