//! The store: how far it has come, how well its commits are shared, and whether it still accepts any.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::LaneLabels;
use super::latency::Latency;
use super::sign::SECONDS;

/// Upper bounds of batches in one commit.
const BATCHES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Where whatever is no signature waits for the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// What an operator changes.
    Acts,
    /// What is only put on record: readings, and denials.
    Records,
    /// Readings.
    Looks,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Acts, Self::Records, Self::Looks];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Records => "records",
            Self::Looks => "looks",
        }
    }
}

/// Handles for the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    healthy: Gauge,
    commit: Gauge,
    audit: Gauge,
    batches: Histogram,
    seconds: Histogram,
    busy: Family<LaneLabels, Counter>,
    pub(super) conflicts: Counter,
    pub(super) latency: Latency,
}

impl StoreMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            healthy: Gauge::default(),
            commit: Gauge::default(),
            audit: Gauge::default(),
            batches: Histogram::new(BATCHES),
            seconds: Histogram::new(SECONDS),
            busy: Family::default(),
            conflicts: Counter::default(),
            latency: Latency::default(),
        };
        registry.register(
            "store_healthy",
            "1 while the store commits; 0 refuses everything until a restart",
            all.healthy.clone(),
        );
        registry.register("store_commit", "Sequence of the last commit", all.commit.clone());
        registry.register("audit_chain_seq", "Records in the audit chain", all.audit.clone());
        registry.register(
            "store_batch_size",
            "Batches that shared a commit",
            all.batches.clone(),
        );
        registry.register_with_unit(
            "store_commit_duration",
            "Time of a commit with its witness",
            Unit::Seconds,
            all.seconds.clone(),
        );
        registry.register(
            "store_busy",
            "What found too much waiting before it and was refused, by the lane that was full",
            all.busy.clone(),
        );
        for lane in Lane::ALL {
            drop(all.busy.get_or_create(&LaneLabels { lane: lane.as_str() }));
        }
        registry.register(
            "guard_conflicts",
            "Requests for a position that holds another message",
            all.conflicts.clone(),
        );
        all
    }

    /// Notes a durable commit: its sequence, the records of the audit chain after it, how many batches shared it, how long it took.
    pub fn committed(&self, commit: u64, audit_records: u64, batches: usize, time: Duration) {
        self.at(commit, audit_records);
        self.batches
            .observe(f64::from(u32::try_from(batches).unwrap_or(u32::MAX)));
        self.seconds.observe(time.as_secs_f64());
        self.latency.observe(time);
    }

    /// Notes that there was no room in a lane (`busy`).
    pub fn was_full(&self, lane: Lane) {
        self.busy.get_or_create(&LaneLabels { lane: lane.as_str() }).inc();
    }

    /// Tells where the store stands, as at its opening.
    pub fn at(&self, commit: u64, audit_records: u64) {
        self.commit.set(i64::try_from(commit).unwrap_or(i64::MAX));
        self.audit.set(i64::try_from(audit_records).unwrap_or(i64::MAX));
    }

    /// Notes that the store commits.
    pub fn healthy(&self) {
        self.healthy.set(1);
    }

    /// Notes that it refuses until a restart.
    pub fn failed(&self) {
        self.healthy.set(0);
    }
}
