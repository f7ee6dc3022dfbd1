//! The supervisor: holds the configuration in force and the links that run by it, and takes over another one.
//!
//! Acts are one at a time, each on a task of its own, so that a caller who goes away leaves nothing half done. An act that panics is
//! met by the next one: links are compared with what is wanted, never with what was meant to be.
//!
//! *Invariants:* a configuration that is refused changes nothing; one that is taken is on record before it takes effect; no
//! connection ends that it does not concern; while sigward runs the guard's settings of a chain only become stricter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sigward_hsm::identity::NodeIdentity;
use sigward_policies::decision::{Failure, FailureCode, Refused};
use sigward_policies::holding::Holds;
use sigward_policies::model::id::{ChainId, Generation, NodeName};
use tokio::sync::{Mutex, MutexGuard};
use tracing::Instrument as _;

use super::bearer::BearerDoor;
use super::door::Door;
use super::holds::Held;
use super::links::Links;
use super::parts::Parts;
use crate::admin::live::{Answer, Live, ReloadError, ReloadMode, Reloaded, Reloader, SeenNode};
use crate::audit::Denials;
use crate::authz::{Authorizer, Policies};
use crate::config::Config;
use crate::config::diff::Departed;
use crate::shutdown::Shutdown;
use crate::telemetry::log::Levels;
use crate::telemetry::metrics::{Metrics, Reload, SignMetrics};
use crate::telemetry::readiness::{Check, Readiness, Weight};
use crate::telemetry::spans::Spans;

mod chains;
mod connect;
mod policy;
mod reload;

use chains::Chain;
use connect::Running;

/// What everything that runs shares.
pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) denials: Arc<Denials>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sign_metrics: Arc<SignMetrics>,
    pub(super) readiness: Readiness,
    pub(super) identity: Arc<NodeIdentity>,
    pub(super) authorizer: Arc<Authorizer>,
    /// The document that says who may what.
    pub(super) policies: Arc<Policies>,
    pub(super) shutdown: Shutdown,
    /// Where links run: not where strangers are served, whoever asks for a reload.
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) levels: Levels,
    /// The door for clients on other machines, if there is one.
    pub(super) door: Option<Arc<Door>>,
    /// The one for clients with tokens, if there is one.
    pub(super) bearer: Option<Arc<BearerDoor>>,
    /// What is held back, as it is told.
    pub(super) held: Arc<Held>,
    /// Where what becomes of requests is told, to those who collect traces.
    pub(super) spans: Spans,
    /// The folder of the configuration.
    pub(super) home: PathBuf,
}

pub(super) struct Supervisor {
    shared: Shared,
    /// Fails while the file is not what runs.
    check: Check,
    /// Fails while something in the file waits for a restart.
    restart: Check,
    /// Fails while the policy in the file waits for others to agree to it.
    approval: Check,
    state: Mutex<State>,
}

struct State {
    config: Config,
    chains: BTreeMap<ChainId, Chain>,
    links: Links<Running>,
    departed: Departed,
    generation: Generation,
    /// What the store holds back; drained nodes are among it.
    holds: Holds,
    /// The configured ones among them, each with its check.
    drained: BTreeMap<(ChainId, NodeName), Check>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Serves the chains of `config`. A chain that cannot be served is an alarm, and costs the others nothing.
    pub(super) async fn start(shared: Shared, config: &Config, check: Check) -> Arc<Self> {
        let nothing = Config {
            chains: Vec::new(),
            ..config.clone()
        };
        let mut state = State {
            config: nothing,
            chains: BTreeMap::new(),
            links: Links::default(),
            departed: Departed::new(),
            generation: Generation(0),
            holds: Holds::default(),
            drained: BTreeMap::new(),
        };
        state.take_over(&shared, config).await;
        check.good();
        let restart = shared.readiness.check(
            "restart",
            Weight::Told,
            "restart sigward when a few blocks without a signature do no harm, or put the file back and `sigward reload`",
        );
        restart.good();
        let approval = shared.readiness.check(
            "approval",
            Weight::Told,
            "another person approves it and `sigward reload --approval ID` takes it over; or put the file back and `sigward reload`",
        );
        approval.good();
        Arc::new(Self {
            shared,
            check,
            restart,
            approval,
            state: Mutex::new(state),
        })
    }

    /// How many links run.
    pub(super) async fn links(&self) -> usize {
        self.state.lock().await.links.iter().count()
    }

