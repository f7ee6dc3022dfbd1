//! Chains and nodes: how far each has come, what it was refused, and which nodes are connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sigward_policies::decision::{FailureCode, RefusalCode, Refused};
use sigward_policies::model::id::{ChainId, Height, NodeName};

use super::labels::{ChainLabels, NodeLabels, RefusalLabels};

#[derive(Debug)]
pub(super) struct ChainFamilies {
    height: Family<ChainLabels, Gauge>,
    skipped: Family<ChainLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
}

impl ChainFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            height: Family::default(),
            skipped: Family::default(),
            refusals: Family::default(),
        };
        registry.register(
            "last_signed_height",
            "Highest height with a signature",
            all.height.clone(),
        );
        registry.register(
            "skipped_heights",
            "Heights that were passed without any signature since the start",
            all.skipped.clone(),
        );
        registry.register(
            "refusals",
            "Requests without a signature, by reason",
            all.refusals.clone(),
        );
        all
    }

    pub(super) fn handles(&self, chain: &ChainId) -> ChainMetrics {
        let labels = ChainLabels {
            chain: chain.to_string(),
        };
        ChainMetrics {
            height: self.height.get_or_create_owned(&labels),
            skipped: self.skipped.get_or_create_owned(&labels),
            refusals: self.refusals.clone(),
            chain: labels.chain.into(),
        }
    }

    pub(super) fn forget(&self, chain: &ChainId) {
        let labels = ChainLabels {
            chain: chain.to_string(),
        };
        self.height.remove(&labels);
        self.skipped.remove(&labels);
        let codes = RefusalCode::ALL.iter().map(|code| code.as_str());
        for reason in codes.chain(FailureCode::ALL.iter().map(|code| code.as_str())) {
            let chain = labels.chain.clone();
            self.refusals.remove(&RefusalLabels { chain, reason });
        }
    }
}

/// Handles for one chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChainMetrics {
    height: Gauge,
    skipped: Counter,
    refusals: Family<RefusalLabels, Counter>,
    chain: Arc<str>,
}

impl ChainMetrics {
    /// Tells where the guard stands at the start; counts nothing.
    pub fn begins_at(&self, height: Height) {
        self.height.inner().fetch_max(height.value(), Ordering::Relaxed);
    }

    /// Notes that a message of `height` was signed. Heights between the last one and this one were skipped; several nodes may
    /// tell at once and in any order.
    pub fn signed(&self, height: Height) {
        let last = self.height.inner().fetch_max(height.value(), Ordering::Relaxed);
        let skipped = height.value().saturating_sub(last).saturating_sub(1);
        if last > 0 && skipped > 0 {
            self.skipped.inc_by(skipped.unsigned_abs());
        }
    }

    /// Counts a request that got no signature. The slow way: labels are looked up.
    pub fn refused(&self, refused: &Refused) {
        self.refusals
            .get_or_create(&RefusalLabels {
                chain: self.chain.to_string(),
                reason: refused.code(),
            })
            .inc();
    }
}

#[derive(Debug)]
pub(super) struct NodeFamilies {
    connected: Family<NodeLabels, Gauge>,
    reconnects: Family<NodeLabels, Counter>,
}

impl NodeFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            connected: Family::default(),
            reconnects: Family::default(),
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
        all
    }

    pub(super) fn handles(&self, chain: &ChainId, node: &NodeName) -> NodeMetrics {
        let labels = labels(chain, node);
        NodeMetrics {
            connected: self.connected.get_or_create_owned(&labels),
            reconnects: self.reconnects.get_or_create_owned(&labels),
            before: Arc::default(),
        }
    }

    pub(super) fn forget(&self, chain: &ChainId, node: &NodeName) {
        let labels = labels(chain, node);
        self.connected.remove(&labels);
        self.reconnects.remove(&labels);
    }
}

fn labels(chain: &ChainId, node: &NodeName) -> NodeLabels {
    NodeLabels {
        chain: chain.to_string(),
        node: node.to_string(),
    }
}

/// Handles for one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    connected: Gauge,
    reconnects: Counter,
    before: Arc<AtomicBool>,
}

/// A connection that stands: the gauge falls when this is dropped, however the connection ends.
#[derive(Debug)]
#[must_use = "the connection counts as closed when this is dropped"]
pub struct Connected(Gauge);

impl NodeMetrics {
    /// Notes that the node is connected, until the returned value is dropped.
    pub fn connected(&self) -> Connected {
        if self.before.swap(true, Ordering::Relaxed) {
            self.reconnects.inc();
        }
        self.connected.inc();
        Connected(self.connected.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}
