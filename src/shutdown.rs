//! Shutdown, layer 0: SIGTERM or SIGINT begins it, a deadline bounds it, a second signal cuts it short. Imports nothing of ours.
//!
//! The signals are heard on a thread of their own with a small runtime of its own, so that a wedged worker cannot keep the process
//! alive. Ending hard is always safe: nothing was released that was not durable. The soft way only spares peers a broken connection.
//!
//! *Invariant:* once begun, a shutdown is never taken back, and its deadline never moves.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a drain may take unless told otherwise. Below the 10 s of `docker stop` and far below the 30 s of Kubernetes.
pub const GRACE: Duration = Duration::from_secs(8);

/// The wish to end, shared by everything that runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    deadline: Arc<OnceLock<Instant>>,
    grace: Duration,
}

/// Why the process is to end at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// A second signal came while it drained.
    SecondSignal,
    /// The drain took longer than the grace.
    DeadlinePassed,
}

impl Shutdown {
    /// One that has not begun; once it has, it may take `grace`.
    pub fn new(grace: Duration) -> Self {
        Self {
            token: CancellationToken::new(),
            deadline: Arc::default(),
            grace,
        }
    }

    /// Begins it. Again is nothing.
    pub fn begin(&self) {
        // The deadline first: whoever sees the token sees it.
        self.deadline.get_or_init(|| Instant::now() + self.grace);
        self.token.cancel();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it begins.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// When everything should have ended; None before it began.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// Waits until it has begun and its deadline has passed.
    pub async fn deadline_passed(&self) {
        self.begun().await;
        let left = self
            .deadline()
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        tokio::time::sleep(left).await;
    }

    /// The token itself, for code that takes one. Cancelling it is not [`begin`](Self::begin): take a child.
    pub fn child_token(&self) -> CancellationToken {
        self.token.child_token()
    }

    /// Hears SIGTERM and SIGINT from now on: the first begins the shutdown, and a second, or the deadline, calls `cut` on the
    /// signals' thread. `cut` ends the process (only `main` may do that); if it returns, nothing more is heard.
    ///
    /// The handlers are installed when this returns. Errors: no handler, or no thread.
    pub fn on_signals(&self, cut: impl FnOnce(Cut) + Send + 'static) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (term, int) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let shutdown = self.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .stack_size(256 << 10)
            .spawn(move || cut(runtime.block_on(shutdown.hear(term, int))))
            .map(|_detached| ())
    }

    async fn hear(self, mut term: Signal, mut int: Signal) -> Cut {
        tokio::select! {
            () = self.begun() => {}
            _ = term.recv() => tracing::info!(signal = "SIGTERM", "shutting down"),
            _ = int.recv() => tracing::info!(signal = "SIGINT", "shutting down; once more ends at once"),
        }
        self.begin();
        tokio::select! {
            () = self.deadline_passed() => Cut::DeadlinePassed,
            _ = term.recv() => Cut::SecondSignal,
            _ = int.recv() => Cut::SecondSignal,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new(GRACE)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::sync::mpsc;

    use rustix::process::{Signal as Sent, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_shutdown_begins_once_and_keeps_its_deadline() {
        let shutdown = Shutdown::new(Duration::from_millis(20));
        assert!(!shutdown.has_begun());
        assert_eq!(shutdown.deadline(), None);
        let child = shutdown.child_token();
        let other = shutdown.clone();
        other.begin();
        let deadline = shutdown.deadline().unwrap();
        other.begin();
        assert_eq!(shutdown.deadline(), Some(deadline));
        assert!(shutdown.has_begun() && child.is_cancelled());
        shutdown.deadline_passed().await;
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test]
    async fn cancelling_a_child_token_begins_nothing() {
        let shutdown = Shutdown::default();
        shutdown.child_token().cancel();
        assert!(!shutdown.has_begun());
    }

    /// One test, because signals are the whole process's.
    #[test]
    fn the_first_signal_begins_and_a_second_or_the_deadline_cuts() {
        let (tell, told) = mpsc::channel();
        let hear = |grace, tell: &mpsc::Sender<Cut>| {
            let shutdown = Shutdown::new(grace);
            let tell = tell.clone();
            shutdown.on_signals(move |cut| tell.send(cut).unwrap()).unwrap();
            shutdown
        };
        let wait = |shutdown: &Shutdown| {
            let begun = Instant::now();
            while !shutdown.has_begun() {
                assert!(
                    begun.elapsed() < Duration::from_secs(10),
                    "the signal was not heard"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        };

        let patient = hear(Duration::from_secs(3600), &tell);
        kill_process(getpid(), Sent::TERM).unwrap();
        wait(&patient);
        assert!(told.try_recv().is_err(), "one signal cuts nothing");
        kill_process(getpid(), Sent::INT).unwrap();
        assert_eq!(
            told.recv_timeout(Duration::from_secs(10)).unwrap(),
            Cut::SecondSignal
        );

        let hasty = hear(Duration::from_millis(10), &tell);
        kill_process(getpid(), Sent::INT).unwrap();
        wait(&hasty);
        assert_eq!(
            told.recv_timeout(Duration::from_secs(10)).unwrap(),
            Cut::DeadlinePassed
        );

        let told_by_us = hear(Duration::from_millis(10), &tell);
        told_by_us.begin();
        assert_eq!(
            told.recv_timeout(Duration::from_secs(10)).unwrap(),
            Cut::DeadlinePassed
        );
    }
}
