//! Chains: how far each has come, what became of its heights, what it was refused, and whether it is held.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sigward_policies::decision::{FailureCode, RefusalCode, Refused};
use sigward_policies::double_sign::{GuardRow, Watermark};
use sigward_policies::model::id::{ChainId, Height};
use sigward_policies::model::operation::Operation;

use super::labels::{ChainLabels, MissedLabels, RefusalLabels};
use super::node::NodeMetrics;
use super::picture::{Marks, Passed, Picture};
use super::sign::Served;

type Timestamp = Gauge<f64, AtomicU64>;

#[derive(Debug)]
pub(super) struct ChainFamilies {
    height: Family<ChainLabels, Gauge>,
    last: Family<ChainLabels, Timestamp>,
    signed: Family<ChainLabels, Counter>,
    missed: Family<MissedLabels, Counter>,
    skipped: Family<ChainLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    frozen: Family<ChainLabels, Gauge>,
    conflicts: Counter,
    /// The handles that were given out: all of a chain share one picture.
    known: Mutex<BTreeMap<String, ChainMetrics>>,
}

/// What is known of a chain since the start of the process.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ChainSeen {
    /// Its last heights in order, [`LAST_HEIGHTS`](super::LAST_HEIGHTS) at most.
    pub heights: Vec<(i64, Marks)>,
    /// Passed heights with a precommit.
    pub signed: u64,
    /// Passed heights without one, where a request was refused.
    pub refused: u64,
    /// Passed heights without one, where none was asked for.
    pub unfinished: u64,
    /// Passed heights that nobody asked for.
    pub skipped: u64,
    /// Requests without a signature, by code.
    pub refusals: BTreeMap<&'static str, u64>,
    /// When the last new signature was made, microseconds since 1970; before the start too.
    pub last_signature: Option<i64>,
}

impl ChainFamilies {
    pub(super) fn register(registry: &mut Registry, conflicts: Counter) -> Self {
        let all = Self {
            height: Family::default(),
            last: Family::default(),
            signed: Family::default(),
            missed: Family::default(),
            skipped: Family::default(),
            refusals: Family::default(),
            frozen: Family::default(),
            conflicts,
            known: Mutex::default(),
        };
        registry.register(
            "last_signed_height",
            "Highest height with a signature; 0 when the key never signed here",
            all.height.clone(),
        );
        registry.register(
            "last_signature_timestamp_seconds",
            "When the last new signature was made, since 1970; 0 when the key never signed here",
            all.last.clone(),
        );
        registry.register(
            "signed_heights",
            "Passed heights with a precommit of ours",
            all.signed.clone(),
        );
        registry.register(
            "missed_heights",
            "Passed heights that we were asked about, without a precommit of ours: refused, or unfinished",
            all.missed.clone(),
        );
        registry.register(
            "skipped_heights",
            "Passed heights that nobody asked us about",
            all.skipped.clone(),
        );
        registry.register(
            "refusals",
            "Requests without a signature, by reason",
            all.refusals.clone(),
        );
        registry.register(
            "chain_frozen",
            "1 while an operator has frozen the chain or its key",
            all.frozen.clone(),
        );
        all
    }

    pub(super) fn handles(&self, chain: &ChainId) -> ChainMetrics {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(chain.to_string())
            .or_insert_with_key(|name| self.make(name))
            .clone()
    }

    fn make(&self, name: &str) -> ChainMetrics {
        let labels = ChainLabels {
            chain: name.to_owned(),
        };
        let missed = |cause| {
            self.missed.get_or_create_owned(&MissedLabels {
                chain: name.to_owned(),
                cause,
            })
        };
        ChainMetrics {
            height: self.height.get_or_create_owned(&labels),
            last: self.last.get_or_create_owned(&labels),
            signed: self.signed.get_or_create_owned(&labels),
            refused: missed("refused"),
            unfinished: missed("unfinished"),
            skipped: self.skipped.get_or_create_owned(&labels),
            frozen: self.frozen.get_or_create_owned(&labels),
            refusals: self.refusals.clone(),
            conflicts: self.conflicts.clone(),
            shared: Arc::default(),
            chain: labels.chain.into(),
            node: None,
        }
    }

