//! `sigward init`: everything that a first start needs, in one folder.

use serde_json::json;

use super::output::Output;
use crate::app;
use crate::config::Home;

pub(super) fn run(home: &Home, output: &Output) -> anyhow::Result<()> {
    let made = app::init(home)?;
    output.result(
        &json!({ "home": home.dir(), "config": home.config_file(), "store_id": made.store_id.to_string() }),
        format!(
            "Wrote {}\n\nNext:\n  sigward keys create validator\n  name your chain and node in the configuration\n  sigward serve",
            home.config_file().display()
        ),
    );
    Ok(())
}
