//! Configuration, layer 1: `sigward.toml`, from text to values that are valid by construction. May import `policies` only.
//!
//! [`parse`] is pure: text and a folder in, a [`Config`] or one [`ConfigError`] out. Nothing outside this module meets a value
//! that was not judged; nothing in it opens a file that the configuration names.
//!
//! *Invariants:* unknown fields refuse; relative paths are made absolute at the file's folder; no listener off loopback exists but
//! with TLS, and one that demands client certificates or tokens; a TCP link off loopback exists only where the file says `unauthenticated = "private-network"`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sigward_policies::double_sign::Limits;
use sigward_policies::model::id::{ChainId, KeyName, NodeName};
use sigward_policies::model::suggest;

mod address;
mod audit;
mod bearer;
mod bounds;
mod chain;
pub mod diff;
mod doors;
mod error;
mod file;
mod home;
mod listen;
mod otlp;
mod plain;
mod policy;
mod provider;
mod raw;
mod read_from;
mod rpc;
mod seal;
#[cfg(test)]
mod tests;
mod validate;

pub use address::{Host, MAX_SOCKET_PATH, NodeAddress, Reach};
pub use audit::AuditConfig;
pub use bearer::{BearerConfig, IssuerConfig, Revoked};
pub use bounds::DoorBounds;
pub use error::{ConfigCode, ConfigError, Place};
pub use file::{FILE_NAME, admin_socket_of_a_bad_file, load, load_with_text};
pub use home::find_home;
pub use listen::ListenConfig;
pub use otlp::{OtlpConfig, OtlpProtocol, Sample};
pub use policy::{PolicyConfig, load_policy, read_policy};
pub use provider::{PinFrom, Pkcs11Config, ProviderConfig, ProviderId, SOFTWARE, TokenName};
pub use rpc::RpcUrl;
pub use seal::{SEAL_LABEL, TokenSealConfig, with_seal};

/// Largest configuration that is read, in bytes.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;

/// Where the admin socket is in the folder of the file, unless the file says otherwise.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// The default configuration, every field with its comment: `sigward config print-default`, and what `init` writes.
pub const DEFAULT: &str = include_str!("default.toml");

/// A configuration that can be acted upon. Paths are absolute if the folder given to [`parse`] was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where state lives.
    pub store: StoreConfig,
    /// What opens sealed keys.
    pub seal: SealSource,
    /// Where sealed keys live.
    pub keys: KeysConfig,
    /// The file of the node identity (SecretConnection).
    pub identity: PathBuf,
    /// The document that says who may what.
    pub policy: PolicyConfig,
    /// The admin socket.
    pub admin_socket: PathBuf,
    /// Where health and metrics are served; loopback. None when switched off.
    pub http: Option<SocketAddr>,
    /// Where clients on other machines come in, by TLS. None unless the file says so.
    pub listen: Option<ListenConfig>,
    /// Where clients without certificates come in, by TLS and tokens. None unless the file says so.
    pub bearer: Option<BearerConfig>,
    /// Where clients of this machine show tokens without TLS; loopback. None unless the file says so.
    pub plain: Option<SocketAddr>,
    /// What these doors give at most.
    pub bounds: DoorBounds,
    /// What the log looks like.
    pub log: LogConfig,
    /// What becomes of audit records.
    pub audit: AuditConfig,
    /// Who collects traces. None unless the file says so.
    pub otlp: Option<OtlpConfig>,
    /// Where keys live besides the software store; ids are distinct.
    pub providers: Vec<ProviderConfig>,
    /// The chains, in the order of the file; ids are distinct.
    pub chains: Vec<ChainConfig>,
    /// Where it was read; says nothing of what it says.
    pub(crate) read_from: read_from::ReadFrom,
}

/// `[store]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// The folder.
    pub dir: PathBuf,
    /// The witness file.
    pub witness: PathBuf,
    /// Whether file systems that may forget are accepted.
    pub allow_volatile: bool,
    /// Less free space than this, in MiB, is not ready. Scaled down on small file systems.
    pub low_space_mib: u64,
    /// How much room is kept for an operator to give back, in MiB. Scaled down too.
    pub reserve_mib: u64,
}

