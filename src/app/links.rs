//! Which links run. A link is compared with what it was started with; what is equal is left alone.
//!
//! *Invariant:* after [`Links::part`] what runs is a subset of what is wanted, and each that still runs is the very one that ran
//! before. What it says to start makes both equal.

use std::collections::BTreeMap;

use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, NodeName};

use crate::config::NodeAddress;

/// Everything that a link is started with. The guard's settings are not among it: they change while it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LinkSpec {
    /// The chain.
    pub(super) chain: ChainId,
    /// The node's name.
    pub(super) node: NodeName,
    /// Where it listens.
    pub(super) address: NodeAddress,
    /// Whose signatures it gets.
    pub(super) key: PublicKey,
}

/// The links that run, each a `T`.
#[derive(Debug)]
pub(super) struct Links<T> {
    running: BTreeMap<(ChainId, NodeName), (LinkSpec, T)>,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) struct Plan<T> {
    /// No longer run: to be told to stop.
    pub(super) ended: Vec<(LinkSpec, T)>,
    /// To be started at once.
    pub(super) now: Vec<LinkSpec>,
    /// To be started when those that ended are gone: they follow one of them, by name or by address.
    pub(super) later: Vec<LinkSpec>,
}

impl<T> Default for Links<T> {
    fn default() -> Self {
        Self {
            running: BTreeMap::new(),
        }
    }
}

impl<T> Links<T> {
    /// Parts with every link that is not wanted as it is, and says what to start.
    pub(super) fn part(&mut self, wanted: impl IntoIterator<Item = LinkSpec>) -> Plan<T> {
        let mut wanted: BTreeMap<_, _> = wanted.into_iter().map(|spec| (spec.place(), spec)).collect();
        let ended: Vec<_> = self
            .running
            .extract_if(.., |place, (spec, _)| wanted.get(place) != Some(spec))
            .map(|(_, ended)| ended)
            .collect();
        wanted.retain(|place, _| !self.running.contains_key(place));
        let (later, now) = wanted.into_values().partition(|spec| {
            ended
                .iter()
                .any(|(gone, _)| gone.place() == spec.place() || gone.address == spec.address)
        });
        Plan { ended, now, later }
    }

    /// Notes a link that was started.
    pub(super) fn insert(&mut self, spec: LinkSpec, link: T) {
        self.running.insert(spec.place(), (spec, link));
    }

    /// Those that run.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(LinkSpec, T)> {
        self.running.values()
    }
}

impl LinkSpec {
    fn place(&self) -> (ChainId, NodeName) {
        (self.chain.clone(), self.node.clone())
    }
}

#[cfg(test)]
mod tests;
