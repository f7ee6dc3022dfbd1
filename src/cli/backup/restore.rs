//! `sigward keys restore`: keys out of a bundle, with a height for every chain.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sigward_hsm::backup::{self, Bundle};
use sigward_proto::v1::{ChainHeight, RestoreKeysRequest};

use super::unlock::{Opening, data_key};
use super::{arena, explain, make};
use crate::cli::client::{explain as explain_status, with_services};
use crate::cli::output::Output;
use crate::cli::remote;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sigward keys restore all.backup --key validator --above 1234567
  sigward keys restore all.backup --key a --key b --above chain-a-1=1234567 --above chain-b-4=890123

The height must be above everything that the key has ever signed on the chain, wherever: take the height of the chain now, and add
a margin. A margin costs a few missed blocks, a height too low costs the stake. No other signer may have the key and run.")]
pub(in crate::cli) struct Restore {
    /// The backup
    file: PathBuf,
    /// A key to restore, by its name in the backup; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    key: Vec<String>,
    /// Sign only heights greater than this: HEIGHT for all chains, or CHAIN_ID=HEIGHT for each of them
    #[arg(long, value_name = "[CHAIN_ID=]HEIGHT", required = true)]
    above: Vec<String>,
    #[command(flatten)]
    opening: Opening,
}

pub(in crate::cli) fn restore(
    args: Restore,
    home: &Path,
    output: &Output,
) -> anyhow::Result<Vec<sigward_proto::v1::Key>> {
    remote::only_here("`keys restore`")?;
    let (above, above_on) = heights(&args.above)?;
    let arena = arena(Some(home))?;
    let bundle = backup::read(&args.file).map_err(explain)?;
    let parsed = Bundle::parse(&bundle).map_err(explain)?;
    let data_key = data_key(&arena, &parsed.unchecked_manifest().lock, &args.opening, output)?;
    // Before anything is asked of the service: a wrong passphrase is told here.
    parsed.verify(&arena, &data_key).map_err(explain)?;
    let request = RestoreKeysRequest {
        bundle,
        data_key: data_key.dangerous_copy(),
        names: args.key,
        above,
        above_on,
    };
    drop(data_key);
    with_services(home, async |channel| {
        let reply = make::client(channel)
            .restore(request)
            .await
            .map_err(explain_status)?;
        Ok(reply.into_inner().keys)
    })
}

/// One height for all, or one for each chain.
fn heights(words: &[String]) -> anyhow::Result<(Option<i64>, Vec<ChainHeight>)> {
    let height =
        |text: &str| -> anyhow::Result<i64> { text.parse().with_context(|| format!("{text} is no height")) };
    let (mut everywhere, mut on) = (None, Vec::new());
    for word in words {
        match word.rsplit_once('=') {
            None if everywhere.is_none() => everywhere = Some(height(word)?),
            None => anyhow::bail!("give one height for all chains, and CHAIN_ID=HEIGHT for others"),
            Some((chain, _)) if on.iter().any(|known: &ChainHeight| known.chain_id == chain) => {
                anyhow::bail!("{chain} has two heights")
            }
            Some((chain, text)) => on.push(ChainHeight {
                chain_id: chain.to_owned(),
                height: height(text)?,
            }),
        }
    }
    Ok((everywhere, on))
}

/// What to do next, for people.
pub(in crate::cli) fn next(keys: &[sigward_proto::v1::Key]) -> String {
    let without: Vec<_> = keys
        .iter()
        .filter(|key| key.chains.is_empty())
        .map(|key| key.name.as_str())
        .collect();
    let mut text =
        "\nNo other signer may ever use these keys again. A running `serve` uses them after a restart."
            .to_owned();
    if !without.is_empty() {
        text += &format!(
            "\nNo chain is known of {}: name it in the configuration, then `sigward state init --key NAME --chain CHAIN_ID --above HEIGHT`.",
            without.join(", ")
        );
    }
    text
}

/// For scripts.
pub(in crate::cli) fn describe(keys: Vec<Value>) -> Value {
    json!({ "restored": keys })
}
