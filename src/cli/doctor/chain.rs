//! What a chain says through a node's RPC, compared with what is known here: the right chain, the right key, in the set, at the
//! right height, and signed by nobody else.
//!
//! The chain is asked before our own state is read. A daemon that signs meanwhile is then ahead of the commits that are looked at,
//! never behind: a signature of our key above our watermark is somebody else's.

mod gather;

use std::time::Duration;

use sigward_policies::double_sign::Limits;
use sigward_policies::model::algorithm::{Address, Algorithm, PublicKey};
use sigward_proto::v1::{Key, SignState, SignStateKind};

use super::finding::{Check, Finding};
use crate::chain::cometbft::{Client, Commit, NodeStatus, ValidatorSet};
pub(super) use gather::{beside_ours, gather, not_asked};

/// How long one answer may take, and all of one node together.
const ANSWER: Duration = Duration::from_secs(4);
const ALL: Duration = Duration::from_secs(12);
/// Commits that are looked at for signatures that are not ours.
const COMMITS: u64 = 5;
/// Heights that a signer who signs is behind the chain at most, and ahead.
const NEAR: i64 = 10;
const AHEAD: i64 = 2;

/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) chain: String,
    /// The node of the configuration that it is; `None` for one of `--rpc`, which may be anybody's.
    pub(super) node: Option<String>,
    pub(super) url: String,
}

/// What it said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answers {
    pub(super) status: NodeStatus,
    pub(super) validators: Result<ValidatorSet, String>,
    pub(super) commits: Result<Vec<Commit>, String>,
}

/// Our key on the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ours {
    pub(super) name: String,
    pub(super) public_key: PublicKey,
    pub(super) address: Address,
    /// Kind, height, until where it may jump, seconds since the last signature.
    pub(super) row: Option<Row>,
}

/// The row of the guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) kind: SignStateKind,
    pub(super) height: i64,
    pub(super) allow_until: i64,
    pub(super) idle: i64,
}

/// What was gathered.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) question: Question,
    pub(super) answers: Result<Answers, String>,
    pub(super) ours: Option<Ours>,
    pub(super) limits: Limits,
}

/// Asks all, at once.
async fn ask(questions: Vec<Question>) -> Vec<(Question, Result<Answers, String>)> {
    let mut tasks = tokio::task::JoinSet::new();
    for (index, question) in questions.into_iter().enumerate() {
        tasks.spawn(async move {
            let answers = tokio::time::timeout(ALL, ask_one(&question.url)).await;
            let late = || Err(format!("{}: not done within {} s", question.url, ALL.as_secs()));
            (index, answers.unwrap_or_else(|_| late()), question)
        });
    }
    let mut all: Vec<_> = tasks.join_all().await;
    all.sort_by_key(|(index, ..)| *index);
    all.into_iter()
        .map(|(_, answers, question)| (question, answers))
        .collect()
}

async fn ask_one(url: &str) -> Result<Answers, String> {
    let client = Client::new(url)
        .map_err(|error| error.to_string())?
        .with_timeout(ANSWER);
    let status = client.status().await.map_err(|error| error.to_string())?;
    let validators = client.validators(None).await.map_err(|error| error.to_string());
    let mut commits = Ok(Vec::new());
    let first = status
        .latest_height
        .saturating_sub(COMMITS - 1)
        .max(status.earliest_height)
        .max(1);
    for height in first..=status.latest_height {
        match client.commit(Some(height)).await {
            Ok(commit) => {
                if let Ok(commits) = &mut commits {
                    commits.push(commit);
                }
            }
            Err(error) => {
                // One is enough to see a stranger sign.
                if commits.as_ref().is_ok_and(Vec::is_empty) {
                    commits = Err(error.to_string());
                }
                break;
            }
        }
    }
    Ok(Answers {
        status,
        validators,
        commits,
    })
}

