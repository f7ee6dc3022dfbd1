//! How often a module is started anew.
//!
//! `C_Finalize` ends the sessions of every token of the module, so a restart that helps one costs the others. Alone in its module a
//! token may have it soon again, each time a little later; beside one that works it is rare.
//!
//! *Invariant:* with a token of the same module at work, no two restarts are closer than [`COMPANY`].

use std::time::{Duration, Instant};

/// Between two restarts for a token that is alone: at first, and at most.
const ALONE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// Between two restarts while another token of the module works; also where no restart is likely to help.
const COMPANY: Duration = Duration::from_secs(60);
/// How long a restart keeps everybody out to wait for the calls under way. One that is under way for as long already is not waited
/// for: it hangs, or takes its time.
const PATIENCE: Duration = Duration::from_millis(500);

/// When a module was restarted last, and how long the next restart has to wait.
#[derive(Debug)]
pub(super) struct Pace {
    last: Option<Instant>,
    pause: Duration,
    alone: (Duration, Duration),
    company: Duration,
    patience: Duration,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            last: None,
            pause: ALONE.0,
            alone: ALONE,
            company: COMPANY,
            patience: PATIENCE,
        }
    }

    /// No pauses, and patience: tests that run at once make tokens in one module all the time.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self {
            last: None,
            pause: Duration::ZERO,
            alone: (Duration::ZERO, Duration::ZERO),
            company: Duration::ZERO,
            patience: Duration::from_secs(10),
        }
    }

    /// Whether it may be now. `rare`: another token is at work, or a restart is unlikely to help.
    pub(super) fn allows(&self, now: Instant, rare: bool) -> bool {
        let pause = if rare {
            self.company.max(self.pause)
        } else {
            self.pause
        };
        self.last
            .is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    /// How long a restart waits for the calls under way, and how old they may be.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// One begins.
    pub(super) fn began(&mut self, now: Instant) {
        self.last = Some(now);
        self.pause = self.pause.saturating_mul(2).min(self.alone.1);
    }

    /// The token that it was for is there again.
    pub(super) const fn helped(&mut self) {
        self.pause = self.alone.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Restarts in an hour of asking four times a second.
    fn in_an_hour(rare: bool) -> usize {
        let (mut pace, begin) = (Pace::new(), Instant::now());
        let mut restarts = 0;
        for quarter in 0..4 * 3600 {
            let now = begin + Duration::from_millis(250) * quarter;
            if pace.allows(now, rare) {
                pace.began(now);
                restarts += 1;
            }
        }
        restarts
    }

    #[test]
    fn beside_a_token_that_works_it_is_once_a_minute() {
        assert_eq!(in_an_hour(true), 60);
    }

    #[test]
    fn alone_it_is_soon_at_first_and_every_four_seconds_later() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        assert!(pace.allows(now, false));
        pace.began(now);
        assert!(!pace.allows(now, false));
        assert!(pace.allows(now + Duration::from_millis(500), false));
        assert!((900..=910).contains(&in_an_hour(false)));
        pace.helped();
        assert!(pace.allows(now + Duration::from_millis(250), false));
        assert!(!pace.allows(now + Duration::from_millis(250), true));
    }
}
