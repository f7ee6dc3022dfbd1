//! Joins the pipeline and the links to metrics and readiness.

use std::sync::Arc;
use std::time::Duration;

use sigward_policies::decision::Refused;
use sigward_policies::model::operation::Operation;
use sigward_policies::model::payload::Position;

use crate::listener::privval::LinkObserver;
use crate::sign::{Observer, Stage};
use crate::telemetry::{NodeMetrics, Readiness};

/// Counts what one node's requests come to.
pub(super) struct SignMetrics(Arc<NodeMetrics>);

impl SignMetrics {
    pub(super) const fn new(metrics: Arc<NodeMetrics>) -> Self {
        Self(metrics)
    }
}

impl Observer for SignMetrics {
    fn stage(&self, operation: Operation, stage: Stage, took: Duration) {
        self.0.stage(operation, stage.into(), took);
    }

    fn released(&self, operation: Operation, position: Position, repeat: bool) {
        self.0.released(operation, position.height, repeat);
    }

    fn refused(&self, operation: Option<Operation>, refused: &Refused) {
        self.0.refused(operation, refused);
    }
}

/// Says how one node's connection is.
pub(super) struct LinkMetrics {
    metrics: Arc<NodeMetrics>,
    readiness: Arc<Readiness>,
    check: String,
}

impl LinkMetrics {
    pub(super) fn new(metrics: Arc<NodeMetrics>, readiness: Arc<Readiness>, check: String) -> Self {
        readiness.fail(&check, "not connected yet");
        Self { metrics, readiness, check }
    }
}

impl LinkObserver for LinkMetrics {
    fn connected(&self) {
        self.metrics.connected(true);
        self.readiness.pass(&self.check);
    }

    fn disconnected(&self) {
        self.metrics.connected(false);
        self.readiness.fail(&self.check, "not connected to the node");
    }
}
