//! One link: made from a served chain and a node, started, and waited for.

use std::sync::Arc;
use std::time::Duration;

use sigward_policies::authz::KeyFacts;
use sigward_policies::decision::Refused;
use sigward_policies::model::id::{ChainId, NodeName};
use sigward_policies::model::key::Key;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::chains::{Chain, no_row};
use crate::app::links::LinkSpec;
use crate::authn;
use crate::clock::SystemClock;
use crate::keyring::ConsensusKey;
use crate::listener::privval::Link;
use crate::sign::ChainSigner;
use crate::telemetry::activity::Activity;
use crate::telemetry::readiness::{Check, Weight};

/// A link that was told to stop first finishes the request that it is at: at most the deadline of a signature (4 s) and of a node
/// that takes its reply slowly (3 s).
const PATIENCE: Duration = Duration::from_secs(10);

/// A link that runs.
#[derive(Debug)]
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    pub(super) activity: Activity,
}

/// Starts the link of `spec`.
pub(super) fn start(
    shared: &Shared,
    spec: &LinkSpec,
    chain: &Chain,
    key: &ConsensusKey,
) -> Result<Running, Refused> {
    let slot = shared
        .parts
        .guard
        .slot(&spec.key, &spec.chain)
        .ok_or_else(|| no_row(&key.key.name, &spec.chain))?;
    let node_metrics = shared.metrics.node(&spec.chain, &spec.node);
    let chain_metrics = shared.metrics.chain(&spec.chain).asked_by(&node_metrics);
    chain_metrics.begins_at(&slot.row());
    let activity = Activity::default();
    let signer = ChainSigner {
        caller: authn::dialled_node(&spec.chain, &spec.node),
        chain: spec.chain.clone(),
        key: key.clone(),
        slot,
        limits: chain.limits.clone(),
        authorizer: shared.authorizer.clone(),
        policies: shared.policies.clone(),
        facts: facts_of(&key.key),
        store: shared.parts.store.clone(),
        denials: shared.denials.clone(),
        clock: Arc::new(SystemClock),
        metrics: shared.sign_metrics.clone(),
        chain_metrics: Arc::new(chain_metrics),
        activity: activity.clone(),
        spans: shared.spans.clone(),
    };
    let link = Link {
        node: spec.node.clone(),
        address: spec.address.clone(),
        signer,
        identity: shared.identity.clone(),
        metrics: node_metrics,
        check: shared.readiness.check(
            check_name(&spec.chain, &spec.node),
            Weight::Told,
            "see that the node runs and that its priv_validator_laddr is the address in the configuration",
        ).member_of(group_name(&spec.chain)),
    };
    let stop = shared.shutdown.child_token();
    let task = tokio::spawn(link.run(stop.clone()));
    Ok(Running { stop, task, activity })
}

/// Tells links to stop and waits until they have.
pub(super) async fn end(links: Vec<(LinkSpec, Running)>) {
    links.iter().for_each(|(_, running)| running.stop.cancel());
    let all = async {
        for (spec, running) in links {
            if running.task.await.is_err() {
                tracing::error!(alarm = true, chain = %spec.chain, node = %spec.node, "a fault of sigward ended a connection");
            }
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        tracing::error!(
            alarm = true,
            "a connection that was told to end does not; going on without it"
        );
    }
}

/// Takes a node that is no longer dialled out of what is told.
pub(super) fn forget(shared: &Shared, spec: &LinkSpec) {
    shared.readiness.forget(&check_name(&spec.chain, &spec.node));
    shared.metrics.forget_node(&spec.chain, &spec.node);
}

/// The check of a node that is not dialled by an operator's word.
pub(super) fn drained(shared: &Shared, chain: &ChainId, node: &NodeName) -> Check {
    let check = shared.readiness.check(
        check_name(chain, node),
        Weight::Told,
        format!("`sigward node undrain {chain}/{node}` dials it again"),
    );
    check.fail("drained by an operator: it is not dialled, and gets no signature");
    check
}

/// The check that needs one node of a chain.
pub(super) fn group_name(chain: &ChainId) -> String {
    format!("nodes/{chain}")
}

fn check_name(chain: &ChainId, node: &NodeName) -> String {
    format!("node/{chain}/{node}")
}

/// A key as rules speak of it.
fn facts_of(key: &Key) -> KeyFacts {
    KeyFacts {
        name: key.name.clone(),
        public_key: Some(key.version.public_key),
        provider: Some(key.version.provider.as_str().into()),
    }
}
