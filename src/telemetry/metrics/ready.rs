//! Whether sigward is ready, as a number: read from the checks when somebody asks.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::telemetry::readiness::Readiness;

/// Silent until it is told whose checks count.
#[derive(Clone, Default, Debug)]
pub(super) struct ReadyCollector(pub(super) Arc<OnceLock<Readiness>>);

impl Collector for ReadyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(readiness) = self.0.get() else {
            return Ok(());
        };
        let report = readiness.report();
        let failing = report
            .checks
            .iter()
            .filter(|check| check.failing.is_some())
            .count();
        for (name, help, value) in [
            (
                "ready",
                "1 when every required check is good, as /readyz says.",
                i64::from(report.ready),
            ),
            (
                "failing_checks",
                "Checks that fail, required or not; `sigward status` names them.",
                i64::try_from(failing).unwrap_or(i64::MAX),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
