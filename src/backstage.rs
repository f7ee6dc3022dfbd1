//! Backstage, layer 0: threads for long work, so that whoever signs comes first. Imports nothing of ours.
//!
//! Work is of three kinds, each with a few places: reading the audit chain, what takes a processor for long (verifying a chain, sealing
//! and opening backups), and sealing keys, which is part of acts and so is never turned away half-way. Who finds no place waits; who finds too many waiting is
//! turned away at once. A thread here has a lower priority than those that sign, and never gets it back: that is why these are no threads of the runtime.
//!
//! *Invariant:* nothing done here may hold what a signature needs. The store does its reading on its own thread (`store/sqlite/shared`).

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, oneshot};

/// Steps of niceness. At 10, a thread gets a tenth of what one that signs gets, where both want all of a processor (sched(7)).
const NICE: i32 = 10;
const LAST: i32 = 19;

/// Reading the audit chain: mostly waiting for the store and for the client.
pub static READING: Stage = Stage::new(4, 32);
/// What takes a processor for long.
pub static WORKING: Stage = Stage::new(2, 32);

/// Sealing and unsealing keys (Argon2id, file syncs).
pub static SEALING: Stage = Stage::new(2, usize::MAX);

/// Places for one kind of work.
#[derive(Debug)]
pub struct Stage {
    places: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// Why work was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotDone {
    /// Too much waits: nothing was begun.
    #[error("too much of this is going on already; nothing was done: try again in a few seconds")]
    Busy,
    /// It panicked, or no thread could be had.
    #[error("it was interrupted")]
    Interrupted,
}

impl Stage {
    /// So many at once, and so many waiting.
    pub const fn new(places: usize, most_waiting: usize) -> Self {
        Self {
            places: Semaphore::const_new(places),
            waiting: AtomicUsize::new(0),
            most_waiting,
        }
    }

    /// Does `work` on a thread of its own, once there is a place. It is done to its end, whether or not somebody still waits for it.
    pub async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let place = {
            let _waits = Waiting::of(self).ok_or(NotDone::Busy)?;
            self.places.acquire().await.map_err(|_| NotDone::Interrupted)?
        };
        let (tell, told) = oneshot::channel();
        std::thread::Builder::new()
            .name("backstage".to_owned())
            .spawn(move || {
                let _place = place;
                give_way();
                let _gone = tell.send(work());
            })
            .map_err(|_| NotDone::Interrupted)?;
        told.await.map_err(|_| NotDone::Interrupted)
    }
}

/// From now on this thread comes after those that sign. Where that is not allowed, it does not.
pub fn give_way() {
    // Of this thread alone: on Linux each has its own (setpriority(2), C library/kernel differences).
    let lower = rustix::process::getpriority_process(None).map(|now| now.saturating_add(NICE).min(LAST));
    let _as_it_was = lower.and_then(|lower| rustix::process::setpriority_process(None, lower));
}

/// One that waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(stage: &'a Stage) -> Option<Self> {
        let one = Self(&stage.waiting);
        let before = stage.waiting.fetch_add(1, Ordering::Relaxed);
        // Dropping it counts it out again.
        (before < stage.most_waiting || stage.places.available_permits() > 0).then_some(one)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn so_many_work_so_many_wait_and_the_rest_is_turned_away() {
        static STAGE: Stage = Stage::new(1, 1);
        let (go, going) = channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let first = tokio::spawn(STAGE.run(move || {
            begun.send(()).unwrap();
            going.recv().unwrap();
            1
        }));
        has_begun.await.unwrap();
        let mut second = Box::pin(STAGE.run(|| 2));
        assert!(futures_pending(&mut second).await);
        assert_eq!(STAGE.run(|| 3).await, Err(NotDone::Busy));
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(1));
        assert_eq!(second.await, Ok(2));
        assert_eq!(STAGE.run(|| 4).await, Ok(4), "places come back");
    }

    #[tokio::test]
    async fn a_panic_gives_its_place_back_and_only_its_own_thread_gives_way() {
        static STAGE: Stage = Stage::new(1, 1);
        let mine = rustix::process::getpriority_process(None).unwrap();
        let panicked = STAGE.run(|| -> () { panic!("on purpose") }).await;
        assert_eq!(panicked, Err(NotDone::Interrupted));
        let there = STAGE
            .run(|| rustix::process::getpriority_process(None).unwrap())
            .await;
        assert_eq!(there, Ok((mine + NICE).min(LAST)));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), mine);
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
