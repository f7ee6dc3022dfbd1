//! The guard: waiting for a guard row, judging over it, and changing it by an operator's act.
//!
//! The rows here are copies of what the store committed. They spare a round trip for what is refused anyway; the store runs the
//! rule again inside its transaction, and its word is the last one.
//!
//! *Invariant:* a row is changed only by whoever holds it, and only to what the store says it holds.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use sigward_policies::decision::{Decision, Refused};
use sigward_policies::double_sign::{self, Cleared, Held, Limits, Slot};
use sigward_policies::holding::{Conditions, Holds};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::Received;

use tokio::sync::watch;

use crate::store::{self, Batch, Followed, Receipts, Store, StoredRow};

/// Longer than any request lasts (`sign::consensus::DEADLINE`): after it, what was under way has been answered.
const SETTLED: Duration = Duration::from_secs(5);

/// Every guard row in memory, by (public key, chain id).
#[derive(Debug, Default)]
pub struct Guard {
    slots: RwLock<HashMap<(PublicKey, ChainId), Slot>>,
    holds: watch::Sender<Arc<Holds>>,
    /// Whoever reads the store to put here what it has does so alone: an older reading must not overtake a newer one.
    reading: tokio::sync::Mutex<()>,
}

impl Guard {
    /// Takes in the rows that the store holds, and what operators hold back.
    pub fn load(rows: Vec<StoredRow>, holds: Holds) -> Self {
        let guard = Self::default();
        guard.holds.send_replace(Arc::new(holds));
        rows.into_iter().for_each(|row| guard.insert(row));
        guard
    }

    /// The row of `key` on `chain`, if it has one.
    pub fn slot(&self, key: &PublicKey, chain: &ChainId) -> Option<Slot> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(&(*key, chain.clone())).cloned()
    }

    /// Commits `batch`, which changes the row of `key` on `chain`, while holding that row, and takes over what the store then
    /// holds. No signature with the key is under way meanwhile.
    ///
    /// Once the row is held, the rest happens even if the caller is dropped (an operator's ^C): a row in memory that is older than
    /// the store's would have requests refused that the store allows, until a restart.
    pub async fn change(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        key: &PublicKey,
        chain: &ChainId,
        batch: Batch,
    ) -> Result<Receipts, Refused> {
        let held = match self.slot(key, chain) {
            Some(slot) => Some(hold(&slot).await),
            None => None,
        };
        let (guard, store, key, chain) = (Arc::clone(self), Arc::clone(store), *key, chain.clone());
        tokio::spawn(async move {
            let receipts = store::commit(store.as_ref(), batch).await;
            let refreshed = guard.refresh(&store, &key, &chain).await;
            let holds = guard.refresh_holds(&store).await;
            drop(held);
            let receipts = receipts?;
            refreshed.and(holds)?;
            Ok(receipts)
        })
        .await
        .unwrap_or_else(|_| Err(store::stopped()))
    }

    /// Commits `batch`, which puts holds in force or lifts them, has memory follow, and waits for the requests that were under way
    /// on the rows concerned. What was committed before the hold may have been released until then; after it, nothing is.
    pub async fn change_holds(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        batch: Batch,
    ) -> Result<Receipts, Refused> {
        let (guard, store) = (Arc::clone(self), Arc::clone(store));
        tokio::spawn(async move {
            let receipts = store::commit(store.as_ref(), batch).await;
            let refreshed = guard.refresh_holds(&store).await;
            let receipts = receipts?;
            refreshed?;
            guard.settle().await;
            Ok(receipts)
        })
        .await
        .unwrap_or_else(|_| Err(store::stopped()))
    }

    /// What operators hold back now.
    pub fn holds(&self) -> Arc<Holds> {
        self.holds.borrow().clone()
    }

    /// Follows what operators hold back.
    pub fn watch_holds(&self) -> watch::Receiver<Arc<Holds>> {
        self.holds.subscribe()
    }

    /// Waits until every row on which something is held back was free once: whoever was cleared before has been answered.
    async fn settle(&self) {
        let holds = self.holds();
        let concerned: Vec<Slot> = {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            let held_back = slots
                .iter()
                .filter(|((key, chain), _)| holds.conditions(key, chain) != Conditions::default());
            held_back.map(|(_, slot)| slot.clone()).collect()
        };
        let free = async {
            for slot in &concerned {
                drop(hold(slot).await);
            }
        };
        // A provider that hangs has the row for longer, but its request was answered at its deadline, with a refusal.
        let _hanging = tokio::time::timeout(SETTLED, free).await;
    }

    async fn refresh_holds(&self, store: &Arc<dyn Store>) -> Result<(), Refused> {
        let _alone = self.reading.lock().await;
        let followed = followed(store).await?;
        self.holds.send_replace(Arc::new(followed.holds));
        let holds = self.holds();
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        for ((key, chain), slot) in slots.iter() {
            slot.restrain(holds.conditions(key, chain));
        }
        Ok(())
    }

    /// Takes over what the store holds of `key` on `chain`.
    pub async fn refresh(
        &self,
        store: &Arc<dyn Store>,
        key: &PublicKey,
        chain: &ChainId,
    ) -> Result<(), Refused> {
        let _alone = self.reading.lock().await;
        let rows = followed(store).await?.rows;
        // Other rows of the key are taken in if they are new, as after a rebinding; those that are here may be in use.
        for row in rows.into_iter().filter(|row| row.public_key == *key) {
            if row.chain == *chain || self.slot(key, &row.chain).is_none() {
                self.insert(row);
            }
        }
        Ok(())
    }

    fn insert(&self, row: StoredRow) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        match slots.get(&(row.public_key, row.chain.clone())) {
            Some(slot) => slot.set(row.row),
            None => {
                let slot = Slot::new(row.public_key, row.chain.clone(), row.row);
                slot.restrain(self.holds().conditions(&row.public_key, &row.chain));
                slots.insert((row.public_key, row.chain), slot);
            }
        }
    }
}

/// What the store has, for whoever follows a commit.
async fn followed(store: &Arc<dyn Store>) -> Result<Followed, Refused> {
    let reader = Arc::clone(store);
    tokio::task::spawn_blocking(move || reader.followed())
        .await
        .unwrap_or_else(|_| Err(store::stopped()))
}

/// Waits until nobody else holds the row.
pub async fn hold(slot: &Slot) -> Held {
    poll_fn(|cx| slot.try_hold(cx.waker()).map_or(Poll::Pending, Poll::Ready)).await
}

/// Waits for the row and judges the request over it. Identical requests wait here for the one in flight and are then repeats.
pub async fn clear(
    slot: &Slot,
    received: &Received<Consensus>,
    limits: Limits,
    now: UnixSeconds,
) -> Decision<Cleared> {
    let held = hold(slot).await;
    double_sign::clear(received, held, limits, now)
}