    /// Waits until the links, which the shutdown ended, are gone. Nothing is reloaded from then on.
    pub(super) async fn end(&self) {
        let mut state = self.state.lock().await;
        let plan = state.links.part([]);
        connect::end(plan.ended).await;
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.shared.parts
    }

    pub(super) fn door(&self) -> Option<&Arc<Door>> {
        self.shared.door.as_ref()
    }

    pub(super) fn bearer(&self) -> Option<&Arc<BearerDoor>> {
        self.shared.bearer.as_ref()
    }

    /// The policy in force.
    pub(super) fn policies(&self) -> Arc<Policies> {
        self.shared.policies.clone()
    }

    pub(super) fn denials(&self) -> Arc<Denials> {
        self.shared.denials.clone()
    }

    /// Looks again at chains that are not served: their token may have come.
    pub(super) async fn serve_more(self: Arc<Self>) {
        if let Ok(mut state) = self.hold().await {
            state.serve_more(&self.shared).await;
        }
    }

    /// Nothing begins once the end has begun.
    async fn hold(&self) -> Result<MutexGuard<'_, State>, Refused> {
        let state = self.state.lock().await;
        if self.shared.shutdown.has_begun() {
            return Err(Failure::new(FailureCode::ShuttingDown, "sigward is stopping").into());
        }
        Ok(state)
    }

    async fn reload_now(&self, by: &Reloader, mode: ReloadMode) -> Result<Reloaded, ReloadError> {
        let mut state = self.hold().await?;
        let outcome = state.reload(&self.shared, by, mode).await;
        if mode == ReloadMode::DryRun {
            return outcome;
        }
        let who = &by.who;
        match &outcome {
            Ok(reloaded) => {
                self.check.good();
                self.approval.good();
                let waiting: Vec<_> = reloaded
                    .diff
                    .waiting_for_restart()
                    .map(ToString::to_string)
                    .collect();
                match waiting.is_empty() {
                    true => self.restart.good(),
                    false => self.restart.fail(waiting.join("; ")),
                }
                self.shared.metrics.reloaded(Reload::Applied);
                tracing::info!(
                    by = %who, generation = reloaded.generation.0, differences = reloaded.diff.entries().len(), "reloaded"
                );
            }
            // The file is good, and a person is asked for: nothing is wrong, and nobody need be woken.
            Err(error) if error.waits() => {
                self.check.good();
                self.approval.fail(error.to_string());
                self.shared.metrics.reloaded(Reload::Waits);
                tracing::info!(by = %who, "the configuration waits for approval; the one that ran runs on: {error}");
            }
            Err(error) => {
                self.check.fail(error.to_string());
                self.approval.good();
                self.shared.metrics.reloaded(Reload::Refused);
                tracing::error!(
                    alarm = true, by = %who, code = error.code(),
                    "the configuration was not reloaded; the one that ran runs on: {error}"
                );
            }
        }
        outcome
    }
}

impl Live for Supervisor {
    fn reload(self: Arc<Self>, by: Reloader, mode: ReloadMode) -> Answer<Result<Reloaded, ReloadError>> {
        let runtime = self.shared.runtime.clone();
        let doing = runtime.spawn(async move { self.reload_now(&by, mode).await }.in_current_span());
        Box::pin(async move { doing.await.unwrap_or_else(|_| Err(fault().into())) })
    }

    fn after(self: Arc<Self>, change: Answer<Result<(), Refused>>) -> Answer<Result<(), Refused>> {
        let runtime = self.shared.runtime.clone();
        let change = async move {
            let mut state = self.hold().await?;
            change.await?;
            state.settle(&self.shared).await;
            Ok(())
        };
        let doing = runtime.spawn(change.in_current_span());
        Box::pin(async move { doing.await.unwrap_or_else(|_| Err(fault())) })
    }

    fn seen(self: Arc<Self>) -> Answer<Vec<SeenNode>> {
        Box::pin(async move {
            let state = self.state.lock().await;
            let seen = state.links.iter().map(|(spec, running)| SeenNode {
                chain: spec.chain.clone(),
                node: spec.node.clone(),
                seen: running.activity.seen(),
            });
            seen.collect()
        })
    }
}

/// A fault of ours ended the act half-way; the next one puts it right.
fn fault() -> Refused {
    Failure::new(
        FailureCode::ShuttingDown,
        "a fault of sigward, or its end, cut this short; the log says more",
    )
    .into()
}