/// Where our own state, read later, is above what the chain said, the chain has gone on meanwhile, or is another one: asks again.
async fn ask_again(facts: &mut [Facts]) {
    for facts in facts.iter_mut() {
        let Ok(answers) = &mut facts.answers else { continue };
        let here = facts
            .ours
            .as_ref()
            .and_then(|ours| ours.row)
            .map_or(0, |row| row.height);
        if here.saturating_sub(height(&answers.status)) <= AHEAD {
            continue;
        }
        if let Ok(client) = Client::new(&facts.question.url)
            && let Ok(status) = client.with_timeout(ANSWER).status().await
        {
            answers.status = status;
        }
    }
}

fn height(status: &NodeStatus) -> i64 {
    i64::try_from(status.latest_height).unwrap_or(i64::MAX)
}

/// Our key, from what the admin services say.
fn ours(key: &Key, row: Option<&SignState>, now: i64) -> Option<Ours> {
    let algorithm = Algorithm::parse(&key.algorithm).ok()?;
    Some(Ours {
        name: key.name.clone(),
        public_key: PublicKey::new(algorithm, &key.public_key).ok()?,
        address: Address(key.address.as_slice().try_into().ok()?),
        row: row.map(|row| Row {
            kind: row.kind(),
            height: row.height,
            allow_until: row.allow_until.unwrap_or(0),
            idle: row
                .last_signed_at
                .as_ref()
                .map_or(0, |at| now.saturating_sub(at.seconds).max(0)),
        }),
    })
}

/// A chain that nobody was asked about.
fn unasked(chain: &str, offline: bool) -> Finding {
    let fact = if offline {
        "not asked: --offline"
    } else {
        "not asked: no RPC is known, so keys, heights and other signers on the chain are not compared"
    };
    Finding::note(Check::ChainRpc, fact)
        .remedy(format!(
            "sigward doctor --rpc {chain}=http://127.0.0.1:26657, or rpc = \"…\" in its [[chain.node]]"
        ))
        .about(chain)
}

impl Facts {
    fn about(&self) -> String {
        let whom = self.question.node.as_deref().unwrap_or(&self.question.url);
        format!("{}/{whom}", self.question.chain)
    }

    /// The latest block of a node that has caught up with the right chain, for the clock.
    pub(super) fn block(&self, now: i64) -> Option<super::clock::Block> {
        let status = &self.answers.as_ref().ok()?.status;
        let usable = status.chain_id.as_str() == self.question.chain
            && !status.catching_up
            && status.latest_height > 1;
        usable.then(|| super::clock::Block {
            about: self.about(),
            age: now.saturating_sub(status.latest_time.as_second()),
        })
    }
}

/// Judges one node's answers.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let about = facts.about();
    let found = match &facts.answers {
        Err(why) => vec![Finding::warning(
            Check::ChainRpc,
            format!("no usable answer: {why}"),
            "see that the node runs and that this is `laddr` of [rpc] in its config.toml",
        )],
        Ok(answers) => compare(facts, answers),
    };
    found
        .into_iter()
        .map(|finding| finding.about(about.clone()))
        .collect()
}

