//! Metrics: counters, gauges and histograms in OpenMetrics text, all named `sigward_…`.
//!
//! [`Metrics`] hands out handles, resolved once per chain, node and operation; on the way of a signature they cost an atomic
//! addition or an uncontended lock each, and no label set is hashed. Labels hold configured names and stable codes only: nothing
//! that a peer sends becomes a label, so a peer cannot make series.
//!
//! *Invariant:* a metric never fails a request and never decides one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use sigward_policies::holding::{Fact, Holds, Scope};
use sigward_policies::model::id::{ChainId, NodeName, UnixSeconds};
use sigward_policies::model::key::VersionState;

use super::readiness::Readiness;
use crate::clock::Clock;

mod audit;
mod chain;
mod disk;
mod door;
mod labels;
mod latency;
mod node;
mod otlp;
mod picture;
mod process;
mod provider;
mod ready;
mod sign;
mod store;
#[cfg(test)]
mod tests;

pub use audit::AuditMetrics;
use chain::ChainFamilies;
pub use chain::{ChainMetrics, ChainSeen};
pub use disk::{Disk, StateFiles};
pub use door::{DoorMetrics, Full, Handshake};
use labels::{ReloadLabels, ScopeLabels, StateLabels};
pub use latency::Quantiles;
use node::NodeFamilies;
pub use node::{Connected, LinkKind, NodeMetrics, NodeSeen};
pub use otlp::{Dropped, OtlpMetrics};
pub use picture::{LAST_HEIGHTS, Marks};
use provider::ProviderFamilies;
pub use provider::ProviderMetrics;
use sign::SignFamilies;
pub use sign::{Proto, Served, SignMetrics, Stage, result};
pub use store::{Lane, StoreMetrics};

/// The media type of [`Metrics::encode`] (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every state of a key version, so that a state that nobody is in reads 0.
const STATES: [VersionState; 8] = [
    VersionState::Pending,
    VersionState::Staged,
    VersionState::Active,
    VersionState::Deprecated,
    VersionState::Disabled,
    VersionState::DestroyScheduled,
    VersionState::Destroyed,
    VersionState::Compromised,
];

/// What is running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Build {
    /// Its version.
    pub version: &'static str,
    /// Its commit, or `unknown`.
    pub commit: &'static str,
}

/// How a reload went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// The new settings are in force.
    Applied,
    /// They are bad; the running ones stay.
    Refused,
    /// They are good, and others must agree first; the running ones stay.
    Waits,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sign: SignFamilies,
    chain: ChainFamilies,
    node: NodeFamilies,
    provider: ProviderFamilies,
    store: StoreMetrics,
    audit: AuditMetrics,
    otlp: OtlpMetrics,
    door: DoorMetrics,
    bearer_door: DoorMetrics,
    unauthenticated: Gauge,
    frozen: Family<ScopeLabels, Gauge>,
    keys: Family<StateLabels, Gauge>,
    reloads: Family<ReloadLabels, Counter>,
    config_good: Gauge,
    state: Arc<OnceLock<StateFiles>>,
    readiness: Arc<OnceLock<Readiness>>,
    build: Build,
    began: UnixSeconds,
}

impl Metrics {
    /// Metrics that begin now, by `clock`.
    pub fn new(build: Build, clock: &dyn Clock) -> Arc<Self> {
        let mut registry = Registry::with_prefix("sigward");
        let unauthenticated = Gauge::default();
        let frozen = Family::<ScopeLabels, Gauge>::default();
        registry.register("frozen", "Freezes in force, by what they cover", frozen.clone());
        for scope in ["all", "chain", "key"] {
            drop(frozen.get_or_create(&ScopeLabels { scope }));
        }
        let keys = Family::<StateLabels, Gauge>::default();
        let reloads = Family::<ReloadLabels, Counter>::default();
        registry.register(
            "unauthenticated_links",
            "Configured TCP links off loopback, whose far end proves nothing",
            unauthenticated.clone(),
        );
        registry.register("keys", "Key versions by state, as of the start", keys.clone());
        registry.register(
            "reload",
            "Reloads of the configuration by result",
            reloads.clone(),
        );
        let config_good = Gauge::default();
        config_good.set(1);
        registry.register(
            "config_last_reload_successful",
            "1 unless the last reload was refused: the file is then not what runs",
            config_good.clone(),
        );
        registry.register(
            "build",
            "What is running",
            Info::new(vec![("version", build.version), ("commit", build.commit)]),
        );
        let began = clock.unix_seconds();
        process::register(&mut registry, began);
        let disk = disk::DiskCollector::default();
        registry.register_collector(Box::new(disk.clone()));
        let ready = ready::ReadyCollector::default();
        registry.register_collector(Box::new(ready.clone()));
        for result in [Reload::Applied, Reload::Refused, Reload::Waits] {
            drop(reloads.get_or_create(&ReloadLabels::of(result)));
        }
        let store = StoreMetrics::register(&mut registry);
        Arc::new(Self {
            sign: SignFamilies::register(&mut registry),
            chain: ChainFamilies::register(&mut registry, store.conflicts.clone()),
            node: NodeFamilies::register(&mut registry),
            provider: ProviderFamilies::register(&mut registry),
            audit: AuditMetrics::register(&mut registry),
            otlp: OtlpMetrics::register(&mut registry),
            store,
            door: DoorMetrics::register(
                &mut registry,
                &[
                    "certificate_refused",
                    "busy",
                    "deadline_exceeded",
                    "body_too_long",
                ],
            ),
            bearer_door: DoorMetrics::register(
                registry.sub_registry_with_prefix("bearer"),
                &["token_refused", "token_replayed", "too_many_tokens", "busy"],
            ),
            registry,
            unauthenticated,
            frozen,
            keys,
            reloads,
            config_good,
            state: disk.0,
            readiness: ready.0,
            build,
            began,
        })
    }

