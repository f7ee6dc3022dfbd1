//! From a configuration to what runs: chains find their keys, links end and begin.

use std::collections::{BTreeMap, BTreeSet};

use sigward_policies::authz::NodeGrant;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::id::{ChainId, Generation, KeyName};

use super::connect::{self, Running};
use super::{Shared, State};
use crate::app::links::{LinkSpec, Links};
use crate::app::parts;
use crate::config::diff::Guarded;
use crate::config::{ChainConfig, Config, NodeConfig};
use crate::keyring::ConsensusKey;
use crate::sign::LiveLimits;
use crate::telemetry::readiness::{Check, Weight};

/// A chain of the configuration in force.
pub(super) struct Chain {
    /// Speaks for it as long as it is configured.
    check: Check,
    /// Its guard's settings; the links hold the same.
    pub(super) limits: LiveLimits,
    /// The key, where the chain can be served.
    key: Option<ConsensusKey>,
    /// Fails while none of its nodes is connected; nobody asks about a chain that is not served.
    nodes: Option<Check>,
}

impl State {
    /// Puts `new` in force: whatever it says of chains and nodes. Returns what the operator should hear.
    pub(super) async fn take_over(&mut self, shared: &Shared, new: &Config) -> Vec<String> {
        let old = std::mem::replace(&mut self.config.chains, new.chains.clone());
        self.generation = Generation(self.generation.0.saturating_add(1));
        let kept: BTreeSet<_> = new.chains.iter().map(|chain| &chain.id).collect();
        let gone: Vec<_> = old.iter().filter(|chain| !kept.contains(&chain.id)).collect();
        let mut unserved = Vec::new();
        for chain in &new.chains {
            let before = old.iter().find(|before| before.id == chain.id);
            let held = self.chains.remove(&chain.id);
            let (now, refused) = settled(shared, chain, &new.chains, before, held).await;
            unserved.extend(refused.map(|refused| format!("chain {} is not served: {refused}", chain.id)));
            self.chains.insert(chain.id.clone(), now);
            self.departed.remove(&chain.id);
        }
        let chains_now = self.config.chains.iter().map(parts::configured);
        shared.parts.admin.chains.replace(chains_now);
        for chain in &gone {
            self.departed.insert(chain.id.clone(), Guarded::of(chain));
        }
        self.link(shared).await;
        for chain in &gone {
            if let Some(chain) = self.chains.remove(&chain.id) {
                chain.check.retire();
                chain.nodes.into_iter().for_each(Check::retire);
            }
            shared.metrics.forget_chain(&chain.id);
        }
        shared
            .metrics
            .set_unauthenticated_links(new.unauthenticated_links());
        shared.held.tell();
        unserved
    }

    /// Serves chains of the configuration in force that could not be served when it was taken.
    pub(super) async fn serve_more(&mut self, shared: &Shared) {
        let mut more = false;
        let all = self.config.chains.clone();
        for chain in &all {
            let held = self.chains.remove(&chain.id);
            let waits = held.as_ref().is_none_or(|held| held.key.is_none());
            let (now, _told) = settled(shared, chain, &all, Some(chain), held).await;
            more |= waits && now.key.is_some();
            self.chains.insert(chain.id.clone(), now);
        }
        if more {
            self.link(shared).await;
            shared.held.tell();
        }
    }

    /// Brings the links in line with the configuration in force and with what the store says of drained nodes.
    pub(super) async fn settle(&mut self, shared: &Shared) {
        self.link(shared).await;
    }

