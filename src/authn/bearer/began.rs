//! When this process began, as tokens are judged by it: nothing that was signed before then is taken, because the process before this one
//! may have taken it.
//!
//! A clock that is behind at the start (no NTP yet, a machine that was suspended, a wrong battery) and is set right afterwards would let
//! every token of the last minutes in once more. So the beginning moves along with the clock.
//!
//! *Invariant:* it never goes down, and is never before what the clock shows now less the time that has really passed.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sigward_policies::model::id::UnixSeconds;

/// Time that has passed, by a clock that nobody sets.
pub trait Passed: Send + Sync + 'static {
    /// How much.
    fn passed(&self) -> Duration;
}

impl Passed for Instant {
    fn passed(&self) -> Duration {
        self.elapsed()
    }
}

/// The beginning.
pub struct Began {
    /// The latest that it was ever found to be.
    at: AtomicI64,
    since: Box<dyn Passed>,
}

impl fmt::Debug for Began {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Began").field(&self.at).finish()
    }
}

impl Began {
    /// Now, where the clock shows `clock` and something is known to have happened at `known` before: whatever the clock says, it is not
    /// earlier than that.
    pub fn now(clock: UnixSeconds, known: Option<UnixSeconds>) -> Self {
        Self::measured_by(Instant::now(), clock.max(known.unwrap_or(clock)))
    }

    /// At `at`, with so much passed since.
    pub fn measured_by(since: impl Passed, at: UnixSeconds) -> Self {
        Self {
            at: AtomicI64::new(at.0),
            since: Box::new(since),
        }
    }

    /// When that was, by a clock that shows `now`.
    pub(super) fn by(&self, now: i64) -> i64 {
        let passed = i64::try_from(self.since.passed().as_secs()).unwrap_or(i64::MAX);
        let found = now.saturating_sub(passed);
        self.at.fetch_max(found, Ordering::Relaxed).max(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Clone, Default)]
    struct Turned(Arc<AtomicU64>);

    impl Passed for Turned {
        fn passed(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn the_beginning_moves_with_a_clock_that_is_set_right_and_never_back() {
        let since = Turned::default();
        let began = Began::measured_by(since.clone(), UnixSeconds(1000));
        since.0.store(10, Ordering::Relaxed);
        assert_eq!(began.by(1010), 1000, "nobody turned the clock");
        assert_eq!(began.by(4611), 4601, "it was behind by an hour");
        assert_eq!(began.by(4500), 4601, "and is turned back");
        since.0.store(100, Ordering::Relaxed);
        assert_eq!(began.by(4701), 4601);
        let known = |clock, known| Began::now(UnixSeconds(clock), Some(UnixSeconds(known))).by(0);
        assert_eq!(known(1000, 4000), 4000, "the store knows of later");
        assert_eq!(known(4000, 1000), 4000);
    }
}
