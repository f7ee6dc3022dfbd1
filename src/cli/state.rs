//! `sigward state`: look at the watermarks, begin, bring in and move out sign states. Nothing here lowers a watermark.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sigward_policies::decision::Refusal;
use sigward_policies::model::id::{ChainId, Height};
use sigward_proto::v1::ListHoldsRequest;
use sigward_proto::v1::hold_service_client::HoldServiceClient;
use sigward_proto::v1::state_service_client::StateServiceClient;
use sigward_proto::v1::{
    AllowStateRequest, ExportStateRequest, ImportStateRequest, InitStateRequest, RebindStateRequest,
    ShowStateRequest, SignState, SignStateKind, WithdrawAllowRequest, init_state_request::Beginning,
};

use tonic::Status;
use tonic::transport::Channel;

use super::approvals::Given;
use super::client::{at_once, explain, with_services};
use super::exit::RefusedByRule;
use super::keys::read;
use super::out_file;
use super::output::Output;
use super::remote;
use crate::app;
use crate::config;
use crate::store::sqlite::{Above, Adopted};

mod leave;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show how far each key has signed on each chain
    Show {
        /// Only this key
        #[arg(long)]
        key: Option<String>,
        /// Only this chain
        #[arg(long, value_name = "CHAIN_ID")]
        chain: Option<String>,
    },
    /// Begin the sign state of a key on a chain where it has none
    Init {
        #[command(flatten)]
        row: Row,
        /// The key may serve several chains; each of them must say so
        #[arg(long)]
        shared: bool,
        /// Sign only heights greater than this
        #[arg(
            long,
            value_name = "HEIGHT",
            required_unless_present = "never_signed",
            conflicts_with = "never_signed"
        )]
        above: Option<i64>,
        /// You vouch that this key has never signed on this chain
        #[arg(long)]
        never_signed: bool,
    },
    /// Join another signer's last state into a key's state; the greater position wins. Stop that signer first, for ever
    Import {
        #[command(flatten)]
        row: Row,
        /// The state file: CometBFT's priv_validator_state.json, or tmkms's
        #[arg(long, value_name = "priv_validator_state.json")]
        file: PathBuf,
        /// Go on although a process that looks like that signer runs on this machine, or may run unseen
        #[arg(long)]
        ignore_running: bool,
    },
    /// Write a priv_validator_state.json, the way back to CometBFT's own signer. The key signs no more here
    Export {
        #[command(flatten)]
        row: Row,
        /// Where to write it
        #[arg(long, value_name = "priv_validator_state.json")]
        file: PathBuf,
        /// Give the key back too, as CometBFT's own signer wants it: only for a key that was imported, and stopped on all its chains
        #[arg(long, value_name = "priv_validator_key.json")]
        key_file: Option<PathBuf>,
        /// With --key-file: stop the key on its other chains too
        #[arg(long, requires = "key_file")]
        all_chains: bool,
        #[command(flatten)]
        given: Given,
    },
    /// Let a key sign up to a height that is far above its watermark: the chain really is there
    Allow {
        #[command(flatten)]
        row: Row,
        /// The last height to allow
        #[arg(
            long,
            value_name = "HEIGHT",
            required_unless_present = "withdraw",
            conflicts_with = "withdraw"
        )]
        until: Option<i64>,
        /// Take back what was allowed
        #[arg(long)]
        withdraw: bool,
        #[command(flatten)]
        given: Given,
    },
    /// Go on under the new id of a chain after a hard fork; the old id is closed for ever
    ///
    ///   sigward state rebind --key validator --chain my-chain-1 --to my-chain-2
    ///
    /// Begins the new id above what was signed for the old one. Then write the new id into the configuration and
    /// run `sigward reload`, or start sigward where it does not run. It cures a chain id that was mistyped at first, too.
    #[command(verbatim_doc_comment)]
    Rebind {
        #[command(flatten)]
        row: Row,
        /// The new chain id
        #[arg(long, value_name = "CHAIN_ID")]
        to: String,
        /// Sign only heights greater than this, too
        #[arg(long, value_name = "HEIGHT")]
        above: Option<i64>,
        #[command(flatten)]
        given: Given,
    },
    /// Open a state folder whose store or witness was lost or is behind: closes every height up to HEIGHT for every key
    Adopt {
        /// Sign only heights greater than this: take the highest that the chain has seen, and add a margin. HEIGHT for all
        /// chains, or CHAIN_ID=HEIGHT for each of them
        #[arg(long, value_name = "[CHAIN_ID=]HEIGHT", required = true)]
        above: Vec<String>,
    },
}