    /// Handles for requests that come by `proto`.
    pub fn sign(&self, proto: Proto) -> SignMetrics {
        self.sign.handles(proto)
    }

    /// Handles for a configured chain.
    pub fn chain(&self, chain: &ChainId) -> ChainMetrics {
        self.chain.handles(chain)
    }

    /// Handles for a configured node.
    pub fn node(&self, chain: &ChainId, node: &NodeName) -> NodeMetrics {
        self.node.handles(chain, node)
    }

    /// Handles for a configured token.
    pub fn provider(&self, id: &str) -> ProviderMetrics {
        self.provider.handles(id)
    }

    /// Handles for the store.
    pub fn store(&self) -> StoreMetrics {
        self.store.clone()
    }

    /// Handles for the keeper of the audit chain.
    pub fn audit(&self) -> AuditMetrics {
        self.audit.clone()
    }

    /// Handles for spans on their way to a collector.
    pub fn otlp(&self) -> OtlpMetrics {
        self.otlp.clone()
    }

    /// Handles for the door to clients on other machines.
    pub fn door(&self) -> DoorMetrics {
        self.door.clone()
    }

    /// Handles for the door to clients that show tokens.
    pub fn bearer_door(&self) -> DoorMetrics {
        self.bearer_door.clone()
    }

    /// Says which files to measure; the first word counts.
    pub fn watch_state(&self, files: StateFiles) {
        let _told_before = self.state.set(files);
    }

    /// Says whose checks tell whether sigward is ready; the first word counts.
    pub fn watch_readiness(&self, readiness: &Readiness) {
        let _told_before = self.readiness.set(readiness.clone());
    }

    /// What is running, and since when.
    pub const fn running(&self) -> (Build, UnixSeconds) {
        (self.build, self.began)
    }

    /// What is known of `chain`.
    pub fn chain_seen(&self, chain: &ChainId) -> ChainSeen {
        self.chain.seen(chain)
    }

    /// What is known of the nodes of `chain`, by name.
    pub fn nodes_seen(&self, chain: &ChainId) -> Vec<NodeSeen> {
        self.node.seen(chain)
    }

    /// How long signatures take, from received to released, and how long commits, since the start.
    pub fn latency(&self) -> (Quantiles, Quantiles) {
        (self.sign.total.read(), self.store.latency.read())
    }

    /// The state on its disk. May wait for it: off the runtime's workers.
    pub fn disk(&self) -> Disk {
        self.state.get().map(StateFiles::measure).unwrap_or_default()
    }

    /// Takes a node that is no longer configured out of what is told.
    pub fn forget_node(&self, chain: &ChainId, node: &NodeName) {
        self.node.forget(chain, node);
    }

    /// Takes a chain that is no longer configured out of what is told. Its connections have ended, or they would bring it back.
    pub fn forget_chain(&self, chain: &ChainId) {
        self.chain.forget(chain);
    }

    /// Says how many configured links leave the machine without authentication.
    pub fn set_unauthenticated_links(&self, links: usize) {
        self.unauthenticated.set(i64::try_from(links).unwrap_or(i64::MAX));
    }

    /// Says what is frozen.
    pub fn set_frozen(&self, holds: &Holds) {
        let count = |is: fn(&Scope) -> bool| {
            let frozen = holds
                .iter()
                .filter(|hold| matches!(&hold.fact, Fact::Freeze(scope) if is(scope)));
            i64::try_from(frozen.count()).unwrap_or(i64::MAX)
        };
        for (scope, count) in [
            ("all", count(|scope| matches!(scope, Scope::All))),
            ("chain", count(|scope| matches!(scope, Scope::Chain(_)))),
            ("key", count(|scope| matches!(scope, Scope::Key(_)))),
        ] {
            self.frozen.get_or_create(&ScopeLabels { scope }).set(count);
        }
    }

    /// Says in which states all key versions are.
    pub fn set_keys(&self, states: impl IntoIterator<Item = VersionState>) {
        let states: Vec<_> = states.into_iter().collect();
        for state in STATES {
            let count = states.iter().filter(|other| **other == state).count();
            self.keys
                .get_or_create(&StateLabels {
                    state: state.as_str(),
                })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a reload.
    pub fn reloaded(&self, result: Reload) {
        self.reloads.get_or_create(&ReloadLabels::of(result)).inc();
        self.config_good.set(i64::from(result != Reload::Refused));
    }

    /// Everything as OpenMetrics text ([`CONTENT_TYPE`]). Takes milliseconds with many chains: off the runtime's workers.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(32 << 10);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
