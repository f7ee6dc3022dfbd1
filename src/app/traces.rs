//! Traces on their way to a collector, as the daemon looks after them: begun before the first request, ended after the last.
//!
//! *Invariant:* what sends runs among the doors (`doors`), on threads that give way; that it is slow, away or gone costs no request anything.

use std::sync::Arc;
use std::time::Duration;

use sigward_policies::model::id::StoreId;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::otlp;
use crate::telemetry::Metrics;
use crate::telemetry::readiness::{Readiness, Weight};
use crate::telemetry::spans::Spans;

/// A little more than what sends gives itself for the last spans.
const LAST: Duration = Duration::from_millis(2500);

/// Where spans go, and who sends them.
pub(super) struct Traces {
    spans: Spans,
    sender: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Traces {
    /// Begins to send to the collector of the configuration, if there is one. Bad files end the start.
    pub(super) fn begin(
        config: &Config,
        store: StoreId,
        (metrics, readiness): (&Arc<Metrics>, &Readiness),
        place: &Handle,
    ) -> anyhow::Result<Self> {
        let Some(to) = &config.otlp else {
            return Ok(Self {
                spans: Spans::default(),
                sender: None,
            });
        };
        let stop = CancellationToken::new();
        let check = || {
            readiness.check(
                "traces",
                Weight::Told,
                "everything is signed; see that the collector of [otlp] runs, and what it says: spans that find no room are dropped and counted",
            )
        };
        let (spans, sending) = otlp::open(to, store.to_string(), metrics.otlp(), check, stop.clone())?;
        tracing::info!(collector = %to, "traces");
        let sender = place.spawn(sending);
        Ok(Self {
            spans,
            sender: Some((sender, stop)),
        })
    }

    /// Where spans go.
    pub(super) fn spans(&self) -> Spans {
        self.spans.clone()
    }

    /// Sends what is left, for a little while. No request is served any more.
    pub(super) async fn end(self) {
        if let Some((sender, stop)) = self.sender {
            stop.cancel();
            let _sent_or_late = timeout(LAST, sender).await;
        }
    }
}
