//! What waits for the writer, and who comes first: signatures, then an operator's acts, then records of readings and refusals, then
//! whoever only wants to look.
//!
//! *Invariants:* a signature is never refused here and waits for nothing but the commit, or the look, that is under way and the signatures
//! before it. What is not a signature waits in bounded numbers, rides along in bounded numbers, and is refused at once beyond them.
//! Nobody starves for ever: each commit leaves a place for those that are no signatures, and looks get their turn after some commits.

use std::collections::VecDeque;

use sigward_policies::decision::{Failure, FailureCode, Refused};

use super::super::Batch;

/// Most acts, records and looks that wait. The writer is through with all of them within a second.
const MOST: Bounds = Bounds {
    acts: 256,
    records: 512,
    looks: 256,
};
/// Most batches of a commit that are no signatures: whoever comes to sign meanwhile waits no longer than for signatures.
const BESIDE: usize = 32;
/// Commits of signatures after which one look has its turn, though more of them wait.
const PATIENCE: u32 = 8;

/// How many may wait of each kind.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    acts: usize,
    records: usize,
    looks: usize,
}

/// What waits: `W` is told of a batch, `L` is a look.
pub(super) struct Queue<W, L> {
    signatures: VecDeque<(Batch, W)>,
    acts: VecDeque<(Batch, W)>,
    records: VecDeque<(Batch, W)>,
    looks: VecDeque<L>,
    /// Commits since a look had its turn.
    passed: u32,
    bounds: Bounds,
    /// Nothing more is taken in.
    pub(super) stopping: bool,
}

/// What the writer does next.
pub(super) enum Turn<W, L> {
    /// Commits these, in this order.
    Commit(Vec<(Batch, W)>),
    /// Lets one look.
    Look(L),
    /// There is nothing to do.
    Rest,
}

impl<W, L> Default for Queue<W, L> {
    fn default() -> Self {
        Self {
            signatures: VecDeque::new(),
            acts: VecDeque::new(),
            records: VecDeque::new(),
            looks: VecDeque::new(),
            passed: 0,
            bounds: MOST,
            stopping: false,
        }
    }
}

impl<W, L> Queue<W, L> {
    /// Takes a batch in, or gives back whom to tell that there is no room.
    pub(super) fn push(&mut self, batch: Batch, waiter: W) -> Result<(), W> {
        let (lane, most) = if batch.signature.is_some() {
            (&mut self.signatures, usize::MAX)
        } else if batch.changes.is_empty() {
            (&mut self.records, self.bounds.records)
        } else {
            (&mut self.acts, self.bounds.acts)
        };
        if lane.len() >= most {
            return Err(waiter);
        }
        lane.push_back((batch, waiter));
        Ok(())
    }

    /// Takes somebody in who wants to look, or gives it back.
    pub(super) fn push_look(&mut self, look: L) -> Result<(), L> {
        if self.looks.len() >= self.bounds.looks {
            return Err(look);
        }
        self.looks.push_back(look);
        Ok(())
    }

    /// Whether nobody waits at all.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_batches() && self.looks.is_empty()
    }

    /// Whether a batch waits.
    pub(super) fn has_batches(&self) -> bool {
        !(self.signatures.is_empty() && self.acts.is_empty() && self.records.is_empty())
    }

    /// What is next, at most `most` batches of it.
    pub(super) fn next(&mut self, most: usize) -> Turn<W, L> {
        let look_is_due = !self.has_batches() || self.passed >= PATIENCE;
        if look_is_due && let Some(look) = self.looks.pop_front() {
            self.passed = 0;
            return Turn::Look(look);
        }
        if !self.has_batches() {
            return Turn::Rest;
        }
        self.passed = self.passed.saturating_add(1);
        Turn::Commit(self.group(most))
    }

    /// Takes the looks that wait: nobody will have them.
    pub(super) fn abandon_looks(&mut self) -> VecDeque<L> {
        std::mem::take(&mut self.looks)
    }

    fn group(&mut self, most: usize) -> Vec<(Batch, W)> {
        let others = self.acts.len() + self.records.len();
        // One place is left for those that are no signatures, where there are two.
        let kept = usize::from(others > 0 && most > 1);
        let signatures = self.signatures.len().min(most - kept);
        let mut group: Vec<_> = self.signatures.drain(..signatures).collect();
        let beside = BESIDE.min(most - group.len());
        let acts = self.acts.len().min(beside);
        group.extend(self.acts.drain(..acts));
        let records = self.records.len().min(beside - acts);
        group.extend(self.records.drain(..records));
        group
    }
}

/// There is no room for what is no signature.
pub(super) fn busy() -> Refused {
    Failure::new(
        FailureCode::Busy,
        "too much waits for the store, and signatures come first; nothing was done: try again in a second",
    )
    .into()
}

#[cfg(test)]
#[path = "queue/tests.rs"]
mod tests;
