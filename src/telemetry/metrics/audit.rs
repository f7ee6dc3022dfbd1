//! The audit chain behind the front: how far each place that keeps it or vouches for it lags.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::labels::SinkLabels;

/// Handles for the keeper of the audit chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    lag: Family<SinkLabels, Gauge>,
    exported: Gauge,
    base: Gauge,
}

impl AuditMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            lag: Family::default(),
            exported: Gauge::default(),
            base: Gauge::default(),
        };
        registry.register_with_unit(
            "audit_lag",
            "Age of the oldest audit record that the sink does not have: checkpoint, segment, and each anchor",
            Unit::Seconds,
            all.lag.clone(),
        );
        registry.register(
            "audit_exported_seq",
            "Last record of the audit chain in a segment",
            all.exported.clone(),
        );
        registry.register(
            "audit_base_seq",
            "Last record of the audit chain that left the database",
            all.base.clone(),
        );
        for sink in ["checkpoint", "segment"] {
            all.lags(sink, Duration::ZERO);
        }
        all
    }

    /// How old the oldest record is that `sink` does not have.
    pub fn lags(&self, sink: &'static str, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.lag.get_or_create(&SinkLabels { sink }).set(seconds);
    }

    /// The last record in a segment, and the last that left the database.
    pub fn kept(&self, exported: u64, base: u64) {
        self.exported.set(i64::try_from(exported).unwrap_or(i64::MAX));
        self.base.set(i64::try_from(base).unwrap_or(i64::MAX));
    }
}
