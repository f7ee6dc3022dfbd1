//! A thin client of a CometBFT node's RPC (v0.34 to v1.0): its status, commits and validators.
//!
//! May import `policies` and hyper's client. It uses the URI style of the RPC: `GET /commit?height=5` answers with a JSON-RPC
//! envelope (CometBFT `rpc/jsonrpc/server/http_uri_handler.go`).
//!
//! *Invariants:* one connection a request, no redirects; [`MAX_ANSWER`] bytes and [`TIMEOUT`] at most; the commit that comes back
//! is of the height that was asked for.
//!
//! *Caveats:* a node's word is not a proof. No signature is checked here: a node that lies can hide a signature (so ask several),
//! or claim one (and stop a move that was right).

mod answer;
mod error;
mod http;
mod url;

#[cfg(test)]
mod tests;

use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;
use sigward_policies::model::algorithm::{Address, PublicKey};
use sigward_policies::model::id::ChainId;

pub use answer::{parse_commit, parse_status, parse_validators};
pub use error::{RpcCode, RpcError};
pub use http::post;
use url::Url;

/// Longest answer that is read. A commit of 10,000 validators has 3 MiB.
pub const MAX_ANSWER: usize = 8 << 20;
/// Most validators that a set may have.
pub const MAX_VALIDATORS: usize = 10_000;
/// How long one request may take, name and handshake included.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Validators a page; nodes cap it at this.
const PER_PAGE: usize = 100;

/// Asks one node.
#[derive(Clone, Debug)]
pub struct Client {
    url: Url,
    timeout: Duration,
}

/// `/status`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeStatus {
    /// The chain the node follows (`node_info.network`).
    pub chain_id: ChainId,
    /// What the node says that it runs, `0.38.25` for example; printable and short.
    pub version: String,
    /// Its last block's height; 0 before the first.
    pub latest_height: u64,
    /// Its last block's time.
    pub latest_time: Timestamp,
    /// The lowest block that it still has; 0 when it does not say.
    pub earliest_height: u64,
    /// Whether it still catches up, and so knows less than the chain.
    pub catching_up: bool,
    /// The address of the node's own validator key.
    pub validator_address: Option<Address>,
    /// The public key that the node signs with, or gets from its remote signer. `None` for a type that sigward does not have.
    pub validator_public_key: Option<PublicKey>,
    /// The voting power of that key now; 0 when it is not a validator.
    pub voting_power: u64,
}

/// `/commit`: a header's height and time, with the precommits for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The chain of the header.
    pub chain_id: ChainId,
    /// The height that was committed.
    pub height: u64,
    /// The header's time.
    pub time: Timestamp,
    /// The round it was committed in.
    pub round: u32,
    /// Whether this is the commit that the next block carries. At the latest height it is not: that one is only what this node
    /// has seen, and others may have seen more signatures.
    pub canonical: bool,
    /// One a validator, in the order of the set.
    pub signatures: Vec<CommitSignature>,
}

/// One validator's part of a commit (CometBFT `types/block.go`, `CommitSig`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitSignature {
    /// What was signed.
    pub flag: BlockIdFlag,
    /// Who signed; `None` when absent.
    pub validator: Option<Address>,
    /// When, as the validator says; `None` when absent.
    pub timestamp: Option<Timestamp>,
}

/// Whether a validator signed, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockIdFlag {
    /// It is not in the commit. (It may have signed all the same, too late.)
    Absent,
    /// It signed the block.
    Commit,
    /// It signed nil.
    Nil,
}

/// A validator of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Validator {
    /// Its address.
    pub address: Address,
    /// Its public key; `None` for a type that sigward does not have.
    pub public_key: Option<PublicKey>,
    /// Its voting power.
    pub voting_power: u64,
}

/// `/validators`, all pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatorSet {
    /// The height that the set is of.
    pub height: u64,
    /// The set.
    pub validators: Vec<Validator>,
}

