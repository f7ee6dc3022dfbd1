//! `sigward keys`: make, bring in, adopt, list and show keys.

use std::path::Path;

use anyhow::Context as _;
use sigward_proto::v1::key_service_client::KeyServiceClient;
use sigward_proto::v1::{AdoptKeyRequest, CreateKeyRequest, GetKeyRequest, ListKeysRequest};

use super::backup;
use super::client::{at_once, explain, with_services};
use super::output::Output;

mod import;
mod show;
pub(super) use import::read;
use show::{describe, list, show};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a key. It is fresh: nothing was ever signed with it, and no copy of it exists
    ///
    ///   sigward keys create validator                        in a sealed file
    ///   sigward keys create validator --provider hsm-a       in a token; it never leaves it
    #[command(verbatim_doc_comment)]
    Create {
        /// What to call it
        name: String,
        /// ed25519 or secp256k1
        #[arg(long, default_value = "ed25519")]
        algorithm: String,
        /// Where it is made and kept: a `[[provider]]` of the configuration, by its id
        #[arg(long, default_value = crate::config::SOFTWARE, value_name = "ID")]
        provider: String,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Bring in a CometBFT priv_validator_key.json, or a key pair that is in a token already. Stop the old signer first, for ever
    ///
    /// `sigward import` does more: it reads key, state and configuration of a whole signer, and asks the chain.
    ///
    ///   sigward keys import validator --file priv_validator_key.json --state priv_validator_state.json --chain my-chain-1
    ///   sigward keys import validator --from-token --provider hsm-a --label old-validator --above 5200000 --chain my-chain-1
    ///
    /// `sigward hsm list --search` shows the key pairs of a token.
    #[command(verbatim_doc_comment)]
    Import(import::Import),
    /// Take over a sealed key that belongs to another guard store, or whose guard was lost
    Adopt {
        /// Its name
        name: String,
        /// Sign only heights greater than this
        #[arg(long, value_name = "HEIGHT")]
        above: i64,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Write keys into one encrypted file, and read it back; or say what such a file holds
    Backup(backup::Backup),
    /// Open a backup and try every key in it, without restoring anything: a drill, on any machine
    VerifyBackup(backup::Verify),
    /// Bring keys back from a backup. It holds no watermarks: you say from which height on they may sign
    Restore(backup::Restore),
    /// List all keys
    List {
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Show one key, in every form that a chain may want
    Show {
        /// Its name
        name: String,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Create {
            name,
            algorithm,
            provider,
            bech32,
        } => {
            let in_token = provider != crate::config::SOFTWARE;
            let key = with_services(home, async |channel| {
                let request = CreateKeyRequest {
                    name,
                    algorithm,
                    provider,
                };
                let reply = KeyServiceClient::new(channel)
                    .create(request)
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)?;
            if in_token && !output.is_json() {
                output.line(
                    "\nNo copy of this key exists outside of its token, and none can be made here. If the token is lost, so is the key:\n\
                     back up the token with its maker's tool.",
                );
            } else if !output.is_json() {
                output.line(format!(
                    "\nNo backup of this key exists. If this disk is lost, so is the key.\nMake one: sigward keys backup {} --file OUT",
                    key.name
                ));
            }
            Ok(())
        }
        Command::Import(args) => import::run(args, home, output),
        Command::Adopt { name, above, bech32 } => {
            let key = with_services(home, async |channel| {
                let request = AdoptKeyRequest { name, above };
                let reply = KeyServiceClient::new(channel)
                    .adopt(request)
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)
        }
        Command::Backup(args) => backup::backup(args, home, output),
        Command::VerifyBackup(args) => backup::verify(&args, Some(home), output),
        Command::Restore(args) => {
            let keys = backup::restore(args, home, output)?;
            if output.is_json() {
                let keys = keys
                    .iter()
                    .map(|key| describe(key, "cosmos"))
                    .collect::<anyhow::Result<Vec<_>>>()?;
                output.line(backup::restored(keys));
                return Ok(());
            }
            list(&keys, "cosmos", output)?;
            output.line(backup::next(&keys));
            Ok(())
        }
        Command::List { bech32 } => {
            let keys = at_once(home, async |channel| {
                let reply = KeyServiceClient::new(channel)
                    .list(ListKeysRequest {})
                    .await
                    .map_err(explain)?;
                Ok(reply.into_inner().keys)
            })?;
            list(&keys, &bech32, output)
        }
        Command::Show { name, bech32 } => {
            let key = at_once(home, async |channel| {
                let reply = KeyServiceClient::new(channel)
                    .get(GetKeyRequest { name })
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)
        }
    }
}
