//! What waits for the writer, and who comes first: signatures, then memory that follows what was committed, then an operator's acts, then
//! records of readings and refusals, then whoever only wants to look.
//!
//! *Invariants:* a signature is never refused here and waits for nothing but the commit, or the look, that is under way and the signatures
//! before it. What is not a signature waits in bounded numbers, rides along in bounded numbers and bytes, and is refused at once beyond
//! the numbers. No commit is asked to hold more than it has room for.
//! Who follows a commit is never refused, and has a turn after each: what was committed must count in memory too, and an act that was done
//! is not told as one that was not. There are few of them (`Store::followed`).
//! Nobody starves for ever: each commit leaves a place for those that are no signatures, and looks get their turn after some commits.
//! Who reads much ends early for a signature that comes meanwhile, but not where it got its turn by having waited: it would never be through.

use std::collections::VecDeque;

use sigward_policies::decision::{Failure, FailureCode, Refused};

use super::super::{Batch, weight};
use crate::telemetry::metrics::Lane;

/// Most acts, records and looks that wait. The writer is through with all of them within a second.
const MOST: Bounds = Bounds {
    acts: 256,
    records: 512,
    looks: 256,
};
/// Most batches of a commit that are no signatures: whoever comes to sign meanwhile waits no longer than for signatures.
const BESIDE: usize = 32;
/// What these weigh together at most, unless one of them weighs more alone: what is large comes one a commit.
const BESIDE_LEN: usize = 256 * 1024;
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
    acts: VecDeque<Other<W>>,
    records: VecDeque<Other<W>>,
    followers: VecDeque<L>,
    looks: VecDeque<L>,
    /// A follower had its turn since the last commit.
    followed: bool,
    /// Commits since a look had its turn.
    passed: u32,
    /// The look that has its turn got it while nobody waited to commit.
    may_cut: bool,
    bounds: Bounds,
    /// What the batches of a commit may weigh together; no batch weighs more.
    room: usize,
    /// Nothing more is taken in.
    pub(super) stopping: bool,
}

/// A batch without a signature, with its weight.
struct Other<W> {
    batch: Batch,
    weight: usize,
    waiter: W,
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
            followers: VecDeque::new(),
            looks: VecDeque::new(),
            followed: false,
            passed: 0,
            may_cut: false,
            bounds: MOST,
            room: usize::MAX,
            stopping: false,
        }
    }
}

impl<W, L> Queue<W, L> {
    /// For a store whose commits have so much room.
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    /// Takes a batch in, or gives back whom to tell that there is no room, and where there is none.
    pub(super) fn push(&mut self, batch: Batch, weight: usize, waiter: W) -> Result<(), (W, Lane)> {
        if batch.signature.is_some() {
            self.signatures.push_back((batch, waiter));
            return Ok(());
        }
        let (waiting, most, lane) = match batch.changes.is_empty() {
            true => (&mut self.records, self.bounds.records, Lane::Records),
            false => (&mut self.acts, self.bounds.acts, Lane::Acts),
        };
        if waiting.len() >= most {
            return Err((waiter, lane));
        }
        waiting.push_back(Other {
            batch,
            weight,
            waiter,
        });
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

    /// Takes somebody in who follows a commit.
    pub(super) fn push_follower(&mut self, follower: L) {
        self.followers.push_back(follower);
    }

    /// Whether nobody waits at all.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_batches() && self.looks.is_empty() && self.followers.is_empty()
    }

    /// Whether a batch waits.
    pub(super) fn has_batches(&self) -> bool {
        !(self.signatures.is_empty() && self.acts.is_empty() && self.records.is_empty())
    }

    /// Whether the look that has its turn should end: a signature has come since, and it is not one that had waited long for its turn.
    pub(super) fn cuts_look(&self) -> bool {
        self.may_cut && !self.signatures.is_empty()
    }

    /// What is next, at most `most` batches of it.
    pub(super) fn next(&mut self, most: usize) -> Turn<W, L> {
        let may_follow = self.signatures.is_empty() || !self.followed;
        if may_follow && let Some(follower) = self.followers.pop_front() {
            self.followed = true;
            self.may_cut = false;
            return Turn::Look(follower);
        }
        let look_is_due = !self.has_batches() || self.passed >= PATIENCE;
        if look_is_due && let Some(look) = self.looks.pop_front() {
            self.passed = 0;
            self.may_cut = !self.has_batches();
            return Turn::Look(look);
        }
        if !self.has_batches() {
            return Turn::Rest;
        }
        self.passed = self.passed.saturating_add(1);
        self.followed = false;
        Turn::Commit(self.group(most))
    }

    /// Takes the looks that wait: nobody will have them.
    pub(super) fn abandon_looks(&mut self) -> VecDeque<L> {
        let mut nobodys = std::mem::take(&mut self.looks);
        nobodys.append(&mut self.followers);
        nobodys
    }

    fn group(&mut self, most: usize) -> Vec<(Batch, W)> {
        // One place is left for the first of those that are no signatures, where there are two places and it fits into what is left.
        let first = self.acts.front().or(self.records.front());
        let kept = usize::from(first.is_some() && most > 1);
        let for_first = first.filter(|_| kept > 0).map_or(0, |first| first.weight);
        let fit = self.room.saturating_sub(for_first) / weight::SIGNATURE;
        let signatures = self.signatures.len().min(most - kept).min(fit);
        let mut group: Vec<_> = self.signatures.drain(..signatures).collect();
        let mut beside = Beside {
            places: BESIDE.min(most - group.len()),
            room: self.room - signatures.saturating_mul(weight::SIGNATURE),
            most: BESIDE_LEN,
        };
        for lane in [&mut self.acts, &mut self.records] {
            while let Some(next) = lane.pop_front_if(|next| beside.takes(next.weight)) {
                group.push((next.batch, next.waiter));
            }
        }
        group
    }
}

/// What is left in a commit for those that are no signatures.
struct Beside {
    places: usize,
    room: usize,
    /// What they may weigh together; the first of them may weigh more, or it would never be through.
    most: usize,
}

impl Beside {
    fn takes(&mut self, weight: usize) -> bool {
        let is_first = self.most == BESIDE_LEN;
        if self.places == 0 || weight > self.room || (weight > self.most && !is_first) {
            return false;
        }
        self.places -= 1;
        self.room -= weight;
        self.most = self.most.saturating_sub(weight);
        true
    }
}

/// There is no room for what is no signature.
pub(super) fn busy(lane: Lane) -> Refused {
    let why = match lane {
        // Who reads may do so after an act that is done.
        Lane::Looks => {
            "too much waits for the store, and signatures come first; it was not read: try again in a second"
        }
        Lane::Acts | Lane::Records => {
            "too much waits for the store, and signatures come first; nothing was done: try again in a second"
        }
    };
    Failure::new(FailureCode::Busy, why).into()
}

#[cfg(test)]
#[path = "queue/tests.rs"]
mod tests;
