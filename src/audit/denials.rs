//! Denials on their way to the chain: gathered, so that a flood of them neither fills the disk nor slows a vote.
//!
//! *Invariant:* a denial that the store had no room for is gathered again, not lost: it is in a later record's count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sigward_policies::authz::Ruling;

use super::Gatherer;
use crate::store::{AuditEntry, Batch, Context, Store};

/// How many denials of a kind are recorded one by one in a second; the rest are counted.
const PER_SECOND: u32 = 10;

/// The gatherer of a running daemon.
#[derive(Debug)]
pub struct Denials(Arc<Mutex<Gatherer>>);

impl Default for Denials {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Gatherer::new(PER_SECOND))))
    }
}

impl Denials {
    /// Records a denial, or counts it. Nobody waits for it: the refusal itself changes nothing.
    pub fn note(&self, store: &dyn Store, entry: AuditEntry) {
        let entries = self.lock().take(entry);
        self.record(store, entries);
    }

    /// Records what was counted in seconds that are over.
    pub fn flush(&self, store: &dyn Store, now_micros: i64) {
        let entries = self.lock().flush(now_micros);
        self.record(store, entries);
    }

    /// Records all that was counted: sigward is stopping.
    pub fn flush_all(&self, store: &dyn Store) {
        let entries = self.lock().flush_all();
        self.record(store, entries);
    }

    fn record(&self, store: &dyn Store, entries: Vec<AuditEntry>) {
        // A few at a time: the store bounds a commit by its number of batches.
        for few in entries.chunks(2) {
            few.iter().for_each(tell);
            let few = few.to_vec();
            let (batch, gatherer) = (Batch::record(few.clone()), Arc::clone(&self.0));
            store.commit(
                batch,
                Box::new(move |outcome| {
                    if outcome.is_err() {
                        lock(&gatherer).put_back(few);
                    }
                }),
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gatherer> {
        lock(&self.0)
    }
}

/// Every change of the gatherer is whole by itself.
fn lock(gatherer: &Mutex<Gatherer>) -> MutexGuard<'_, Gatherer> {
    gatherer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(entry: &AuditEntry) {
    let position = entry
        .position
        .map(|position| position.to_string())
        .unwrap_or_default();
    let Context { ruling, trace, .. } = &entry.context;
    let policy = ruling.as_ref().and_then(Ruling::policy);
    tracing::warn!(
        code = entry.reason,
        subject = entry.subject,
        operation = entry.operation,
        position,
        times = entry.count,
        rule = ruling.as_ref().map(Ruling::name),
        policy = policy.map(tracing::field::display),
        trace = trace.map(tracing::field::display),
        "refused"
    );
}
