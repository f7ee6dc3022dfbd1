//! Who holds which position: one request at a time per guard row, from judgement to durable record.
//!
//! A [`Slot`] is the row in memory. Taking hold of it yields a [`Held`]; while any copy of that lives, nobody else gets one.
//! Waiting is the caller's affair: a waker left here is woken when the hold ends.
//!
//! *Invariants:* the row in a slot changes only through what the store says it committed, and never to a lower watermark: word of
//! an older commit may arrive late. A slot knows whose row it is; a hold of one row clears no request for another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::watermark::GuardRow;
use crate::holding::Conditions;
use crate::model::algorithm::PublicKey;
use crate::model::id::ChainId;

/// A guard row in memory. Cheap to clone; clones are the same slot.
#[derive(Clone, Debug)]
pub struct Slot(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    key: PublicKey,
    chain: ChainId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    row: Arc<GuardRow>,
    conditions: Arc<Conditions>,
    busy: bool,
    waiting: Vec<Waker>,
}

impl Slot {
    /// A slot with the row that the store holds for `key` on `chain`. Make one slot a row: two would be held at once.
    pub fn new(key: PublicKey, chain: ChainId, row: GuardRow) -> Self {
        Self(Arc::new(Shared {
            key,
            chain,
            state: Mutex::new(State {
                row: Arc::new(row),
                conditions: Arc::default(),
                busy: false,
                waiting: Vec::new(),
            }),
        }))
    }

    /// Takes hold, or leaves `waker` to be woken when the present holder lets go.
    pub fn try_hold(&self, waker: &Waker) -> Option<Held> {
        let mut state = self.lock();
        if state.busy {
            if !state.waiting.iter().any(|known| known.will_wake(waker)) {
                state.waiting.push(waker.clone());
            }
            return None;
        }
        state.busy = true;
        let (row, conditions) = (state.row.clone(), state.conditions.clone());
        drop(state);
        Some(Held(Arc::new(Hold {
            slot: self.clone(),
            row,
            conditions,
        })))
    }

    /// The row as last committed.
    pub fn row(&self) -> Arc<GuardRow> {
        self.lock().row.clone()
    }

    /// Replaces the row by what the store says it holds. A row with a lower watermark is old news and changes nothing.
    pub fn set(&self, row: GuardRow) {
        let mut state = self.lock();
        if !row.watermark.is_below(&state.row.watermark) {
            state.row = Arc::new(row);
        }
    }

    /// Notes what operators hold back here. Memory only spares a round trip: the store's word is the last one.
    pub fn restrain(&self, conditions: Conditions) {
        self.lock().conditions = Arc::new(conditions);
    }

    /// No code panics while it holds this lock; were it to, the row is whole all the same, as it is replaced in one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exclusive hold of a slot. Ends when the last token that shares it is dropped. Not `Clone`: one hold clears one request.
#[derive(Debug)]
pub struct Held(Arc<Hold>);

#[derive(Debug)]
struct Hold {
    slot: Slot,
    row: Arc<GuardRow>,
    conditions: Arc<Conditions>,
}

impl Held {
    /// The row as it was when the hold began.
    pub fn row(&self) -> &GuardRow {
        &self.0.row
    }

    /// What operators held back when the hold began.
    pub fn conditions(&self) -> &Conditions {
        &self.0.conditions
    }

    /// Whether this is the row of `key` on `chain`.
    pub(super) fn is_of(&self, key: &PublicKey, chain: &ChainId) -> bool {
        let shared = &self.0.slot.0;
        shared.key == *key && shared.chain == *chain
    }

    /// Another share of the same hold, for the tokens of the same request.
    pub(super) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Takes note of the row that the store holds now.
    pub(crate) fn advance(&self, row: GuardRow) {
        self.0.slot.set(row);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.slot.lock();
        state.busy = false;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting {
            waker.wake();
        }
    }
}
