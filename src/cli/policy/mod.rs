//! `sigward policy`: check a document, ask it a question, list what it can say. Reads files; asks no daemon and opens no store.

mod explain;
mod show;

use std::path::PathBuf;

use serde_json::json;
use sigward_policies::authz::Policy;

use super::doctor::count;
use super::exit::CheckFailed;
use super::output::Output;
use crate::config::{self, ConfigCode};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Read a policy as `serve` would, and say what is wrong, with its line, or what is probably not meant
    ///
    ///   sigward policy check                    the one that sigward.toml names
    ///   sigward policy check new-policy.toml    another one, before it is put in its place
    ///
    /// Exit code 4: it is no policy, and `serve` would not start with it.
    #[command(verbatim_doc_comment)]
    Check {
        /// The document [default: the `file` that `[policy]` of sigward.toml names]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    Explain(explain::Args),
    /// List the roles and the operations that a policy may name
    ///
    ///   sigward policy show                                  both, and what each role may
    ///   sigward policy show --json | jq '.roles[].name'      for scripts
    #[command(verbatim_doc_comment)]
    Show,
}

pub(super) fn run(
    command: Command,
    home: impl Fn() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        Command::Check { file } => {
            let (file, policy) = read(file, home)?;
            let warnings: Vec<_> = policy
                .warnings()
                .iter()
                .map(|warning| json!({ "line": warning.line, "message": warning.message }))
                .collect();
            let value = json!({
                "policy": file, "valid": true, "version": format!("{:#}", policy.version()),
                "rules": policy.rules().len(), "warnings": warnings,
            });
            let mut text = format!(
                "{} is valid: {}, version {}",
                file.display(),
                count(policy.rules().len(), "rule"),
                policy.version()
            );
            for warning in policy.warnings() {
                text.push_str(&format!("\nwarning: {warning}"));
            }
            output.result(&value, text);
            Ok(())
        }
        Command::Explain(args) => explain::run(args, home, output),
        Command::Show => {
            show::run(output);
            Ok(())
        }
    }
}

/// The document that is named, or the one of the configuration.
fn read(
    file: Option<PathBuf>,
    home: impl FnOnce() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<(PathBuf, Policy)> {
    let file = match file {
        Some(file) => file,
        None => {
            let home = home()?;
            let config = config::load(&home)?;
            config.policy.file.ok_or_else(|| {
                anyhow::anyhow!(
                    "{} names no policy\nname a document (`sigward policy check FILE`), or write file = \"policy.toml\" under [policy]",
                    home.join(config::FILE_NAME).display()
                )
            })?
        }
    };
    match config::read_policy(&file) {
        Ok(policy) => Ok((file, policy)),
        // What cannot be read was not checked.
        Err(error) if error.code == ConfigCode::PolicyInvalid => Err(CheckFailed(error.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}
