//! Watching new blocks for a signature of our key while nothing here signs: if one comes, another signer is alive.
//!
//! A signer that has stopped may still appear in the block that was being made when it did, and in every block up to where its
//! state ends. So the blocks that are counted begin above both: in one of those any signature of the key is evidence, also where
//! the operator has closed the height (`--above` says what may be signed here, not what was signed there).

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sigward_policies::decision::{Refusal, RefusalCode};

use super::chain_check::{Report, Seen, is_above, ours};
use crate::app::import::Import;
use crate::chain::cometbft::{Client, RpcCode};
use crate::cli::output::Output;

/// How often the node is asked for its height.
const TICK: Duration = Duration::from_millis(300);
/// How long a chain may stand still at least.
const PATIENCE: Duration = Duration::from_secs(30);
/// How far a state can be above a node that lags, and still be of its chain.
const MOST_AHEAD: u64 = 1_000;

/// Watches `count` new blocks. A notice, if there is something to say; a refusal if somebody signs.
pub(super) async fn blocks(
    import: &Import,
    client: &Client,
    report: &Report,
    count: u64,
    limit: Option<Duration>,
    output: &Output,
) -> anyhow::Result<Option<String>> {
    let Some((_, chain)) = import
        .chains()
        .find(|(_, chain)| chain.id.as_str() == report.chain)
    else {
        return Ok(None);
    };
    let limit = limit.unwrap_or_else(|| {
        let ten = report
            .interval
            .map_or(0.0, |seconds| (seconds * 10.0).clamp(0.0, 3600.0));
        PATIENCE.max(Duration::from_secs_f64(ten))
    });
    let bar = bar(count, &report.chain, output);
    let start = client.status().await?.latest_height;
    let stated = u64::try_from(chain.stated_height).unwrap_or(0);
    anyhow::ensure!(
        stated <= start.saturating_add(MOST_AHEAD),
        "{}: the state ends at height {stated}, and {} is at {start}: a node that is far behind, or the state of another chain",
        chain.id,
        report.url
    );
    // The last height in which a signer that has stopped can have signed.
    let over = stated.max(start.saturating_add(1));
    // And one block more: only that one tells who signed the last of them in time.
    let end = over.saturating_add(count).saturating_add(1);
    let (mut last, mut since) = (start, Instant::now());
    loop {
        let latest = client.status().await?.latest_height.min(end);
        let mut reached = last;
        // The block before a new one is asked for again: its commit is now the one that the chain keeps, with all who signed in time.
        for height in last.max(start.saturating_add(1))..=latest {
            let commit = match client.commit(Some(height)).await {
                Ok(commit) => commit,
                // Not there yet: a block that nobody looked at does not count.
                Err(error) if error.code == RpcCode::NodeError => break,
                Err(error) => return Err(error.into()),
            };
            reached = reached.max(height);
            let seen = ours(&commit, &report.address);
            let news = |seen: &Seen| {
                height > over
                    || (is_above(*seen, &chain.beginning) && report.seen.is_none_or(|before| *seen > before))
            };
            if let Some(seen) = seen.filter(news) {
                bar.abandon();
                let when = commit
                    .signed_by(&report.address)
                    .and_then(|part| part.timestamp)
                    .map_or_else(String::new, |time| format!(", signed {time}"));
                return Err(Refusal::new(
                    RefusalCode::AnotherSignerIsSigning,
                    format!(
                        "{}: block {}, made while this was watching, has a precommit of this key (round {}{when}; {}): another signer is alive. \
                         Find it and stop it, then begin again with its newest state",
                        chain.id, seen.height, seen.round, report.url
                    ),
                )
                .into());
            }
        }
        if reached > last {
            (last, since) = (reached, Instant::now());
            bar.set_position(last.saturating_sub(over).min(count));
        }
        if last >= end {
            bar.finish_and_clear();
            return Ok(Some(none_signed(report, count)));
        }
        if since.elapsed() >= limit {
            bar.finish_and_clear();
            return stands_still(report, last - start, since.elapsed()).map(Some);
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Blocks came without the key. That says something only of a key that could have signed them.
fn none_signed(report: &Report, count: u64) -> String {
    if report.power.is_some() {
        format!(
            "{}: {count} new block(s), none with a signature of this key: nobody else signs with it",
            report.chain
        )
    } else {
        format!(
            "{}: {count} new block(s) without a signature of this key, which proves nothing: it is not in the validator set",
            report.chain
        )
    }
}

/// No block came. Where the chain cannot go on without this key, that is the proof that nobody signs with it.
fn stands_still(report: &Report, blocks: u64, silent: Duration) -> anyhow::Result<String> {
    let seconds = silent.as_secs();
    anyhow::ensure!(
        report.decisive(),
        "{}: no block for {seconds} s after {blocks} new one(s), although the chain does not need this key: find out why before you move",
        report.chain
    );
    Ok(format!(
        "{}: no block came for {seconds} s: the chain halts without this key, so nobody signs with it",
        report.chain
    ))
}

fn bar(count: u64, chain: &str, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count);
    if let Ok(style) =
        ProgressStyle::with_template("{prefix}  watching for another signer  [{bar:20}] {pos}/{len} blocks")
    {
        bar.set_style(style);
    }
    bar.set_prefix(chain.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
