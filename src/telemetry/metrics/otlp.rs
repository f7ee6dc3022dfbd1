//! Spans on their way to a collector: how many it has, and how many it has not, and why.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::ReasonLabels;

/// Why a span was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dropped {
    /// Too many waited, or nobody sends any more.
    NoRoom,
    /// Too many calls in one second.
    Pace,
    /// The collector was away for too long, or when sigward ended.
    Away,
    /// The collector did not want it.
    Refused,
}

impl Dropped {
    const ALL: [Self; 4] = [Self::NoRoom, Self::Pace, Self::Away, Self::Refused];

    const fn as_str(self) -> &'static str {
        match self {
            Self::NoRoom => "no_room",
            Self::Pace => "pace",
            Self::Away => "away",
            Self::Refused => "refused",
        }
    }
}

/// Handles for spans on their way. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OtlpMetrics {
    exported: Counter,
    dropped: Family<ReasonLabels, Counter>,
}

impl OtlpMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            exported: Counter::default(),
            dropped: Family::default(),
        };
        registry.register(
            "otlp_spans_exported",
            "Spans that the collector of traces has taken",
            all.exported.clone(),
        );
        registry.register(
            "otlp_spans_dropped",
            "Spans that it will not get, by reason: no_room, pace, away, refused",
            all.dropped.clone(),
        );
        for reason in Dropped::ALL {
            all.dropped(reason, 0);
        }
        all
    }

    /// The collector has taken so many.
    pub fn exported(&self, spans: u64) {
        self.exported.inc_by(spans);
    }

    /// So many are gone.
    pub fn dropped(&self, why: Dropped, spans: u64) {
        let labels = ReasonLabels { reason: why.as_str() };
        self.dropped.get_or_create(&labels).inc_by(spans);
    }
}
