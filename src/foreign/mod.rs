//! Other signers' files, layer 2: what CometBFT's own signer, tmkms, cosmos/kms and horcrux keep, read into one plan. May import
//! `policies` only.
//!
//! Parsers are pure: bytes in, a [`ForeignSigner`] or a refusal out. [`load`](load::load) alone opens files. No secret is read
//! here: a plan names key files, and whoever carries it out reads them into protected memory.
//!
//! *Invariants:* a field that is not understood is reported by name, never lost; what cannot move (a token, a share of a key) is
//! refused with the reason; a state says at most what its file proves, and a position without its bytes closes its height.

mod cometbft;
mod cosmos_kms;
mod horcrux;
mod load;
mod tmkms;
mod tree;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::id::ChainId;

pub use cometbft::{NodeSettings, parse_config};
pub use cosmos_kms::parse as parse_cosmos_kms;
pub use horcrux::{filepv_state as horcrux_state, parse as parse_horcrux};
pub use load::{MAX_FILE, Places, load, read_small};
pub use tmkms::{parse as parse_tmkms, parse_state as parse_tmkms_state};

/// Whose files they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForeignKind {
    /// A node's own key and state (CometBFT `privval/file.go`).
    CometBft,
    /// tmkms with keys in files (softsign).
    Tmkms,
    /// github.com/cosmos/kms with keys in files.
    CosmosKms,
    /// horcrux in single-signer mode.
    Horcrux,
}

impl ForeignKind {
    /// Its name, as `--from` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CometBft => "cometbft",
            Self::Tmkms => "tmkms",
            Self::CosmosKms => "cosmos-kms",
            Self::Horcrux => "horcrux",
        }
    }
}

/// What another signer signs for, and where it keeps what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignSigner {
    /// Whose files.
    pub kind: ForeignKind,
    /// The files that this was read from.
    pub sources: Vec<PathBuf>,
    /// Its keys.
    pub keys: Vec<ForeignKey>,
    /// Fields that were not understood, each with its place.
    pub not_understood: Vec<String>,
    /// What its operator should know, one sentence each.
    pub warnings: Vec<String>,
}

/// One key file and what it signs for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignKey {
    /// The file. It holds a secret; nothing in this module reads it.
    pub file: PathBuf,
    /// How it is written.
    pub format: KeyFileFormat,
    /// The chains; one at least.
    pub chains: Vec<ForeignChain>,
}

/// How a private key is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFileFormat {
    /// `priv_validator_key.json`.
    FilePv,
    /// Base64 of an Ed25519 seed (32 bytes), or of seed and public key (64).
    Base64,
}

/// A chain of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignChain {
    /// The chain.
    pub id: ChainId,
    /// Where it is written how far the key has signed.
    pub state_file: PathBuf,
    /// How that is written.
    pub state_format: StateFormat,
    /// Where its nodes are, as sigward's configuration writes addresses.
    pub nodes: Vec<String>,
}

/// How a sign state is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateFormat {
    /// `priv_validator_state.json`.
    FilePv,
    /// tmkms: a position and a block id, no sign bytes.
    Tmkms,
    /// horcrux: as `priv_validator_state.json`, with sign bytes in base64.
    Horcrux,
}

impl ForeignSigner {
    fn new(kind: ForeignKind) -> Self {
        Self {
            kind,
            sources: Vec::new(),
            keys: Vec::new(),
            not_understood: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds a node's address to its chain; what sigward cannot dial as it is written is said.
    fn add_node(&mut self, chain: &str, address: &str) {
        let address = match address
            .strip_prefix("tcp://")
            .and_then(|rest| rest.split_once('@'))
        {
            Some((_, host)) => {
                self.warnings.push(format!(
                    "{address}: the peer id before @ is dropped; a CometBFT node has a new one on this connection at each start, so it never protected anything"
                ));
                format!("tcp://{host}")
            }
            None => address.to_owned(),
        };
        let mut found = false;
        for known in self.keys.iter_mut().flat_map(|key| &mut key.chains) {
            if known.id.as_str() == chain {
                found = true;
                if !known.nodes.contains(&address) {
                    known.nodes.push(address.clone());
                }
            }
        }
        if !found {
            self.warnings.push(format!(
                "the node {address} of chain {chain} is left out: no key that moves signs for it"
            ));
        }
    }

    /// Refuses a plan without keys and chains that two keys sign for.
    fn checked(self) -> Result<Self, Refusal> {
        if self.keys.iter().all(|key| key.chains.is_empty()) {
            return Err(not_movable(format!(
                "nothing in {}'s files signs for a chain with a key in a file",
                self.kind.as_str()
            )));
        }
        let mut seen = std::collections::BTreeSet::new();
        for chain in self.keys.iter().flat_map(|key| &key.chains) {
            if !seen.insert(&chain.id) {
                return Err(invalid(format!(
                    "chain {} has two keys: which of them is the validator's is not clear; leave one",
                    chain.id
                )));
            }
        }
        Ok(self)
    }
}

/// A chain id of a file.
fn chain_id(text: &str) -> Result<ChainId, Refusal> {
    ChainId::new(text).map_err(|refusal| invalid(refusal.message))
}

/// Those of `chains` that a key's entry names, in its order; or the first name that is none of them.
fn named(ids: Vec<String>, chains: &[ForeignChain]) -> Result<Vec<ForeignChain>, String> {
    let find = |id: String| {
        let found = chains.iter().find(|chain| chain.id.as_str() == id);
        found.cloned().ok_or(id)
    };
    ids.into_iter().map(find).collect()
}

/// A file that is not what it should be.
fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::InvalidForeignFile, message)
}

/// What is understood and cannot move.
fn not_movable(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::NotMovable, message)
}
