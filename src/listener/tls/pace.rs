//! How often hands are shaken: in all, and with one address. Judged when a connection has its seat and nothing was read from it, as what
//! a handshake costs (two signatures, a key exchange, a chain of certificates) is spent before anybody is known.
//!
//! A bucket is the one moment at which it would be full again (the generic cell rate algorithm, ITU-T I.371). The clock comes in.
//!
//! *Invariant:* memory is bounded, from wherever they come: addresses beyond [`MAX_SOURCES`] share a bucket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::seats::source;
use crate::config::DoorBounds;

/// Addresses with a bucket of their own.
const MAX_SOURCES: usize = 4096;

/// Handshakes at once, and the time that each of them takes to be forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    at_once: u32,
    each: Duration,
}

/// The buckets of one door.
#[derive(Debug)]
pub(super) struct Pace {
    all: Rate,
    of_one: Rate,
    full_at: Mutex<FullAt>,
}

/// When buckets are full again; none: it is.
#[derive(Debug, Default)]
struct FullAt {
    all: Option<Instant>,
    /// `None` is all those that have no bucket of their own.
    sources: HashMap<Option<IpAddr>, Instant>,
}

impl Pace {
    /// A second's worth at once with all; with one address two.
    pub(super) fn of(bounds: &DoorBounds) -> Self {
        let (all, of_one) = (bounds.handshakes, bounds.handshakes_of_one);
        Self::new(
            Rate::a_second(all, all),
            Rate::a_second(of_one.saturating_mul(2), of_one),
        )
    }

    fn new(all: Rate, of_one: Rate) -> Self {
        Self {
            all,
            of_one,
            full_at: Mutex::default(),
        }
    }

    /// Whether there may be a handshake with `address` now. One that may not be counts for nothing.
    pub(super) fn allows(&self, address: IpAddr, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut whose = Some(source(address));
        if full_at.sources.len() >= MAX_SOURCES && !full_at.sources.contains_key(&whose) {
            full_at.sources.retain(|_, full| *full > now);
            if full_at.sources.len() >= MAX_SOURCES {
                whose = None;
            }
        }
        let of_one = self.of_one.take(full_at.sources.get(&whose).copied(), now);
        let all = self.all.take(full_at.all, now);
        let (Some(of_one), Some(all)) = (of_one, all) else {
            return false;
        };
        full_at.sources.insert(whose, of_one);
        full_at.all = Some(all);
        true
    }
}

impl Rate {
    /// So many at once, and then so many a second.
    fn a_second(at_once: u32, many: u32) -> Self {
        let each = Duration::from_secs(1) / many.max(1);
        Self { at_once, each }
    }

    /// When the bucket is full again if one is taken now; nothing, if it is empty.
    fn take(self, full_at: Option<Instant>, now: Instant) -> Option<Instant> {
        let next = full_at.map_or(now, |full| full.max(now)) + self.each;
        (next.duration_since(now) <= self.each.saturating_mul(self.at_once)).then_some(next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const fn rate(at_once: u32, each: u64) -> Rate {
        Rate {
            at_once,
            each: Duration::from_millis(each),
        }
    }

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn one_address_has_its_share_and_all_together_theirs() {
        let pace = Pace::new(rate(5, 10), rate(2, 100));
        let now = Instant::now();
        let allowed = |address, after| pace.allows(ip(address), now + Duration::from_millis(after));
        assert!(allowed(1, 0) && allowed(1, 0));
        assert!(!allowed(1, 0), "its bucket is empty");
        assert!(allowed(2, 0) && allowed(2, 0) && allowed(3, 0));
        assert!(!allowed(4, 0), "everybody's is");
        assert!(allowed(4, 10));
        assert!(!allowed(1, 99));
        assert!(allowed(1, 100), "what was refused counted for nothing");
    }

    #[test]
    fn the_configuration_says_how_many() {
        let config = crate::config::parse(
            "[listen.bounds]\nhandshakes = 10\nhandshakes_of_one_address = 3",
            std::path::Path::new("/"),
        );
        let pace = Pace::of(&config.unwrap().bounds);
        let now = Instant::now();
        let within = |address, after| {
            let at = now + Duration::from_millis(after);
            (0..50).filter(|_| pace.allows(ip(address), at)).count()
        };
        assert_eq!((within(1, 0), within(2, 0)), (6, 4));
        assert_eq!((within(1, 1000), within(2, 1000)), (3, 5));
    }

    #[test]
    fn memory_is_bounded_and_who_is_gone_leaves_room() {
        let many = u32::try_from(MAX_SOURCES).unwrap();
        let pace = Pace::new(rate(u32::MAX, 1), rate(1, 100));
        let now = Instant::now();
        for n in 0..many {
            assert!(pace.allows(ip(n), now));
        }
        assert!(pace.allows(ip(many), now));
        assert!(!pace.allows(ip(many + 1), now), "they share one");
        assert!(pace.allows(ip(many + 1), now + Duration::from_millis(100)));
        assert!(pace.full_at.lock().unwrap().sources.len() <= 2);
    }
}