/// One page of `/validators`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatorPage {
    /// The height that the set is of.
    pub height: u64,
    /// This page.
    pub validators: Vec<Validator>,
    /// How many there are on all pages.
    pub total: usize,
}

impl Commit {
    /// The part of `address` in this commit, if it signed: the block or nil.
    pub fn signed_by(&self, address: &Address) -> Option<&CommitSignature> {
        self.signatures
            .iter()
            .find(|part| part.flag != BlockIdFlag::Absent && part.validator.as_ref() == Some(address))
    }
}

impl ValidatorSet {
    /// The validator of this address.
    pub fn find(&self, address: &Address) -> Option<&Validator> {
        self.validators
            .iter()
            .find(|validator| validator.address == *address)
    }

    /// The power of all together.
    pub fn total_power(&self) -> u64 {
        self.validators
            .iter()
            .fold(0, |sum, validator| sum.saturating_add(validator.voting_power))
    }
}

impl Client {
    /// A client of the node at `url`: `http://host:26657`, `https://host/path`, or `tcp://host:port` as the node's own
    /// configuration writes it. Connects to nothing yet.
    pub fn new(url: &str) -> Result<Self, RpcError> {
        Ok(Self {
            url: Url::parse(url)?,
            timeout: TIMEOUT,
        })
    }

    /// The same with another bound for each request.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where it asks, for messages.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// How the node is, and who it is.
    pub async fn status(&self) -> Result<NodeStatus, RpcError> {
        parse_status(&self.ask("/status").await?).map_err(|error| error.at(self.url()))
    }

    /// The commit of `height`, or the latest.
    pub async fn commit(&self, height: Option<u64>) -> Result<Commit, RpcError> {
        let path = match height {
            Some(height) => format!("/commit?height={height}"),
            None => "/commit".to_owned(),
        };
        let commit = parse_commit(&self.ask(&path).await?).map_err(|error| error.at(self.url()))?;
        match height {
            Some(asked) if asked != commit.height => Err(RpcError::new(
                RpcCode::InvalidAnswer,
                format!(
                    "asked for the commit of {asked}, it sent that of {}",
                    commit.height
                ),
            )
            .at(self.url())),
            _ => Ok(commit),
        }
    }

    /// All validators at `height`, or the latest.
    pub async fn validators(&self, height: Option<u64>) -> Result<ValidatorSet, RpcError> {
        let mut set = ValidatorSet {
            height: height.unwrap_or(0),
            validators: Vec::new(),
        };
        for page in 1..=MAX_VALIDATORS / PER_PAGE {
            // Later pages are of the height of the first one, or the set could change between them.
            let at = if set.height == 0 {
                String::new()
            } else {
                format!("height={}&", set.height)
            };
            let answer = self
                .ask(&format!("/validators?{at}page={page}&per_page={PER_PAGE}"))
                .await?;
            let part = parse_validators(&answer).map_err(|error| error.at(self.url()))?;
            let odd = |what: &str| Err(RpcError::new(RpcCode::InvalidAnswer, what).at(self.url()));
            if set.height != 0 && part.height != set.height {
                return odd("a page of validators is of another height");
            }
            if part.validators.is_empty() && set.validators.len() < part.total {
                return odd("a page of validators is empty");
            }
            set.height = part.height;
            set.validators.extend(part.validators);
            if set.validators.len() >= part.total {
                return Ok(set);
            }
        }
        Err(RpcError::new(
            RpcCode::InvalidAnswer,
            format!("more than {MAX_VALIDATORS} validators"),
        )
        .at(self.url()))
    }

    async fn ask(&self, path_and_query: &str) -> Result<Bytes, RpcError> {
        let asked = tokio::time::timeout(self.timeout, http::get(&self.url, path_and_query)).await;
        asked
            .unwrap_or_else(|_elapsed| {
                Err(RpcError::new(
                    RpcCode::Timeout,
                    format!("no answer within {} s", self.timeout.as_secs_f32()),
                ))
            })
            .map_err(|error| error.at(self.url()))
    }
}
