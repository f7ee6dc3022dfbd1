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

use sigward_policies::decision::{Decision, Failure, FailureCode, Refused};
use sigward_policies::double_sign::{self, Cleared, Held, Limits, Slot};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::Received;

use crate::store::{self, Batch, Receipts, Store, StoredRow};

/// Every guard row in memory, by (public key, chain id).
#[derive(Debug, Default)]
pub struct Guard {
    slots: RwLock<HashMap<(PublicKey, ChainId), Slot>>,
}

impl Guard {
    /// Takes in the rows that the store holds.
    pub fn load(rows: Vec<StoredRow>) -> Self {
        let guard = Self::default();
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
            drop(held);
            let receipts = receipts?;
            refreshed?;
            Ok(receipts)
        })
        .await
        .unwrap_or_else(|_| Err(store::stopped()))
    }

    /// Takes over what the store holds of `key` on `chain`.
    pub async fn refresh(
        &self,
        store: &Arc<dyn Store>,
        key: &PublicKey,
        chain: &ChainId,
    ) -> Result<(), Refused> {
        let reader = Arc::clone(store);
        let rows = tokio::task::spawn_blocking(move || reader.rows())
            .await
            .map_err(|_| {
                Failure::new(
                    FailureCode::StoreUnavailable,
                    "reading the guard rows was interrupted",
                )
            })??;
        if let Some(row) = rows
            .into_iter()
            .find(|row| row.public_key == *key && row.chain == *chain)
        {
            self.insert(row);
        }
        Ok(())
    }

    fn insert(&self, row: StoredRow) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        match slots.get(&(row.public_key, row.chain.clone())) {
            Some(slot) => slot.set(row.row),
            None => {
                let slot = Slot::new(row.public_key, row.chain.clone(), row.row);
                slots.insert((row.public_key, row.chain), slot);
            }
        }
    }
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
