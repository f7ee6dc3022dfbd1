//! `sigward config`: check a configuration, print one that explains itself.

use std::path::PathBuf;

use serde_json::json;

use super::output::Output;
use crate::config;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Read the configuration as `serve` would, and say what is wrong with it
    Check,
    /// Print a configuration with every field, its default and what it means
    PrintDefault,
}

pub(super) fn run(
    command: &Command,
    home: impl FnOnce() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        Command::Check => {
            let home = home()?;
            let config = config::load(&home)?;
            let nodes: usize = config.chains.iter().map(|chain| chain.nodes.len()).sum();
            let file = home.join(config::FILE_NAME);
            output.result(
                &json!({ "config": file, "valid": true, "chains": config.chains.len(), "nodes": nodes }),
                format!(
                    "{} is valid: {} chains, {nodes} nodes",
                    file.display(),
                    config.chains.len()
                ),
            );
            Ok(())
        }
        Command::PrintDefault => {
            let text = config::DEFAULT;
            output.result(&json!({ "config": text }), text.trim_end());
            Ok(())
        }
    }
}
