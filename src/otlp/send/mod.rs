//! Sending: a collector is opened by what the configuration says of it, and one task brings it what there is.
//!
//! `words` turns reports into OTLP, `collector` brings it there by `grpc` or `post` over a connection of `peer`, with what `headers` reads;
//! `sender` is the task.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use self::collector::Collector;
use self::sender::Sender;
use self::words::Words;
use crate::config::OtlpConfig;
use crate::telemetry::metrics::OtlpMetrics;
use crate::telemetry::readiness::Check;
use crate::telemetry::spans::Spans;
use crate::tls::TlsError;

mod collector;
mod grpc;
mod headers;
mod peer;
mod post;
mod sender;
#[cfg(test)]
mod tests;
mod words;

/// Why nothing can be sent: a file of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The authorities of the collector's certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The headers that it wants.
    #[error(transparent)]
    Headers(#[from] headers::HeadersError),
}

/// A way for the reports of `instance`, and what sends them until some time after `stop`. Nothing is dialled before there is a report.
pub fn open(
    to: &OtlpConfig,
    instance: String,
    metrics: OtlpMetrics,
    check: impl FnOnce() -> Check,
    stop: CancellationToken,
) -> Result<(Spans, impl Future<Output = ()> + Send + 'static), OtlpError> {
    let collector = Collector::new(to)?;
    say_what_is_ignored();
    let (spans, queue) = Spans::open(to.sample.share(), metrics.clone());
    let sender = Sender::new(collector, Words::of(instance), metrics, check());
    Ok((spans, sender.run(queue, stop)))
}

/// Whether the files that the configuration names are such that `serve` would start with them.
pub fn check(to: &OtlpConfig) -> Result<(), OtlpError> {
    Collector::new(to).map(drop)
}

fn say_what_is_ignored() {
    let ignored = names(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
    if !ignored.is_empty() {
        tracing::warn!("traces: of no effect here, as [otlp] says where they go: {ignored}");
    }
}

/// Those that an SDK of OpenTelemetry would go by; never what they say, which may be a secret.
fn names(variables: impl Iterator<Item = String>) -> String {
    let mut names: Vec<_> = variables.filter(|name| name.starts_with("OTEL_")).collect();
    names.sort();
    names.truncate(8);
    names.join(", ")
}
