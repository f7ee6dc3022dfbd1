//! Asking the chain how far a key has signed: a state file can be an old copy, the chain is none.

use std::fmt;

use serde_json::{Value, json};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::Address;

use crate::app::import::{Import, MovingChain, MovingKey};
use crate::chain::cometbft::{Client, Commit, NodeStatus, RpcCode};

/// How many blocks back from the latest are looked at.
const LOOK_BACK: u64 = 20;

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
    /// Our voting power, and that of all.
    pub(super) power: Option<(u64, u64)>,
    /// Seconds between the blocks that were looked at.
    pub(super) interval: Option<f64>,
    looked_at: u64,
}

/// Asks every node.
pub(super) async fn all(import: &Import, clients: &[Client]) -> anyhow::Result<Checked> {
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
        let report = look(client, key, chain, status).await?;
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
) -> anyhow::Result<Report> {
    let latest = status.latest_height;
    let first = latest
        .saturating_sub(LOOK_BACK)
        .max(status.earliest_height)
        .max(1);
    let mut seen = None;
    let mut times = Vec::new();
    let mut looked_at = 0;
    for height in first..=latest {
        let commit = match client.commit(Some(height)).await {
            Ok(commit) => commit,
            // Pruned meanwhile.
            Err(error) if error.code == RpcCode::NodeError && height < latest => continue,
            Err(error) => return Err(error.into()),
        };
        looked_at += 1;
        times.push(commit.time);
        seen = seen.max(ours(&commit, &key.address));
    }
    let power = match client.validators(Some(latest.max(1))).await {
        Ok(set) => set
            .find(&key.address)
            .map(|validator| (validator.voting_power, set.total_power())),
        Err(error) if error.code == RpcCode::NodeError => None,
        Err(error) => return Err(error.into()),
    };
    let interval = match (times.first(), times.last()) {
        (Some(first), Some(last)) if times.len() > 1 => {
            Some(last.duration_since(*first).as_secs_f64() / (times.len() - 1) as f64)
        }
        _ => None,
    };
    Ok(Report {
        url: client.url().to_owned(),
        chain: chain.id.as_str().to_owned(),
        address: key.address,
        status,
        seen,
        power,
        interval,
        looked_at,
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
        Beginning::Above(height) => i128::from(seen.height) > i128::from(height.value()),
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

impl Report {
    /// Whether the chain cannot go on without this key (CometBFT needs more than two thirds).
    pub(super) fn decisive(&self) -> bool {
        self.power
            .is_some_and(|(own, all)| u128::from(own) * 3 >= u128::from(all))
    }

    /// For scripts.
    pub(super) fn value(&self) -> Value {
        json!({
            "rpc": self.url,
            "chain": self.chain,
            "latest_height": self.status.latest_height,
            "blocks_looked_at": self.looked_at,
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
