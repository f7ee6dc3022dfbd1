//! Asking the chain how far a key has signed: a state file can be an old copy, the chain is none.
//!
//! Blocks are looked through from the latest down to where the state ends, or to the first signature of the key, which is its last.
//! A signer may have been stopped for weeks: a look at the last blocks only would miss what an old copy does not know of.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::Address;

use super::scan::{Reach, Scan};
use crate::app::import::{Import, MovingChain, MovingKey};
use crate::chain::cometbft::{Client, Commit, NodeStatus, RpcCode};
use crate::cli::output::Output;

/// How many blocks back from the latest are looked at in any case, to know how fast they come.
const LOOK_BACK: u64 = 20;
/// How long the set of validators may take at least.
const FOR_THE_SET: Duration = Duration::from_secs(60);

/// What all nodes that were asked know.
#[derive(Default)]
pub(super) struct Checked {
    /// One a node.
    pub(super) reports: Vec<Report>,
    /// What refuses the move.
    pub(super) problems: Vec<Refusal>,
    /// What should be heard.
    pub(super) notices: Vec<String>,
}

/// A place in the chain that a precommit was for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Seen {
    pub(super) height: u64,
    pub(super) round: u32,
}

/// What one node knows of one chain of the move.
pub(super) struct Report {
    pub(super) url: String,
    pub(super) chain: String,
    pub(super) address: Address,
    pub(super) status: NodeStatus,
    /// The greatest signature of ours that was seen.
    pub(super) seen: Option<Seen>,
    /// Our voting power, and that of all; `None` when the key is not in the set.
    pub(super) power: Option<(u64, u64)>,
    /// Seconds between the blocks that were looked at.
    pub(super) interval: Option<f64>,
    looked_at: u64,
    reach: Reach,
}

