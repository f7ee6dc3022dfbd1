//! A program that was built without the feature `otel`: there is nothing that could send.

use std::future::Ready;

use tokio_util::sync::CancellationToken;

use crate::config::OtlpConfig;
use crate::telemetry::metrics::OtlpMetrics;
use crate::telemetry::readiness::Check;
use crate::telemetry::spans::Spans;

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
#[error("feature_not_built_in: this sigward was built without OpenTelemetry: it cannot send traces")]
pub struct OtlpError;

/// Refuses. The configuration was refused before.
pub fn open(
    _to: &OtlpConfig,
    _instance: String,
    _metrics: OtlpMetrics,
    _check: impl FnOnce() -> Check,
    _stop: CancellationToken,
) -> Result<(Spans, Ready<()>), OtlpError> {
    Err(OtlpError)
}

/// Refuses, too.
pub const fn check(_to: &OtlpConfig) -> Result<(), OtlpError> {
    Err(OtlpError)
}
