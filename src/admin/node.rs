//! Acts on nodes: list, drain, dial again. A drained node is a hold in the store: it outlives the process, and the store refuses what
//! the node asks even where its connection still stands.

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::holding::{Fact, Hold, Holds, Place};
use sigward_policies::model::id::{ChainId, NodeName};

use super::Admin;
use super::act::Act;
use crate::audit::{self, Asked, Asker};
use crate::config::NodeAddress;
use crate::store::{Batch, Change};

/// A node of the configuration in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfiguredNode {
    /// Its chain.
    pub chain: ChainId,
    /// Its name.
    pub name: NodeName,
    /// Where it listens.
    pub address: NodeAddress,
    /// Whether it is drained.
    pub drained: bool,
}

/// Whether the last node of a chain may be drained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastNode {
    /// No: the chain would sign nothing.
    Keep,
    /// Yes, its operator said so.
    Drain,
}

/// How it begins what it says of a chain that is not there.
pub const NO_CHAIN: &str = "the configuration in force has no chain";

impl Admin {
    /// The nodes of the configuration in force, of one chain or of all.
    pub async fn nodes(&self, chain: Option<&ChainId>) -> Result<Vec<ConfiguredNode>, Refused> {
        let holds = self.holds().await?;
        let chains = self.chains.now();
        if let Some(asked) = chain
            && !chains.iter().any(|chain| chain.id == *asked)
        {
            return Err(no_chain(asked).into());
        }
        let wanted = chains
            .iter()
            .filter(|of| chain.is_none_or(|chain| of.id == *chain));
        let nodes = wanted.flat_map(|of| {
            of.nodes.iter().map(|node| ConfiguredNode {
                chain: of.id.clone(),
                name: node.name.clone(),
                address: node.address.clone(),
                drained: holds.is_drained(&of.id, &node.name),
            })
        });
        Ok(nodes.collect())
    }

    /// Puts on record that a node is to be left alone. Again is nothing.
    pub async fn drain(
        &self,
        who: &Asker,
        chain: &ChainId,
        name: &NodeName,
        last: LastNode,
    ) -> Result<(), Refused> {
        let nodes = self.nodes(Some(chain)).await?;
        let node = nodes.iter().find(|node| node.name == *name);
        if node.ok_or_else(|| no_node(chain, name))?.drained {
            return Ok(());
        }
        let others = nodes.iter().any(|node| node.name != *name && !node.drained);
        if !others && last == LastNode::Keep {
            return Err(Refusal::new(
                RefusalCode::LastNode,
                format!("{name} is the last node of {chain} that is not drained: without it the chain signs nothing. If that is meant: --force"),
            )
            .into());
        }
        let hold = Hold {
            fact: Fact::Drained(chain.clone(), name.clone()),
            note: self.note(who, ""),
        };
        self.record(who, Act::NodeDrain, chain, name, Change::Hold(hold))
            .await
    }

    /// Puts on record that a node is dialled again. A node that the configuration does not name now may be told of too.
    pub async fn undrain(&self, who: &Asker, chain: &ChainId, name: &NodeName) -> Result<(), Refused> {
        if !self.holds().await?.is_drained(chain, name) {
            let nodes = self.nodes(Some(chain)).await?;
            return match nodes.iter().any(|node| node.name == *name) {
                true => Ok(()),
                false => Err(no_node(chain, name).into()),
            };
        }
        let lift = Change::Lift {
            place: Place::Node(chain.clone(), name.clone()),
            note: self.note(who, ""),
        };
        self.record(who, Act::NodeUndrain, chain, name, lift).await
    }

    /// Every hold in force.
    pub async fn holds(&self) -> Result<Holds, Refused> {
        self.read(|store| store.holds()).await
    }

    async fn record(
        &self,
        who: &Asker,
        act: Act,
        chain: &ChainId,
        name: &NodeName,
        change: Change,
    ) -> Result<(), Refused> {
        let asked = Asked::act(who, act.as_str(), None, Some(chain.clone()));
        let entry = audit::of_act(asked, name.as_str(), self.clock.unix_micros());
        self.guard
            .change_holds(&self.store, Batch::act(vec![change], entry))
            .await
            .map(|_receipts| ())
    }
}

fn no_chain(chain: &ChainId) -> Refusal {
    let message = format!("{NO_CHAIN} {chain}; `sigward node list` shows what it has");
    Refusal::new(RefusalCode::NodeNotFound, message)
}

fn no_node(chain: &ChainId, name: &NodeName) -> Refusal {
    let message =
        format!("{chain} has no node {name}; `sigward node list --chain {chain}` shows those it has");
    Refusal::new(RefusalCode::NodeNotFound, message)
}