    /// Ends and begins links until what runs is what is wanted. Rules come first for those that begin and last for those that end:
    /// a request under way is judged by those that it came under.
    async fn link(&mut self, shared: &Shared) {
        match shared.parts.admin.holds().await {
            Ok(holds) => self.holds = holds,
            // What was known stays: the store refuses what a drained node asks, and everything else while it fails.
            Err(refused) => tracing::error!(
                alarm = true,
                code = refused.code(),
                "the drained nodes are not known anew: {refused}"
            ),
        }
        let plan = self.links.part(self.wanted());
        let ending = plan.ended.iter().map(|(spec, _)| spec);
        let meanwhile = self.specs().chain(&plan.now).chain(ending);
        shared.authorizer.replace(meanwhile.map(grant));
        start(shared, &self.chains, &mut self.links, plan.now);
        let ended: Vec<_> = plan.ended.iter().map(|(spec, _)| spec.clone()).collect();
        connect::end(plan.ended).await;
        shared
            .authorizer
            .replace(self.specs().chain(&plan.later).map(grant));
        let replaced = |spec: &LinkSpec| {
            plan.later
                .iter()
                .any(|new| (&new.chain, &new.node) == (&spec.chain, &spec.node))
        };
        ended
            .iter()
            .filter(|spec| !replaced(spec))
            .for_each(|spec| connect::forget(shared, spec));
        start(shared, &self.chains, &mut self.links, plan.later);
        self.tell_of_drained(shared);
    }

    /// A node that is left alone on purpose stays in sight: with its metrics, and with a check that says what brings it back.
    fn tell_of_drained(&mut self, shared: &Shared) {
        let drained = self.config.chains.iter().flat_map(|chain| {
            let of_chain = |node: &&NodeConfig| self.holds.is_drained(&chain.id, &node.name);
            let place = |node: &NodeConfig| (chain.id.clone(), node.name.clone());
            chain.nodes.iter().filter(of_chain).map(place)
        });
        let drained: BTreeSet<_> = drained.collect();
        let over: Vec<_> = self
            .drained
            .extract_if(.., |place, _| !drained.contains(place))
            .collect();
        for ((chain, node), check) in over {
            check.retire();
            let configured = self
                .config
                .chains
                .iter()
                .any(|known| known.id == chain && known.nodes.iter().any(|known| known.name == node));
            match configured {
                true => shared.metrics.node(&chain, &node).drained(false),
                false => shared.metrics.forget_node(&chain, &node),
            }
        }
        for (chain, node) in drained {
            shared.metrics.node(&chain, &node).drained(true);
            let place = (chain.clone(), node.clone());
            self.drained
                .entry(place)
                .or_insert_with(|| connect::drained(shared, &chain, &node));
        }
    }

    fn wanted(&self) -> Vec<LinkSpec> {
        let of = |chain: &ChainConfig| {
            let key = self.chains.get(&chain.id)?.key.as_ref()?.key.version.public_key;
            let dialled = |node: &&NodeConfig| !self.holds.is_drained(&chain.id, &node.name);
            let specs = chain.nodes.iter().filter(dialled).map(move |node| LinkSpec {
                chain: chain.id.clone(),
                node: node.name.clone(),
                address: node.address.clone(),
                key,
            });
            Some(specs.collect::<Vec<_>>())
        };
        self.config.chains.iter().filter_map(of).flatten().collect()
    }

    fn specs(&self) -> impl Iterator<Item = &LinkSpec> {
        self.links.iter().map(|(spec, _)| spec)
    }
}

fn start(
    shared: &Shared,
    chains: &BTreeMap<ChainId, Chain>,
    links: &mut Links<Running>,
    specs: Vec<LinkSpec>,
) {
    for spec in specs {
        let Some(chain) = chains.get(&spec.chain) else {
            continue;
        };
        let Some(key) = &chain.key else { continue };
        match connect::start(shared, &spec, chain, key) {
            Ok(running) => links.insert(spec, running),
            Err(refused) => alarm(chain, &spec.chain, &refused),
        }
    }
}