fn compare(facts: &Facts, answers: &Answers) -> Vec<Finding> {
    let status = &answers.status;
    let mut found = vec![Finding::ok(
        Check::ChainRpc,
        format!(
            "{} answers, at height {}",
            facts.question.url, status.latest_height
        ),
    )];
    if status.chain_id.as_str() != facts.question.chain {
        found.push(Finding::failure(
            Check::ChainId,
            format!(
                "the node is on {}, and the configuration says {}: every request would be refused",
                status.chain_id, facts.question.chain
            ),
            format!(
                "correct id in [[chain]], or the address of the node; {} is what its genesis file says",
                status.chain_id
            ),
        ));
        return found;
    }
    found.push(Finding::ok(Check::ChainId, status.chain_id.to_string()));
    found.push(version(&status.version));
    found.push(if status.catching_up {
        Finding::note(
            Check::ChainSyncing,
            "the node still catches up: it asks for no signatures, and knows less than the chain",
        )
        .remedy("wait, then run sigward doctor again")
    } else {
        Finding::ok(
            Check::ChainSyncing,
            format!("caught up, at height {}", status.latest_height),
        )
    });
    let Some(ours) = &facts.ours else {
        return found;
    };
    if facts.question.node.is_some() {
        found.push(key(status, ours));
    }
    let power = answers.validators.as_ref().map(|set| {
        set.find(&ours.address)
            .map_or(0, |validator| validator.voting_power)
    });
    found.push(validator(answers, ours, power));
    found.extend(other_signer(answers, ours));
    found.extend(
        ours.row
            .map(|row| watermark(facts, status, ours, row, power.unwrap_or(0) > 0)),
    );
    found
}

/// Which lines of CometBFT are served, and which releases should not run.
fn version(version: &str) -> Finding {
    let bare = version.trim_start_matches('v');
    let mut numbers = bare.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    let (major, minor, patch) = (
        numbers.next().flatten(),
        numbers.next().flatten(),
        numbers.next().flatten(),
    );
    let good = |dialect: &str| Finding::ok(Check::ChainVersion, format!("{version}: {dialect}"));
    match (major, minor, patch) {
        // Both advisories of February 2025: https://github.com/cometbft/cometbft/security/advisories (ASA-2025-001, ASA-2025-002).
        (Some(0), Some(38), Some(..17)) | (Some(1), Some(0), Some(0)) => Finding::warning(
            Check::ChainVersion,
            format!("{version} has known faults that a peer can use to stop it (ASA-2025-001, ASA-2025-002)"),
            "upgrade the node: v0.38.17 or v1.0.1, or later",
        ),
        (Some(0), Some(34..=37), _) => good("votes and proposals, no vote extensions"),
        (Some(0), Some(38..=40), _) => good("votes, proposals and vote extensions"),
        (Some(1), _, _) => good("votes, proposals and vote extensions; the v1 protocol"),
        _ => Finding::note(
            Check::ChainVersion,
            format!("{version} is no version that sigward was tried with (v0.34 to v0.40, v1.0)"),
        ),
    }
}

fn key(status: &NodeStatus, ours: &Ours) -> Finding {
    match (&status.validator_public_key, &status.validator_address) {
        (Some(theirs), _) if *theirs == ours.public_key => Finding::ok(
            Check::ChainKey,
            format!("the node signs as {}, which is {}", ours.address, ours.name),
        ),
        (_, theirs) => {
            let theirs = theirs
                .as_ref()
                .map_or_else(|| "nobody".to_owned(), ToString::to_string);
            Finding::failure(
                Check::ChainKey,
                format!(
                    "the node signs as {theirs}, and {} is {}",
                    ours.name, ours.address
                ),
                "a node takes its own priv_validator_key.json unless priv_validator_laddr is set: set it, and restart the node while sigward runs; or name the right key in [[chain]]",
            )
        }
    }
}

fn validator(answers: &Answers, ours: &Ours, power: Result<u64, &String>) -> Finding {
    match (power, &answers.validators) {
        (Ok(power @ 1..), _) => Finding::ok(
            Check::ChainValidator,
            format!("{} is in the validator set with power {power}", ours.address),
        ),
        (Err(why), _) => Finding::note(
            Check::ChainValidator,
            format!("the validator set could not be read: {why}"),
        ),
        (Ok(_), _) if answers.status.catching_up => Finding::note(
            Check::ChainValidator,
            format!("{} is not in the set that this node knows yet", ours.address),
        ),
        (Ok(_), set) => {
            let size = set.as_ref().map_or(0, |set| set.validators.len());
            Finding::warning(
                Check::ChainValidator,
                format!(
                    "{} is not in the validator set of {size}: not yet bonded, jailed, or another key",
                    ours.address
                ),
                "see it with your chain's binary: query staking validators, query slashing signing-infos; then create-validator, or unjail",
            )
        }
    }
}

