//! `sigward config`: check a configuration, print one that explains itself.

use std::path::PathBuf;

use serde_json::json;

use super::doctor;
use super::exit::CheckFailed;
use super::output::Output;
use crate::app;
use crate::config;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Read the configuration, and the files and keys that it names, as `serve` would, and say what is wrong
    ///
    /// Exit code 1: the file is no configuration. 4: it is one, and `serve` would not start, or would not serve a chain.
    Check {
        /// Read the file only, not what it names
        #[arg(long)]
        file_only: bool,
    },
    /// Print a configuration with every field, its default and what it means
    PrintDefault,
}

pub(super) fn run(
    command: &Command,
    home: impl FnOnce() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        Command::Check { file_only } => {
            let home = home()?;
            let config = config::load(&home)?;
            let (chains, nodes) = (
                config.chains.len(),
                config.chains.iter().map(|chain| chain.nodes.len()).sum(),
            );
            let file = home.join(config::FILE_NAME);
            let valid = format!(
                "{} is valid: {}, {}",
                file.display(),
                doctor::count(chains, "chain"),
                doctor::count(nodes, "node")
            );
            if *file_only {
                let summary = json!({ "config": file, "valid": true, "chains": chains, "nodes": nodes });
                output.result(&summary, valid);
                return Ok(());
            }
            if let Some(listen) = &config.listen {
                app::check_door(listen).map_err(|error| CheckFailed(error.to_string()))?;
            }
            if let Some(bearer) = &config.bearer {
                app::check_bearer(bearer).map_err(|error| CheckFailed(error.to_string()))?;
            }
            let checked = doctor::check_config(&home, &config);
            let summary = json!({
                "config": file, "valid": true, "chains": chains, "nodes": nodes, "findings": checked.json,
            });
            output.result(&summary, format!("{valid}\n{}", checked.lines).trim_end());
            checked.verdict
        }
        Command::PrintDefault => {
            let text = config::DEFAULT;
            output.result(&json!({ "config": text }), text.trim_end());
            Ok(())
        }
    }
}