    pub(super) fn forget(&self, chain: &ChainId) {
        let labels = ChainLabels {
            chain: chain.to_string(),
        };
        self.height.remove(&labels);
        self.last.remove(&labels);
        self.signed.remove(&labels);
        self.frozen.remove(&labels);
        self.skipped.remove(&labels);
        for cause in ["refused", "unfinished"] {
            let chain = labels.chain.clone();
            self.missed.remove(&MissedLabels { chain, cause });
        }
        let codes = RefusalCode::ALL.iter().map(|code| code.as_str());
        for reason in codes.chain(FailureCode::ALL.iter().map(|code| code.as_str())) {
            let chain = labels.chain.clone();
            self.refusals.remove(&RefusalLabels { chain, reason });
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(chain.as_str());
    }

    /// What is known of `chain`; nothing, when no handles were given out for it.
    pub(super) fn seen(&self, chain: &ChainId) -> ChainSeen {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(chain.as_str())
            .map(ChainMetrics::seen)
            .unwrap_or_default()
    }
}

/// Handles for one chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChainMetrics {
    height: Gauge,
    last: Timestamp,
    signed: Counter,
    refused: Counter,
    unfinished: Counter,
    skipped: Counter,
    frozen: Gauge,
    refusals: Family<RefusalLabels, Counter>,
    conflicts: Counter,
    shared: Arc<Mutex<Shared>>,
    chain: Arc<str>,
    node: Option<NodeMetrics>,
}

#[derive(Debug, Default)]
struct Shared {
    picture: Picture,
    refusals: BTreeMap<&'static str, u64>,
}

impl ChainMetrics {
    /// The same handles, in the hands of one of the chain's nodes: what is signed is signed for it.
    #[must_use]
    pub fn asked_by(&self, node: &NodeMetrics) -> Self {
        Self {
            node: Some(node.clone()),
            ..self.clone()
        }
    }

    /// Tells where the guard stands at the start; counts nothing.
    pub fn begins_at(&self, row: &GuardRow) {
        let height = row.watermark.height();
        // A height that was closed by a word of the operator was never signed.
        if matches!(row.watermark, Watermark::Signed(_)) {
            self.height.inner().fetch_max(height, Ordering::Relaxed);
            if self.last.get() == 0.0 {
                #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 have 31 bits")]
                self.last.set(row.touched.0 as f64);
            }
        }
        self.lock().picture.begins_at(height);
    }

    /// Notes that a message of `height` got its signature, at `micros` since 1970. Several nodes may tell at once, in any order.
    pub fn signed(&self, operation: Operation, height: Height, served: Served, micros: i64) {
        let height = height.value();
        self.height.inner().fetch_max(height, Ordering::Relaxed);
        if served == Served::Signed {
            #[allow(clippy::cast_precision_loss, reason = "microseconds since 1970 have 51 bits")]
            self.last.set(micros as f64 / 1e6);
            if let Some(node) = &self.node {
                node.won();
            }
        }
        let passed = self.lock().picture.signed(height, operation);
        self.count(passed);
    }

    /// Counts a request that got no signature, at `height` where that is known. The slow way: labels are looked up.
    pub fn refused(&self, height: Option<Height>, refused: &Refused) {
        let reason = refused.code();
        let labels = RefusalLabels {
            chain: self.chain.to_string(),
            reason,
        };
        self.refusals.get_or_create(&labels).inc();
        if reason == RefusalCode::DoubleSignConflict.as_str() {
            self.conflicts.inc();
        }
        let mut shared = self.lock();
        *shared.refusals.entry(reason).or_default() += 1;
        let passed = height.map(|height| shared.picture.refused(height.value()));
        drop(shared);
        self.count(passed.unwrap_or_default());
    }

    /// Says whether an operator has frozen the chain, or its key.
    pub fn frozen(&self, frozen: bool) {
        self.frozen.set(i64::from(frozen));
    }

    fn count(&self, passed: Passed) {
        for (counter, by) in [
            (&self.signed, passed.signed),
            (&self.refused, passed.refused),
            (&self.unfinished, passed.unfinished),
            (&self.skipped, passed.skipped),
        ] {
            if by > 0 {
                counter.inc_by(by);
            }
        }
    }

    fn seen(&self) -> ChainSeen {
        let shared = self.lock();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "microseconds since 1970 have 51 bits"
        )]
        let last = (self.last.get() * 1e6) as i64;
        ChainSeen {
            heights: shared.picture.last(),
            refusals: shared.refusals.clone(),
            signed: self.signed.get(),
            refused: self.refused.get(),
            unfinished: self.unfinished.get(),
            skipped: self.skipped.get(),
            last_signature: (last > 0).then_some(last),
        }
    }

    /// Held for some tens of nanoseconds; only the nodes of one chain ever meet here.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
