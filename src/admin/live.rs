//! What only a running daemon can do: take over a changed configuration, and tell of its connections to nodes.
//!
//! The services know it by the trait [`Live`] alone; `app` puts the real one in. The command line without a daemon has none.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sigward_policies::decision::Refused;
use sigward_policies::model::id::{ChainId, Generation, NodeName};

use super::Admin;
use super::act::Act;
use crate::audit::{self, Asked, Asker};
use crate::config::ConfigError;
use crate::config::diff::Diff;
use crate::store::{self, Batch};
use crate::telemetry::activity::Seen;

/// An answer that takes its time.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A running daemon. Whatever is begun here ends, even if the caller goes away.
pub trait Live: fmt::Debug + Send + Sync + 'static {
    /// Reads the configuration again and takes it over, or only says what that would do.
    fn reload(self: Arc<Self>, who: Asker, mode: ReloadMode) -> Answer<Result<Reloaded, ReloadError>>;

    /// Brings the connections in line with what the store says of drained nodes, after `change` has changed it.
    fn after(self: Arc<Self>, change: Answer<Result<(), Refused>>) -> Answer<Result<(), Refused>>;

    /// What each connection has done.
    fn seen(self: Arc<Self>) -> Answer<Vec<SeenNode>>;
}

/// Whether a reload is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReloadMode {
    /// It is.
    Apply,
    /// Only what it would do is asked.
    DryRun,
}

/// What a reload did, or would do.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// What differs.
    pub diff: Diff,
    /// Whether it was done.
    pub mode: ReloadMode,
    /// How many configurations have been in force since the start, the first included.
    pub generation: Generation,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What the operator should hear, a sentence each.
    pub warnings: Vec<String>,
}

/// Why nothing was reloaded. The configuration in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is bad.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A rule said no, or sigward failed.
    #[error("{0}")]
    Refused(#[from] Refused),
}

impl ReloadError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code.as_str(),
            Self::Refused(refused) => refused.code(),
        }
    }
}

/// A node's connection as the daemon sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenNode {
    /// Its chain.
    pub chain: ChainId,
    /// Its name.
    pub node: NodeName,
    /// What it has done.
    pub seen: Seen,
}

impl Admin {
    /// Puts a reload on record, before it takes effect: who, the SHA-256 of the file, and how much differs.
    pub async fn record_reload(&self, who: &Asker, sha256: [u8; 32], summary: &str) -> Result<(), Refused> {
        let asked = Asked {
            request_digest: Some(sha256),
            ..Asked::act(who, Act::ConfigReload.as_str(), None, None)
        };
        let entry = audit::of_act(asked, summary, self.clock.unix_micros());
        store::commit(self.store.as_ref(), Batch::record(vec![entry]))
            .await
            .map(|_receipts| ())
    }
}
