//! Nodes: which are connected and over what, and which of them had each position signed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sigward_policies::model::id::{ChainId, NodeName};

use super::labels::{LinkLabels, NodeLabels};

/// What a node's connection is made of, and what it proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// A unix socket: file permissions say who is there.
    Unix,
    /// TCP on this machine.
    Loopback,
    /// TCP to another machine, whose far end proves nothing.
    Network,
}

const KINDS: [LinkKind; 3] = [LinkKind::Unix, LinkKind::Loopback, LinkKind::Network];

impl LinkKind {
    /// The word for it in labels and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Loopback => "loopback",
            Self::Network => "unauthenticated_network",
        }
    }
}

#[derive(Debug)]
pub(super) struct NodeFamilies {
    connected: Family<NodeLabels, Gauge>,
    reconnects: Family<NodeLabels, Counter>,
    positions: Family<NodeLabels, Counter>,
    links: Family<LinkLabels, Gauge>,
    drained: Family<NodeLabels, Gauge>,
    /// The handles that were given out, to be read back; one for each configured node.
    known: Mutex<BTreeMap<(String, String), NodeMetrics>>,
}

/// What is known of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSeen {
    /// Its name.
    pub node: String,
    /// What its link is; unknown before the first attempt.
    pub link: Option<LinkKind>,
    /// Since when it is connected, microseconds since 1970; `None` when it is not.
    pub connected_since: Option<i64>,
    /// Connections after the first.
    pub reconnects: u64,
    /// Positions that were signed because this node asked first.
    pub positions: u64,
    /// Whether an operator has drained it.
    pub drained: bool,
}

impl NodeFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            connected: Family::default(),
            reconnects: Family::default(),
            positions: Family::default(),
            links: Family::default(),
            drained: Family::default(),
            known: Mutex::default(),
        };
        registry.register(
            "node_connected",
            "1 while the node is connected",
            all.connected.clone(),
        );
        registry.register(
            "node_reconnects",
            "Connections to the node after its first one",
            all.reconnects.clone(),
        );
        registry.register(
            "positions",
            "Positions signed for the node that asked first; repeats are not counted",
            all.positions.clone(),
        );
        registry.register(
            "node_drained",
            "1 while an operator has drained the node: it is not dialled",
            all.drained.clone(),
        );
        registry.register(
            "node_link",
            "1 for what the link is: unix, loopback, unauthenticated_network",
            all.links.clone(),
        );
        all
    }

    pub(super) fn handles(&self, chain: &ChainId, node: &NodeName) -> NodeMetrics {
        let labels = labels(chain, node);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry((labels.chain.clone(), labels.node.clone()))
            .or_insert_with(|| NodeMetrics {
                connected: self.connected.get_or_create_owned(&labels),
                reconnects: self.reconnects.get_or_create_owned(&labels),
                positions: self.positions.get_or_create_owned(&labels),
                links: self.links.clone(),
                link: Arc::default(),
                drained: self.drained.get_or_create_owned(&labels),
                labels: Arc::new(labels),
                before: Arc::default(),
                since: Arc::default(),
            })
            .clone()
    }

    pub(super) fn forget(&self, chain: &ChainId, node: &NodeName) {
        let labels = labels(chain, node);
        self.connected.remove(&labels);
        self.reconnects.remove(&labels);
        self.positions.remove(&labels);
        self.drained.remove(&labels);
        KINDS.iter().for_each(|kind| {
            self.links.remove(&labels.over(*kind));
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&(labels.chain, labels.node));
    }

    /// What is known of the nodes of `chain`, by name.
    pub(super) fn seen(&self, chain: &ChainId) -> Vec<NodeSeen> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of_chain = known.iter().filter(|((of, _), _)| of == chain.as_str());
        of_chain.map(|((_, node), metrics)| metrics.seen(node)).collect()
    }
}

fn labels(chain: &ChainId, node: &NodeName) -> NodeLabels {
    NodeLabels {
        chain: chain.to_string(),
        node: node.to_string(),
    }
}

impl NodeLabels {
    fn over(&self, kind: LinkKind) -> LinkLabels {
        LinkLabels {
            chain: self.chain.clone(),
            node: self.node.clone(),
            link: kind.as_str(),
        }
    }
}

/// Handles for one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    connected: Gauge,
    reconnects: Counter,
    positions: Counter,
    links: Family<LinkLabels, Gauge>,
    link: Arc<Mutex<Option<LinkKind>>>,
    labels: Arc<NodeLabels>,
    drained: Gauge,
    before: Arc<AtomicBool>,
    /// Microseconds since 1970 of the connection that stands; 0 for none.
    since: Arc<AtomicI64>,
}

/// A connection that stands: the gauge falls when this is dropped, however the connection ends.
#[derive(Debug)]
#[must_use = "the connection counts as closed when this is dropped"]
pub struct Connected(NodeMetrics);

impl NodeMetrics {
    /// Notes that the node is connected, until the returned value is dropped.
    pub fn connected(&self) -> Connected {
        if self.before.swap(true, Ordering::Relaxed) {
            self.reconnects.inc();
        }
        self.connected.inc();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.since.store(
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX).max(1),
            Ordering::Relaxed,
        );
        Connected(self.clone())
    }

    /// Says what the link is.
    pub fn link(&self, kind: LinkKind) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            self.links.remove(&self.labels.over(other));
        }
        self.links.get_or_create(&self.labels.over(kind)).set(1);
    }

    /// Says whether an operator has drained the node.
    pub fn drained(&self, drained: bool) {
        self.drained.set(i64::from(drained));
    }

    /// Notes that a position was signed because this node asked.
    pub(super) fn won(&self) {
        self.positions.inc();
    }

    fn seen(&self, node: &str) -> NodeSeen {
        let since = self.since.load(Ordering::Relaxed);
        NodeSeen {
            node: node.to_owned(),
            link: *self.link.lock().unwrap_or_else(PoisonError::into_inner),
            connected_since: (self.connected.get() > 0 && since > 0).then_some(since),
            reconnects: self.reconnects.get(),
            positions: self.positions.get(),
            drained: self.drained.get() > 0,
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connected.dec();
    }
}
