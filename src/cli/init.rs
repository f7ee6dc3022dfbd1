//! `sigward init`: everything that a first start needs, in one folder.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::output::Output;
use crate::app;
use crate::config::SEAL_LABEL;

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
    #[command(flatten)]
    token: Token,
}

/// A token that seals the keys from the beginning; without these, a key file does.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A token as the seal (see docs/seal.md)")]
struct Token {
    /// Seal the keys with a key in a PKCS#11 token, whose vendor's library this is: the disk alone then opens nothing
    #[arg(long, value_name = "MODULE", requires = "token_label")]
    seal_pkcs11: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "seal_pkcs11")]
    token_label: Option<String>,
    /// A file with its user PIN, mode 0600
    #[arg(
        long,
        value_name = "FILE",
        requires = "seal_pkcs11",
        conflicts_with = "pin_credential"
    )]
    pin_file: Option<PathBuf>,
    /// A systemd credential with its user PIN
    #[arg(long, value_name = "NAME", requires = "seal_pkcs11")]
    pin_credential: Option<String>,
    /// What to call the token in the configuration
    #[arg(long, value_name = "ID", default_value = "hsm-a", requires = "seal_pkcs11")]
    provider: String,
    /// What to call the wrapping key in the token
    #[arg(long, value_name = "LABEL", default_value = SEAL_LABEL, requires = "seal_pkcs11")]
    key_label: String,
}

impl Token {
    fn root(&self) -> anyhow::Result<Option<app::RootToken>> {
        let (Some(module), Some(label)) = (&self.seal_pkcs11, &self.token_label) else {
            return Ok(None);
        };
        // Written into the configuration, where a relative path would begin elsewhere.
        Ok(Some(app::RootToken {
            provider: self.provider.clone(),
            module: std::path::absolute(module)?,
            token_label: label.clone(),
            pin_file: self.pin_file.as_ref().map(std::path::absolute).transpose()?,
            pin_credential: self.pin_credential.clone(),
            key_label: self.key_label.clone(),
        }))
    }
}

pub(super) fn run(args: &Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    let durability = if args.allow_volatile {
        app::Durability::Volatile
    } else {
        app::Durability::Demanded
    };
    let made = match args.token.root()? {
        None => app::init(home, durability)?,
        Some(token) => app::init_with_token(home, durability, &token)?,
    };
    output.result(
        &json!({ "home": home, "config": made.config, "store_id": made.store_id.to_string() }),
        format!("Wrote {}\n\n{NEXT}", made.config.display()),
    );
    Ok(())
}
