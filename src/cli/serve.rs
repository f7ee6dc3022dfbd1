//! `sigward serve`: sign until told to stop.

use crate::app;
use crate::config::{Config, Home};

pub(super) fn run(home: &Home) -> anyhow::Result<()> {
    let config = Config::load(home)?;
    app::serve(config)
}