/// `[seal]`: where the key-encryption key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SealSource {
    /// A file of 32 bytes.
    KeyFile(PathBuf),
    /// A passphrase in a file.
    PassphraseFile(PathBuf),
    /// A systemd credential, by name: a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
    Credential(String),
    /// A key in a token, which wraps the key-encryption key.
    Pkcs11(TokenSealConfig),
}

/// `[keys]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeysConfig {
    /// The folder.
    pub dir: PathBuf,
    /// Whether sigward runs where memory cannot be locked.
    pub allow_unlocked_memory: bool,
}

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// Levels in the words of `tracing_subscriber::EnvFilter`; every level in it is a known one.
    pub level: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[[chain]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainConfig {
    /// The chain.
    pub id: ChainId,
    /// The key that signs for it.
    pub key: KeyName,
    /// Whether the key may serve other chains that say so too.
    pub shared: bool,
    /// The guard's settings.
    pub limits: Limits,
    /// Its nodes; names are distinct within the chain, addresses in the whole file.
    pub nodes: Vec<NodeConfig>,
}

/// `[[chain.node]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// What the operator calls it.
    pub name: NodeName,
    /// Where it listens. Leaves the machine only where the file accepts that the link is unauthenticated.
    pub address: NodeAddress,
    /// Its JSON-RPC, for those who look at the chain (`doctor`). No signature depends on what it says.
    pub rpc: Option<RpcUrl>,
}

/// Reads a configuration. Pure; `base` is what relative paths are relative to. Refuses text above [`MAX_CONFIG_BYTES`].
pub fn parse(text: &str, base: &Path) -> Result<Config, ConfigError> {
    if text.len() > MAX_CONFIG_BYTES {
        return Err(file::config_too_large());
    }
    let raw: raw::RawConfig = toml::from_str(text).map_err(|error| ConfigError::from_toml(text, error))?;
    validate::config(raw, &validate::Source { text, base })
}

impl Config {
    /// What an operator should hear at every start, one sentence each: settings that are allowed and not safe everywhere.
    pub fn warnings(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.store.allow_volatile {
            said.push(
                "store.allow_volatile: a state that is forgotten is a double sign; for development only"
                    .to_owned(),
            );
        }
        if self.keys.allow_unlocked_memory {
            said.push(
                "keys.allow_unlocked_memory: secrets may reach the swap; for development only".to_owned(),
            );
        }
        if self.policy.dry_run {
            said.push("policy.dry_run: what the policy denies is let through, and only logged".to_owned());
        }
        for provider in &self.providers {
            if let TokenName::Slot(slot) = provider.pkcs11.token {
                said.push(format!(
                    "provider {}: slot {slot} may be another token after a restart; name it by token_serial or token_label",
                    provider.id
                ));
            }
        }
        if self.listen.as_ref().is_some_and(|listen| listen.crl.is_none()) {
            said.push(
                "[listen] has no crl: a client's certificate that was lost or stolen stands until it expires"
                    .to_owned(),
            );
        }
        if self
            .bearer
            .as_ref()
            .is_some_and(|bearer| bearer.issuers.is_empty())
        {
            said.push("[listen.bearer] has no issuer: nobody has a token that it takes".to_owned());
        }
        if self.chains.is_empty() {
            said.push("no [[chain]]: nothing is signed".to_owned());
        }
        for chain in &self.chains {
            if chain.shared {
                said.push(format!(
                    "chain {}: key {} may serve other chains too; a slash on one can be a slash on all",
                    chain.id, chain.key
                ));
            }
            if chain.nodes.is_empty() {
                said.push(format!(
                    "chain {}: no node; nothing asks for its signatures",
                    chain.id
                ));
            }
            for node in chain.unauthenticated() {
                said.push(format!(
                    "chain {}: node {} at {} is not authenticated; whoever owns that route gets signatures",
                    chain.id, node.name, node.address
                ));
            }
        }
        said
    }

    /// How many links leave the machine without authentication.
    pub fn unauthenticated_links(&self) -> usize {
        self.chains
            .iter()
            .map(|chain| chain.unauthenticated().count())
            .sum()
    }
}

impl ChainConfig {
    fn unauthenticated(&self) -> impl Iterator<Item = &NodeConfig> {
        self.nodes
            .iter()
            .filter(|node| node.address.reach() == Reach::Network)
    }
}
