//! Who commits: the writer thread while batches wait for each other, and the caller himself where a lone signature is asked for.
//!
//! Handing one batch to a sleeping thread and being woken by it costs more than the commit's own work; a lone vote is therefore
//! committed by whoever asks for it. Whatever comes in meanwhile waits in the queue and goes to the thread, as one group, so that no
//! caller commits for others and the store blocks one thread at a time. All else, reading included, is the thread's work: callers of
//! that may run on threads that have to give way (`backstage`), and none of them may hold the writer while it does.
//!
//! *Invariants:* one writer at a time, by its lock. Batches of a kind are judged in the order in which they came (`queue` says which
//! kind is first). A batch in the queue is always somebody's: whoever leaves one there tells the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use sigward_policies::decision::Refused;

use super::super::{Batch, stopped, weight};
use super::queue::{Queue, Turn, busy};
use super::unpoisoned;
use super::writer::{Waiter, Writer};
use crate::telemetry::StoreMetrics;
use crate::telemetry::metrics::Lane;

/// Something that is done between two commits.
type Look = Box<dyn FnOnce(&mut Writer) + Send>;

/// The queue, and the writer behind its lock; `None` once the store is closed.
pub(super) struct Shared {
    queue: Mutex<Queue<Waiter, Look>>,
    /// What the batches of a commit may weigh together.
    room: usize,
    come: Condvar,
    writer: Mutex<Option<Writer>>,
    /// The last commit had company: the next one will, and is left to the thread.
    crowded: AtomicBool,
    /// Whoever looks should end, for a signature that has come.
    look_is_cut: AtomicBool,
    /// Told of whoever finds no room, once somebody wants to know.
    metrics: Arc<OnceLock<StoreMetrics>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(writer: Writer) -> Self {
        let room = writer.room();
        Self {
            queue: Mutex::new(Queue::with_room(room)),
            room,
            come: Condvar::new(),
            metrics: writer.shared_metrics(),
            writer: Mutex::new(Some(writer)),
            crowded: AtomicBool::new(false),
            look_is_cut: AtomicBool::new(false),
        }
    }

    /// Commits at once if nobody else is about, or leaves the batch to the thread.
    /// One that is larger than a commit can be is nobody's business: it is refused here, by whoever brought it.
    pub(super) fn commit(&self, batch: Batch, waiter: Waiter) {
        let weight = match weight::fits(&batch, self.room) {
            Ok(weight) => weight,
            Err(refused) => return waiter.tell(Err(refused)),
        };
        let mut queue = unpoisoned(&self.queue);
        if queue.stopping {
            drop(queue);
            drop(waiter);
            return;
        }
        // The queue's lock is held: nobody can come between looking at it and taking the writer.
        let alone = batch.signature.is_some() && queue.is_empty() && !self.crowded.load(Ordering::Relaxed);
        let idle = if alone { self.try_writer() } else { None };
        match idle {
            Some(mut writer) => {
                drop(queue);
                if let Some(writer) = writer.as_mut() {
                    writer.settle(vec![(batch, waiter)]);
                }
                drop(writer);
                let company = unpoisoned(&self.queue).has_batches();
                self.crowded.store(company, Ordering::Relaxed);
            }
            None => {
                let pushed = queue.push(batch, weight, waiter);
                self.look_is_cut.store(queue.cuts_look(), Ordering::Relaxed);
                drop(queue);
                match pushed {
                    Ok(()) => self.come.notify_one(),
                    Err((waiter, lane)) => waiter.tell(Err(self.turn_away(lane))),
                }
            }
        }
    }

    /// The life of the thread.
    pub(super) fn run(&self) {
        loop {
            {
                let mut queue = unpoisoned(&self.queue);
                while queue.is_empty() && !queue.stopping {
                    queue = self.come.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
            let mut lock = unpoisoned(&self.writer);
            let Some(writer) = lock.as_mut() else { return };
            let turn = self.next(writer.max_group());
            match turn {
                Turn::Commit(group) => {
                    let many = group.len() > 1;
                    writer.settle(group);
                    let company = many || unpoisoned(&self.queue).has_batches();
                    self.crowded.store(company, Ordering::Relaxed);
                }
                Turn::Look(look) => {
                    // A look that panics harms itself only: its caller hears of it.
                    let _panicked = catch_unwind(AssertUnwindSafe(|| look(writer)));
                }
                Turn::Rest if unpoisoned(&self.queue).stopping => {
                    if let Some(writer) = lock.take() {
                        writer.finish();
                    }
                    return;
                }
                Turn::Rest => {}
            }
        }
    }

    fn next(&self, most: usize) -> Turn<Waiter, Look> {
        let mut queue = unpoisoned(&self.queue);
        let turn = queue.next(most);
        self.look_is_cut.store(queue.cuts_look(), Ordering::Relaxed);
        turn
    }

    /// Whether the look that asks should end.
    pub(super) fn look_is_cut(&self) -> bool {
        self.look_is_cut.load(Ordering::Relaxed)
    }

    /// Has the thread commit what waits and end.
    pub(super) fn stop(&self) {
        let mut queue = unpoisoned(&self.queue);
        queue.stopping = true;
        let nobodys = queue.abandon_looks();
        drop(queue);
        drop(nobodys);
        self.come.notify_one();
    }

    /// Has the thread do something between two commits, without being one; waits for it.
    pub(super) fn between<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.wait_for(act, Queue::push_look)
    }

    /// The same for memory that follows a commit: there is always room.
    pub(super) fn follow<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.wait_for(act, |queue, look| {
            queue.push_follower(look);
            Ok(())
        })
    }

    fn wait_for<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, Refused> + Send + 'static,
        push: impl FnOnce(&mut Queue<Waiter, Look>, Look) -> Result<(), Look>,
    ) -> Result<T, Refused> {
        let (tell, told) = sync_channel(1);
        let look: Look = Box::new(move |writer| {
            let _gone = tell.send(act(writer));
        });
        let mut queue = unpoisoned(&self.queue);
        if queue.stopping {
            return Err(stopped());
        }
        let pushed = push(&mut queue, look);
        drop(queue);
        if pushed.is_err() {
            return Err(self.turn_away(Lane::Looks));
        }
        self.come.notify_one();
        told.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Counts whoever finds no room; what it is told.
    fn turn_away(&self, lane: Lane) -> Refused {
        if let Some(metrics) = self.metrics.get() {
            metrics.was_full(lane);
        }
        busy(lane)
    }

    fn try_writer(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            // Nothing panics with the writer in hand (`settle` catches); were it to, the writer has failed and says so.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
