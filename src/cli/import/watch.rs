//! Watching new blocks for a signature of our key while nothing here signs: if one comes, another signer is alive.
//!
//! A signer that has stopped may still appear in the block that was being made when it did, and in every block up to where its
//! state ends. So the blocks that are counted begin above both: in one of those any signature of the key is evidence, also where
//! the operator has closed the height (`--above` says what may be signed here, not what was signed there).
//!
//! A chain that makes no block shows nothing. Only where the key alone makes blocks (more than two thirds of the power) does its
//! standing still prove that nobody signs with it.

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

/// How long to watch, and what counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// How many blocks.
    pub(super) blocks: u64,
    /// How long the chain may stand still; ten block intervals where nothing is said.
    pub(super) limit: Option<Duration>,
    /// What a chain that stands still is taken for.
    pub(super) standstill: Standstill,
}

/// What a chain that stands still is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standstill {
    /// Nothing, unless the key alone makes blocks.
    ProvesLittle,
    /// The operator knows why, and vouches that nobody signs.
    Accepted,
}

/// What a watch came to.
pub(super) struct Watched {
    /// What to say.
    pub(super) notice: String,
    /// Whether it says that nobody signs with the key.
    pub(super) proof: bool,
}

/// Watches new blocks; a refusal if somebody signs.
pub(super) async fn blocks(
    import: &Import,
    client: &Client,
    report: &Report,
    watch: Watch,
    output: &Output,
) -> anyhow::Result<Option<Watched>> {
    let count = watch.blocks;
    let Some((_, chain)) = import
        .chains()
        .find(|(_, chain)| chain.id.as_str() == report.chain)
    else {
        return Ok(None);
    };
    let limit = watch.limit.unwrap_or_else(|| {
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
    // However slowly the node answers: as if each block had taken all the time that it may.
    let begun = Instant::now();
    let whole = limit.saturating_mul(u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX));
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
            return Ok(Some(stands_still(
                report,
                last - start,
                since.elapsed(),
                watch.standstill,
            )?));
        }
        anyhow::ensure!(
            begun.elapsed() < whole,
            "{}: {} answers too slowly to watch {count} block(s): {} s are over; ask another node",
            report.chain,
            report.url,
            whole.as_secs()
        );
        tokio::time::sleep(TICK).await;
    }
}

/// Blocks came without the key. That says something only of a key that could have signed them.
fn none_signed(report: &Report, count: u64) -> Watched {
    if report.power.is_some() {
        Watched {
            notice: format!(
                "{}: {count} new block(s), none with a signature of this key: nobody else signs with it",
                report.chain
            ),
            proof: true,
        }
    } else {
        Watched {
            notice: format!(
                "{}: {count} new block(s) without a signature of this key, which proves nothing: it is not in the validator set",
                report.chain
            ),
            proof: false,
        }
    }
}

/// No block came. Where this key alone makes blocks, that is the proof that nobody signs with it.
fn stands_still(
    report: &Report,
    blocks: u64,
    silent: Duration,
    standstill: Standstill,
) -> Result<Watched, Refusal> {
    let (seconds, chain) = (silent.as_secs(), &report.chain);
    let notice = if report.makes_blocks_alone() {
        format!(
            "{chain}: no block came for {seconds} s: the chain halts without this key, so nobody signs with it"
        )
    } else if standstill == Standstill::Accepted {
        format!(
            "{chain}: no block came for {seconds} s, and it is your word that nobody signs (--accept-standstill)"
        )
    } else {
        let share = match report.power {
            Some((own, all)) => format!("has {own} of {all} of the voting power"),
            None => "is not in the validator set".to_owned(),
        };
        return Err(Refusal::new(
            RefusalCode::ChainStandsStill,
            format!(
                "{chain}: no block for {seconds} s after {blocks} new one(s), which does not prove that nobody signs: this key {share}, and \
                 whoever else is down explains it as well ({}). Find out why it halts and watch again when it makes blocks; \
                 --accept-standstill if you know that, and that no other signer has the key",
                report.url
            ),
        ));
    };
    Ok(Watched { notice, proof: true })
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