/// The chain as it is now. One that is served and says the same is not looked at; the guard's settings become stricter in place.
async fn settled(
    shared: &Shared,
    chain: &ChainConfig,
    all: &[ChainConfig],
    before: Option<&ChainConfig>,
    held: Option<Chain>,
) -> (Chain, Option<Refused>) {
    let held = held.unwrap_or_else(|| Chain {
        check: shared.readiness.check(
            format!("chain/{}", chain.id),
            Weight::Required,
            "see the log; `sigward keys list` and `sigward state show` say what there is; then `sigward reload`",
        ),
        limits: LiveLimits::new(chain.limits),
        key: None,
        nodes: None,
    });
    held.limits.tighten(chain.limits);
    let same = before.is_some_and(|before| (&before.key, before.shared) == (&chain.key, chain.shared));
    if same && held.key.is_some() {
        return (held, None);
    }
    let found = key_of(shared, chain, all).await;
    match &found {
        Ok(_) => held.check.good(),
        Err(refused) => alarm(&held, &chain.id, refused),
    }
    let refused = found.as_ref().err().cloned();
    let Chain {
        check, limits, nodes, ..
    } = held;
    let nodes = match (&refused, nodes) {
        (None, None) => Some(shared.readiness.one_of(
            connect::group_name(&chain.id),
            Weight::Required,
            "no node is connected: nobody asks for signatures",
            "see what the checks of its nodes say; `sigward node list` shows them",
        )),
        (None, some) => some,
        (Some(_), some) => {
            some.into_iter().for_each(Check::retire);
            None
        }
    };
    let now = Chain {
        check,
        limits,
        key: found.ok(),
        nodes,
    };
    (now, refused)
}

fn alarm(chain: &Chain, id: &ChainId, refused: &Refused) {
    tracing::error!(alarm = true, chain = %id, code = refused.code(), "a chain is not served: {refused}");
    chain.check.fail(refused.to_string());
}

async fn key_of(shared: &Shared, chain: &ChainConfig, all: &[ChainConfig]) -> Result<ConsensusKey, Refused> {
    shared.parts.admin.bind(&parts::configured(chain), all).await?;
    let key = usable(shared, &chain.key).await?;
    if shared
        .parts
        .guard
        .slot(&key.key.version.public_key, &chain.id)
        .is_none()
    {
        return Err(no_row(&chain.key, &chain.id));
    }
    tell_of_moved_out(shared, chain).await?;
    Ok(key)
}

/// A key that was moved out is served, because it may come back any moment; until then all it gives are refusals.
async fn tell_of_moved_out(shared: &Shared, chain: &ChainConfig) -> Result<(), Refused> {
    let states = shared
        .parts
        .admin
        .states(Some(&chain.key), Some(&chain.id))
        .await?;
    if states.iter().any(|state| state.row.row.stopped) {
        tracing::warn!(
            alarm = true, chain = %chain.id, key = %chain.key, code = RefusalCode::KeyStopped.as_str(),
            "the key was moved out of this chain (`sigward state export`): it signs nothing here; take the chain out of the configuration, or bring the key back with its newest state (`sigward state import`)"
        );
    }
    Ok(())
}

/// The key, from the ring or from a sealed file that has come since. The store knows it: making it anew is no advice.
pub(super) async fn usable(shared: &Shared, name: &KeyName) -> Result<ConsensusKey, Refused> {
    if let Ok(key) = shared.parts.keyring.find(name) {
        return Ok(key);
    }
    shared.parts.admin.open_keys().await?;
    match shared.parts.keyring.find(name) {
        Ok(key) => Ok(key),
        // Why not, in the words of its provider.
        Err(unknown) => match shared.parts.admin.open_key(name).await {
            Ok(()) => Ok(shared.parts.keyring.find(name)?),
            Err(Refused::Denied(refusal)) if refusal.code == RefusalCode::KeyNotFound => {
                let message = format!("{name} is known, but its sealed file does not open; the log says why");
                Err(Refusal::new(unknown.code, message).into())
            }
            Err(refused) => Err(refused),
        },
    }
}

fn grant(spec: &LinkSpec) -> NodeGrant {
    NodeGrant {
        chain: spec.chain.clone(),
        node: spec.node.clone(),
        key: spec.key,
    }
}

pub(super) fn no_row(key: &KeyName, chain: &ChainId) -> Refused {
    Refusal::new(
        RefusalCode::NoSignState,
        format!("{key} has no guard row on {chain}"),
    )
    .into()
}
