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

/// Addresses with a bucket of their own.
const MAX_SOURCES: usize = 4096;

/// Handshakes at once, and the time that each of them takes to be forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    at_once: u32,
    each: Duration,
}

/// In all: 400 in a second at once, and then 400 a second.
const ALL: Rate = Rate {
    at_once: 400,
    each: Duration::from_micros(2500),
};
/// With one address: 200 at once, and then 100 a second.
const OF_ONE: Rate = Rate {
    at_once: 200,
    each: Duration::from_millis(10),
};

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

impl Default for Pace {
    fn default() -> Self {
        Self::new(ALL, OF_ONE)
    }
}

impl Pace {
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