/// Signatures of our key that were not made here.
fn other_signer(answers: &Answers, ours: &Ours) -> Option<Finding> {
    let commits = match &answers.commits {
        Ok(commits) => commits,
        Err(why) => {
            return Some(Finding::note(
                Check::ChainOtherSigner,
                format!("no commit could be read: {why}"),
            ));
        }
    };
    let last = commits
        .iter()
        .filter(|commit| commit.signed_by(&ours.address).is_some())
        .map(|commit| commit.height)
        .max();
    let Some(last) = last else {
        return Some(Finding::ok(
            Check::ChainOtherSigner,
            format!(
                "the last {} carry no signature of {}",
                super::count(commits.len(), "commit"),
                ours.name
            ),
        ));
    };
    let here = ours.row.map_or(0, |row| row.height);
    if i64::try_from(last).is_ok_and(|last| last <= here) {
        return Some(Finding::ok(
            Check::ChainOtherSigner,
            format!(
                "signatures of {} in commits, up to {last}, are not above what was signed here",
                ours.name
            ),
        ));
    }
    if ours.row.is_some_and(|row| row.kind == SignStateKind::Exported) {
        return Some(Finding::ok(
            Check::ChainOtherSigner,
            format!("{} was exported, and signs elsewhere, at {last}", ours.name),
        ));
    }
    Some(Finding::failure(
        Check::ChainOtherSigner,
        format!(
            "the commit of {last} is signed by {}, and here nothing above {here} was: another signer signs with this key",
            ours.name
        ),
        format!(
            "stop the other signer first, for ever; then close what it signed: sigward state import --key {} --chain CHAIN_ID --file its priv_validator_state.json",
            ours.name
        ),
    ))
}

fn watermark(facts: &Facts, status: &NodeStatus, ours: &Ours, row: Row, in_set: bool) -> Finding {
    let check = Check::ChainWatermark;
    let latest = height(status);
    let behind = latest.saturating_sub(row.height);
    if matches!(row.kind, SignStateKind::Exported | SignStateKind::Unspecified) {
        return Finding::note(check, "not compared: the key does not sign here");
    }
    if row.kind == SignStateKind::Fresh {
        // The first position of a fresh key is free.
        return Finding::ok(check, "nothing signed here yet; the first height may be any");
    }
    if -behind > AHEAD && !status.catching_up {
        return Finding::warning(
            check,
            format!(
                "signed up to {}, and the chain is at {latest}: nothing is signed until it has passed",
                row.height
            ),
            "right after a reset or on a lagging node this mends itself; if the chain began anew, it needs a new chain id or a new key: a watermark never goes down",
        );
    }
    let by_time = row.idle.saturating_mul(facts.limits.heights_per_second);
    let reach = row
        .height
        .saturating_add(facts.limits.height_jump.max(by_time))
        .max(row.allow_until);
    if latest.saturating_add(1) > reach {
        return Finding::failure(
            check,
            format!(
                "the chain is at {latest}, {behind} above the last signature: beyond {reach} the guard refuses a jump"
            ),
            format!(
                "once you know that the chain really is there: sigward state allow --key {} --chain {} --until {}",
                ours.name,
                facts.question.chain,
                latest.saturating_add(1000)
            ),
        );
    }
    if row.kind == SignStateKind::Signed && in_set && behind > NEAR && !status.catching_up {
        return Finding::warning(
            check,
            format!(
                "the last signature was at {}, {behind} heights ago, and the key is in the validator set: blocks are missed",
                row.height
            ),
            "see node.connected and chain.key above, and the refusals: sigward audit tail",
        );
    }
    Finding::ok(check, format!("at {}, the chain at {latest}", row.height))
}

#[cfg(test)]
mod tests;
