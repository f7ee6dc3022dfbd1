//! `sigward init`: everything that a first start needs, in one folder.

use std::path::Path;

use serde_json::json;

use super::output::Output;
use crate::app;

pub(super) fn run(home: &Path, output: &Output) -> anyhow::Result<()> {
    let made = app::init(home)?;
    output.result(
        &json!({ "home": home, "config": made.config, "store_id": made.store_id.to_string() }),
        format!(
            "Wrote {}\n\nNext:\n  sigward keys create validator\n  name your chain and node in the configuration\n  sigward serve",
            made.config.display()
        ),
    );
    Ok(())
}