/// Asks every node, each for `limit` at most.
pub(super) async fn all(
    import: &Import,
    clients: &[Client],
    limit: Duration,
    output: &Output,
) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    for client in clients {
        let status = client.status().await?;
        let found = import.chains().find(|(_, chain)| chain.id == status.chain_id);
        let Some((key, chain)) = found else {
            return Err(Refusal::new(
                RefusalCode::ChainIdMismatch,
                format!(
                    "{} is a node of {}, and no such chain moves; the chain ids of the files: {}",
                    client.url(),
                    status.chain_id,
                    import
                        .chains()
                        .map(|(_, chain)| chain.id.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            )
            .into());
        };
        anyhow::ensure!(
            !status.catching_up,
            "{} is still catching up and knows less than the chain: wait, or ask another node",
            client.url()
        );
        let end = Instant::now() + limit;
        let looked = look(client, key, chain, status, end, output);
        // And for the set of validators, page by page.
        let whole = limit + limit.max(FOR_THE_SET);
        let report = tokio::time::timeout(whole, looked).await.map_err(|_| {
            anyhow::anyhow!(
                "{} answers too slowly: not done after {} s; ask another node, or give it longer with --rpc-limit",
                client.url(),
                whole.as_secs()
            )
        })??;
        if let Some(seen) = report.seen.filter(|seen| is_above(*seen, &chain.beginning)) {
            checked.problems.push(behind(&report, seen, chain));
        }
        if report.power.is_none() {
            checked.notices.push(format!(
                "{}: this key is not in the validator set now (jailed, not bonded yet, or another key is the validator's)",
                chain.id
            ));
        }
        checked.reports.push(report);
    }
    for (_, chain) in import.chains() {
        let of_it = || {
            checked
                .reports
                .iter()
                .filter(|report| report.chain == chain.id.as_str())
        };
        // One node that has them all is enough.
        let short = of_it().all(|report| report.reach != Reach::Whole);
        if let (true, Some(report)) = (short, of_it().next()) {
            checked.problems.push(not_compared(report, chain));
        }
        if !clients.is_empty()
            && !checked
                .reports
                .iter()
                .any(|report| report.chain == chain.id.as_str())
        {
            checked.notices.push(format!(
                "{}: not compared with the chain; no --rpc is a node of it",
                chain.id
            ));
        }
    }
    if clients.is_empty() {
        checked.notices.push(
            "Not compared with the chain. --rpc URL of a node does it: an old copy of a state file looks like a good one."
                .to_owned(),
        );
    }
    Ok(checked)
}

async fn look(
    client: &Client,
    key: &MovingKey,
    chain: &MovingChain,
    status: NodeStatus,
    end: Instant,
    output: &Output,
) -> anyhow::Result<Report> {
    let latest = status.latest_height;
    let scan = Scan {
        client,
        address: &key.address,
        chain: chain.id.as_str(),
        latest,
        // The height itself too: within it a later round, or a precommit, can be above what is known.
        known: u64::try_from(super::height_of(&chain.beginning)).unwrap_or(0),
        at_least: LOOK_BACK,
        end,
    };
    let found = scan.run(output).await?;
    let power = match client.validators(Some(latest.max(1))).await {
        Ok(set) => set
            .find(&key.address)
            .map(|validator| (validator.voting_power, set.total_power())),
        Err(error) if error.code == RpcCode::NodeError => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Report {
        url: client.url().to_owned(),
        chain: chain.id.as_str().to_owned(),
        address: key.address,
        status,
        seen: found.seen,
        power,
        interval: found.interval,
        looked_at: found.looked_at,
        reach: found.reach,
    })
}

/// Our precommit in this commit, for the block or for nil.
pub(super) fn ours(commit: &Commit, address: &Address) -> Option<Seen> {
    commit.signed_by(address).map(|_| Seen {
        height: commit.height,
        round: commit.round,
    })
}

/// Whether a precommit there is beyond what `beginning` knows of.
pub(super) fn is_above(seen: Seen, beginning: &Beginning) -> bool {
    match beginning {
        Beginning::NeverSigned => true,
        Beginning::Above(height) | Beginning::Unproven(height) => {
            i128::from(seen.height) > i128::from(height.value())
        }
        Beginning::State(last) => {
            use sigward_policies::model::payload::Step;
            let known = (
                i128::from(last.position.height.value()),
                i128::from(last.position.round.value()),
            );
            let there = (i128::from(seen.height), i128::from(seen.round));
            there > known || (there == known && last.position.step != Step::Precommit)
        }
    }
}

fn behind(report: &Report, seen: Seen, chain: &MovingChain) -> Refusal {
    Refusal::new(
        RefusalCode::WatermarkBehindChain,
        format!(
            "{}: the chain has a precommit of this key at height {}, round {} ({}), and what would be imported ends at {} ({}): an old copy, or the signer still runs. \
             Take the state file again once it is stopped; if it is lost, close every height that it can have signed: --above {}={}",
            chain.id,
            seen.height,
            seen.round,
            report.url,
            super::watermark(&chain.beginning),
            chain.said_by,
            chain.id,
            report.status.latest_height.saturating_add(10)
        ),
    )
}

fn not_compared(report: &Report, chain: &MovingChain) -> Refusal {
    let why = match &report.reach {
        Reach::Whole => String::new(),
        Reach::Pruned { lowest } => format!("{} has no block below {lowest}", report.url),
        Reach::OutOfTime { lowest } => format!(
            "{} was asked for as long as --rpc-limit says, and came down to {lowest}",
            report.url
        ),
    };
    Refusal::new(
        RefusalCode::ChainNotCompared,
        format!(
            "{}: the state that would be imported is {} ({}), {why}, and no signature of this key was seen: whether it signed in between nobody \
             knows. Ask a node that has the blocks, or close every height that it can have signed: --above {}={}",
            chain.id,
            super::watermark(&chain.beginning),
            chain.said_by,
            chain.id,
            report.status.latest_height.saturating_add(10)
        ),
    )
}

impl Report {
    /// Whether blocks come whenever this key signs, whoever else is down: it has more than two thirds of the power by itself
    /// (CometBFT's quorum). Only then a chain that stands still says that nobody signs with it. With less, it can also be that
    /// others are down, and the key signs on.
    pub(super) fn makes_blocks_alone(&self) -> bool {
        self.power
            .is_some_and(|(own, all)| u128::from(own) * 3 > u128::from(all) * 2)
    }

    /// For scripts.
    pub(super) fn value(&self) -> Value {
        json!({
            "rpc": self.url,
            "chain": self.chain,
            "latest_height": self.status.latest_height,
            "blocks_looked_at": self.looked_at,
            "compared": self.reach == Reach::Whole,
            "last_signature_seen": self.seen.map(|seen| seen.height),
            "in_validator_set": self.power.is_some(),
            "voting_power": self.power.map(|(own, _)| own),
            "total_voting_power": self.power.map(|(_, all)| all),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  asked {} (CometBFT {}): height {}; ",
            self.chain, self.url, self.status.version, self.status.latest_height
        )?;
        match self.seen {
            Some(seen) => write!(f, "last signature of this key seen at {}", seen.height)?,
            None => write!(
                f,
                "no signature of this key in the last {} blocks",
                self.looked_at
            )?,
        }
        match self.power {
            Some((own, all)) => write!(f, "; voting power {own} of {all}"),
            None => write!(f, "; not in the validator set"),
        }
    }
}