/// A key on a chain.
#[derive(Debug, clap::Args)]
pub(super) struct Row {
    /// The key's name
    #[arg(long)]
    key: String,
    /// The chain
    #[arg(long, value_name = "CHAIN_ID")]
    chain: String,
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Show { key, chain } => {
            let states = at_once(home, async |channel| {
                let request = ShowStateRequest {
                    key: key.unwrap_or_default(),
                    chain_id: chain.unwrap_or_default(),
                };
                let reply = StateServiceClient::new(channel.clone())
                    .show(request)
                    .await
                    .map_err(explain)?;
                let holds = HoldServiceClient::new(channel)
                    .list_holds(ListHoldsRequest {})
                    .await
                    .map_err(explain)?;
                Ok((reply.into_inner().states, holds.into_inner().holds))
            })?;
            let (states, holds) = states;
            show_all(&states, output);
            if !output.is_json() && !holds.is_empty() {
                super::hold::show(&holds, output);
            }
            Ok(())
        }
        Command::Init {
            row,
            shared,
            above,
            never_signed,
        } => {
            let beginning = match (above, never_signed) {
                (Some(height), false) => Beginning::Above(height),
                (None, true) => Beginning::NeverSigned(true),
                _ => anyhow::bail!("give exactly one of --above and --never-signed"),
            };
            let request = InitStateRequest {
                key: row.key,
                chain_id: row.chain,
                shared,
                beginning: Some(beginning),
            };
            let state = act(home, async |client| {
                Ok(client.init(request).await?.into_inner().state)
            })?;
            show(&state, output);
            Ok(())
        }
        Command::Import {
            row,
            file,
            ignore_running,
        } => {
            let state_json = read(&file)?;
            if !ignore_running {
                super::running::refuse(&[&file], Some(&state_json))?;
            }
            let request = ImportStateRequest {
                key: row.key,
                chain_id: row.chain,
                state_json,
            };
            let state = act(home, async |client| {
                Ok(client.import(request).await?.into_inner().state)
            })?;
            show(&state, output);
            Ok(())
        }
        Command::Export {
            row,
            file,
            key_file: None,
            all_chains: _,
            given,
        } => export(row, &file, &given, home, output),
        Command::Export {
            row,
            file,
            key_file: Some(key_file),
            all_chains,
            given,
        } => leave::run(row, (&file, &key_file), all_chains, &given, home, output),
        Command::Rebind {
            row,
            to,
            above,
            given,
        } => {
            let request = RebindStateRequest {
                key: row.key,
                chain_id: row.chain,
                new_chain_id: to,
                above,
            };
            let request = given.under(request, home)?;
            let state = act(home, async |client| {
                Ok(client.rebind(request).await?.into_inner().state)
            })?;
            show(&state, output);
            if !output.is_json() {
                output.line(format!(
                    "Now write id = \"{}\" into the chain's entry of the configuration, and run `sigward reload` (or start sigward, where it does not run); the key's name stays.",
                    state.chain_id
                ));
            }
            Ok(())
        }
        Command::Allow {
            row,
            until: None,
            withdraw: _,
            given: _,
        } => {
            let request = WithdrawAllowRequest {
                key: row.key,
                chain_id: row.chain,
            };
            let state = act(home, async |client| {
                Ok(client.withdraw_allow(request).await?.into_inner().state)
            })?;
            show(&state, output);
            Ok(())
        }
        Command::Allow {
            row,
            until: Some(until),
            given,
            ..
        } => {
            let request = AllowStateRequest {
                key: row.key,
                chain_id: row.chain,
                until,
            };
            let request = given.under(request, home)?;
            let state = act(home, async |client| {
                Ok(client.allow(request).await?.into_inner().state)
            })?;
            show(&state, output);
            Ok(())
        }
        Command::Adopt { above } => {
            remote::only_here("`state adopt`")?;
            let done = app::adopt_state(&config::load(home)?, &read_above(&above)?);
            let done = done.map_err(|error| match error.downcast_ref::<Refusal>() {
                Some(refusal) => RefusedByRule(refusal.to_string()).into(),
                None => error,
            })?;
            adopted(&done, output);
            Ok(())
        }
    }
}

/// An act on a row; each answers with the row as it is now.
fn act(
    home: &Path,
    call: impl AsyncFnOnce(&mut StateServiceClient<Channel>) -> Result<Option<SignState>, Status>,
) -> anyhow::Result<SignState> {
    with_services(home, async |channel| {
        let state = call(&mut StateServiceClient::new(channel))
            .await
            .map_err(explain)?;
        state.context("the service returned no state")
    })
}

