//! What only a running daemon can do: take over a changed configuration, and tell of its connections to nodes.
//!
//! The services know it by the trait [`Live`] alone; `app` puts the real one in. The command line without a daemon has none.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use sigward_policies::authz::PolicyVersion;
use sigward_policies::decision::{RefusalCode, Refused};
use sigward_policies::model::id::{ChainId, Generation, NodeName};
use sigward_policies::model::operation::Operation;

use super::Admin;
use super::act::Act;
use super::consent::{DEFAULT_WAIT, Matter, Petition};
use crate::audit::{self, Asked, Asker};
use crate::config::ConfigError;
use crate::config::diff::Diff;
use crate::store::{self, About, ApprovalId, Batch};
use crate::telemetry::activity::Seen;

/// An answer that takes its time.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A running daemon. Whatever is begun here ends, even if the caller goes away.
pub trait Live: fmt::Debug + Send + Sync + 'static {
    /// Reads the configuration again and takes it over, or only says what that would do.
    fn reload(self: Arc<Self>, by: Reloader, mode: ReloadMode) -> Answer<Result<Reloaded, ReloadError>>;

    /// Brings the connections in line with what the store says of drained nodes, after `change` has changed it.
    fn after(self: Arc<Self>, change: Answer<Result<(), Refused>>) -> Answer<Result<(), Refused>>;

    /// What each connection has done.
    fn seen(self: Arc<Self>) -> Answer<Vec<SeenNode>>;
}

/// Who has the configuration taken over, and what it rests on where a rule wants others for the policy in it.
#[derive(Clone, Debug)]
pub struct Reloader {
    /// Who.
    pub who: Asker,
    /// From which address; none on this machine.
    pub from: Option<IpAddr>,
    /// The request that others have approved, where the caller names one.
    pub approval: Option<ApprovalId>,
    /// How many seconds a request that has to be made is to wait.
    pub wait: i64,
}

impl Reloader {
    /// sigward itself, which a signal told to.
    pub const fn signal() -> Self {
        Self {
            who: Asker::SERVICE,
            from: None,
            approval: None,
            wait: DEFAULT_WAIT,
        }
    }
}

/// A policy in place of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PolicyChange {
    /// The one in force.
    pub old: Option<PolicyVersion>,
    /// The one that comes.
    pub new: Option<PolicyVersion>,
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
    /// Whether it was refused only until others agree.
    pub const fn waits(&self) -> bool {
        match self {
            Self::Refused(Refused::Denied(refusal)) => {
                matches!(refusal.code, RefusalCode::ApprovalRequired)
            }
            Self::Refused(Refused::Failed(_)) | Self::Config(_) => false,
        }
    }

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
    /// Puts a reload on record, before it takes effect: who, the SHA-256 of the file, and how much differs; and uses up what others
    /// have approved, where a rule wants that for the policy that changes with it.
    pub async fn record_reload(
        &self,
        who: &Asker,
        (petition, policy): (&Petition, Option<PolicyChange>),
        sha256: [u8; 32],
        summary: &str,
    ) -> Result<(), Refused> {
        let consent = self.consent(petition, Matter::of_policy(policy)).await?;
        let asked = Asked {
            request_digest: Some(sha256),
            ..Asked::act(who, Act::ConfigReload.as_str(), None, None)
        };
        let entry = audit::of_act(asked, summary, self.clock.unix_micros());
        store::commit(self.store.as_ref(), consent.with(Batch::record(vec![entry])))
            .await
            .map(|_receipts| ())
    }
}

impl Matter {
    /// Another policy. What it does is read in the file; its digest says which file that must be.
    fn of_policy(policy: Option<PolicyChange>) -> Self {
        let shown = |version: Option<PolicyVersion>| {
            version.map_or_else(|| "none".to_owned(), |version| format!("{version:#}"))
        };
        let (old, new) = policy.map_or((None, None), |change| (change.old, change.new));
        Self {
            operation: Operation::PolicyWrite,
            parameters: vec![shown(old), shown(new)],
            about: About::Keys(Vec::new()),
            what: format!(
                "put the policy with SHA-256 {} in force, in place of {}",
                shown(new),
                shown(old)
            ),
            key: None,
            chain: None,
            to: None,
        }
    }
}
