//! Who commits: the writer thread while batches wait for each other, and the caller himself while nobody else is about.
//!
//! Handing one batch to a sleeping thread and being woken by it costs more than the commit's own work; a lone vote is therefore
//! committed by whoever asks for it. Whatever comes in meanwhile waits in the queue and goes to the thread, as one group, so that no
//! caller commits for others and the store blocks one thread at a time.
//!
//! *Invariants:* one writer at a time, by its lock. Batches are judged in the order in which they came. A batch in the queue is
//! always somebody's: whoever leaves one there tells the thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use sigward_policies::decision::Refused;

use super::super::{Batch, stopped};
use super::unpoisoned;
use super::writer::{Waiter, Writer};

/// The queue, and the writer behind its lock; `None` once the store is closed.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    come: Condvar,
    writer: Mutex<Option<Writer>>,
    /// The last commit had company: the next one will, and is left to the thread.
    crowded: AtomicBool,
}

struct Queue {
    waiting: VecDeque<(Batch, Waiter)>,
    stopping: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(writer: Writer) -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            stopping: false,
        };
        Self {
            queue: Mutex::new(queue),
            come: Condvar::new(),
            writer: Mutex::new(Some(writer)),
            crowded: AtomicBool::new(false),
        }
    }

    /// Commits at once if nobody else is about, or leaves the batch to the thread.
    pub(super) fn commit(&self, batch: Batch, waiter: Waiter) {
        let mut queue = unpoisoned(&self.queue);
        if queue.stopping {
            drop(queue);
            drop(waiter);
            return;
        }
        // The queue's lock is held: nobody can come between looking at it and taking the writer.
        let alone = queue.waiting.is_empty() && !self.crowded.load(Ordering::Relaxed);
        let idle = if alone { self.try_writer() } else { None };
        match idle {
            Some(mut writer) => {
                drop(queue);
                if let Some(writer) = writer.as_mut() {
                    writer.settle(vec![(batch, waiter)]);
                }
                drop(writer);
                let company = !unpoisoned(&self.queue).waiting.is_empty();
                self.crowded.store(company, Ordering::Relaxed);
            }
            None => {
                queue.waiting.push_back((batch, waiter));
                drop(queue);
                self.come.notify_one();
            }
        }
    }

    /// The life of the thread.
    pub(super) fn run(&self) {
        loop {
            {
                let mut queue = unpoisoned(&self.queue);
                while queue.waiting.is_empty() && !queue.stopping {
                    queue = self.come.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
            let mut lock = unpoisoned(&self.writer);
            let Some(writer) = lock.as_mut() else { return };
            let group = self.take(writer.max_group());
            if !group.is_empty() {
                let many = group.len() > 1;
                writer.settle(group);
                let company = many || !unpoisoned(&self.queue).waiting.is_empty();
                self.crowded.store(company, Ordering::Relaxed);
                continue;
            }
            if unpoisoned(&self.queue).stopping {
                if let Some(writer) = lock.take() {
                    writer.finish();
                }
                return;
            }
        }
    }

    /// Takes what waits, in order.
    fn take(&self, most: usize) -> Vec<(Batch, Waiter)> {
        let mut queue = unpoisoned(&self.queue);
        let count = queue.waiting.len().min(most);
        queue.waiting.drain(..count).collect()
    }

    /// Has the thread commit what waits and end.
    pub(super) fn stop(&self) {
        unpoisoned(&self.queue).stopping = true;
        self.come.notify_one();
    }

    /// Looks between two commits.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Writer) -> Result<T, Refused>) -> Result<T, Refused> {
        match unpoisoned(&self.writer).as_ref() {
            Some(writer) => read(writer),
            None => Err(stopped()),
        }
    }

    /// Acts between two commits, without being one.
    pub(super) fn between<T>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        match unpoisoned(&self.writer).as_mut() {
            Some(writer) => act(writer),
            None => Err(stopped()),
        }
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
