//! Looking through a chain's blocks, from the latest down, for the last signature of a key.
//!
//! Several blocks are asked for at once, because over a network it is the way there and back that takes the time. The time has a
//! bound, and what was not looked at is said: it proves nothing.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use sigward_policies::model::algorithm::Address;
use tokio::task::JoinSet;

use super::chain_check::{Seen, ours};
use crate::chain::cometbft::{Client, Commit, RpcCode, RpcError};
use crate::cli::output::Output;

/// How many blocks are asked for at once.
const AT_ONCE: u64 = 8;

/// What to look through.
pub(super) struct Scan<'a> {
    pub(super) client: &'a Client,
    pub(super) address: &'a Address,
    pub(super) chain: &'a str,
    /// Where to begin.
    pub(super) latest: u64,
    /// How far down the key's signatures are known.
    pub(super) known: u64,
    /// How many blocks are looked at where `known` is higher.
    pub(super) at_least: u64,
    /// When to give up.
    pub(super) end: Instant,
}

/// What was found.
pub(super) struct Found {
    /// The last signature of the key.
    pub(super) seen: Option<Seen>,
    /// Seconds between the blocks that were looked at.
    pub(super) interval: Option<f64>,
    /// How many were.
    pub(super) looked_at: u64,
    /// How far down.
    pub(super) reach: Reach,
}

/// How far a look came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// To a signature of the key, or to where its signatures are known.
    Whole,
    /// The node has no block below this one.
    Pruned { lowest: u64 },
    /// The time was up; this is the lowest that was looked at.
    OutOfTime { lowest: u64 },
}

impl Scan<'_> {
    pub(super) async fn run(&self, output: &Output) -> anyhow::Result<Found> {
        let bottom = self.known.min(self.latest.saturating_sub(self.at_least)).max(1);
        let bar = self.bar(bottom, output);
        let (mut seen, mut looked_at) = (None, 0);
        let mut times: Option<(Timestamp, Timestamp)> = None;
        // The lowest block that was looked at.
        let mut lowest = self.latest.saturating_add(1);
        let reach = loop {
            if seen.is_some() || lowest <= bottom {
                break Reach::Whole;
            }
            if Instant::now() >= self.end {
                break self.short(Reach::OutOfTime { lowest }, lowest);
            }
            let first = lowest.saturating_sub(AT_ONCE).max(bottom);
            let mut pruned = false;
            for (height, answer) in self.chunk(first, lowest).await {
                match answer {
                    Ok(commit) => {
                        looked_at += 1;
                        lowest = height;
                        let newest = times.map_or(commit.time, |(_, newest)| newest);
                        times = Some((commit.time, newest));
                        seen = seen.max(ours(&commit, self.address));
                    }
                    // What is not there cannot be looked at, nor what lies below it.
                    Err(error) if error.code == RpcCode::NodeError && height < self.latest => {
                        pruned = true;
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            bar.set_position(self.latest.saturating_add(1).saturating_sub(lowest));
            if pruned && seen.is_none() {
                break self.short(Reach::Pruned { lowest }, lowest);
            }
        };
        bar.finish_and_clear();
        let interval = times
            .filter(|_| looked_at > 1)
            .map(|(oldest, newest)| newest.duration_since(oldest).as_secs_f64() / (looked_at - 1) as f64);
        Ok(Found {
            seen,
            interval,
            looked_at,
            reach,
        })
    }

    /// `reach`, unless all that matters was looked at.
    fn short(&self, reach: Reach, lowest: u64) -> Reach {
        if lowest <= self.known { Reach::Whole } else { reach }
    }

    /// The blocks from `first` to below `end`, the highest first.
    async fn chunk(&self, first: u64, end: u64) -> Vec<(u64, Result<Commit, RpcError>)> {
        let mut asked = JoinSet::new();
        for height in first..end {
            let client = self.client.clone();
            asked.spawn(async move { (height, client.commit(Some(height)).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(height, _)| std::cmp::Reverse(*height));
        answers
    }

    fn bar(&self, bottom: u64, output: &Output) -> ProgressBar {
        if output.is_json() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(self.latest.saturating_sub(bottom).saturating_add(1));
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix}  looking through the chain for its last signature  [{bar:20}] {pos}/{len} blocks, {eta} at most",
        ) {
            bar.set_style(style);
        }
        bar.set_prefix(self.chain.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }
}