fn read_above(words: &[String]) -> anyhow::Result<Above> {
    let height = |text: &str| -> anyhow::Result<Height> {
        Ok(Height::new(
            text.parse().with_context(|| format!("{text} is no height"))?,
        )?)
    };
    match words {
        [one] if !one.contains('=') => Ok(Above::Everywhere(height(one)?)),
        words => {
            let each = words.iter().map(|word| {
                let (chain, text) = word
                    .split_once('=')
                    .context("give one height for all, or CHAIN_ID=HEIGHT for each")?;
                Ok((ChainId::new(chain)?, height(text)?))
            });
            Ok(Above::PerChain(each.collect::<anyhow::Result<_>>()?))
        }
    }
}

fn adopted(adopted: &Adopted, output: &Output) {
    match adopted {
        Adopted::Closed { store, rows } => output.result(
            &json!({ "adopted": "closed", "store_id": store.to_string(), "rows": rows }),
            format!("Store {store} opens again; {rows} rows sign nothing at or below the heights given."),
        ),
        Adopted::Replaced { store, aside } => output.result(
            &json!({ "adopted": "replaced", "store_id": store.to_string(), "aside": aside }),
            format!(
                "The store was lost: {store} is new and empty, what was left is in {}.\nNow for each key: sigward keys adopt NAME --above HEIGHT",
                aside.display()
            ),
        ),
    }
}

/// The file is made before the key is stopped: a path that cannot be written must not cost the key.
fn export(row: Row, file: &Path, given: &Given, home: &Path, output: &Output) -> anyhow::Result<()> {
    let request = ExportStateRequest {
        key: row.key,
        chain_id: row.chain,
    };
    let request = given.under(request, home)?;
    let mut out = out_file::create(file, 0o666)?;
    let exported = with_services(home, async |channel| {
        let reply = StateServiceClient::new(channel)
            .export(request)
            .await
            .map_err(explain)?;
        Ok(reply.into_inner())
    });
    let exported = match exported {
        Ok(exported) => exported,
        Err(error) => {
            // Nothing was written into it yet.
            let _kept = std::fs::remove_file(file);
            return Err(error);
        }
    };
    std::io::Write::write_all(&mut out, &exported.state_json)
        .and_then(|()| out.sync_all())
        .with_context(|| {
            format!(
                "cannot write {}; run the command again with another path, the state is kept",
                file.display()
            )
        })?;
    let value = json!({ "file": file, "state": exported.state.as_ref().map(describe) });
    output.result(
        &value,
        format!(
            "Wrote {}. The key signs no more here; `sigward state import` with a newer state brings it back.",
            file.display()
        ),
    );
    Ok(())
}

fn show_all(states: &[SignState], output: &Output) {
    if output.is_json() {
        output.line(Value::Array(states.iter().map(describe).collect()));
        return;
    }
    if states.is_empty() {
        output
            .line("There is no sign state that you may see. One begins when a chain of the configuration names its key.");
    }
    for state in states {
        output.line(line(state));
    }
}

fn show(state: &SignState, output: &Output) {
    output.result(&describe(state), line(state));
}

fn line(state: &SignState) -> String {
    let mark = match state.kind() {
        SignStateKind::Fresh => "fresh: has signed nothing yet".to_owned(),
        SignStateKind::Closed => format!("closed up to height {}", state.height),
        SignStateKind::Signed => {
            format!(
                "signed height {} round {} {}",
                state.height,
                state.round,
                step(state.step)
            )
        }
        SignStateKind::Exported => format!("moved out at height {}: signs no more here", state.height),
        SignStateKind::Unspecified => "unknown".to_owned(),
    };
    let allowed = state
        .allow_until
        .map(|until| format!(", allowed until {until}"))
        .unwrap_or_default();
    format!("{:20} {:24} {mark}{allowed}", state.key, state.chain_id)
}

fn describe(state: &SignState) -> Value {
    json!({
        "key": state.key,
        "public_key_hex": hex::encode(&state.public_key),
        "chain_id": state.chain_id,
        "kind": match state.kind() {
            SignStateKind::Fresh => "fresh",
            SignStateKind::Closed => "closed",
            SignStateKind::Signed => "signed",
            SignStateKind::Exported => "exported",
            SignStateKind::Unspecified => "unknown",
        },
        "height": state.height,
        "round": state.round,
        "step": state.step,
        "last_signed_at": state.last_signed_at.as_ref().map(super::audit::rfc3339),
        "allow_until": state.allow_until,
        "block_hash": hex::encode_upper(&state.block_hash),
        "sign_bytes_sha256": hex::encode(&state.sign_bytes_sha256),
        "shared": state.shared,
    })
}

const fn step(step: i32) -> &'static str {
    match step {
        1 => "proposal",
        2 => "prevote",
        3 => "precommit",
        _ => "",
    }
}
