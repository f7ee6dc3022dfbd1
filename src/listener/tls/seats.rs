//! Who has a seat: in all, from one address, and while still a stranger. There is no queue: who finds none is turned away at once, so
//! that a flood keeps nobody waiting.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};

use crate::telemetry::metrics::Full;

/// Connections at one time, where the process may open enough files.
const MOST: usize = 1024;
/// What the process needs for itself: the store, nodes, tokens, the other sockets.
const FILES_OF_OURS: u64 = 256;

/// How many seats there are of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In all.
    total: usize,
    /// From one address.
    source: usize,
    /// At their handshake.
    strangers: usize,
}

impl Bounds {
    /// What this process can afford.
    pub(super) fn of_this_process() -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let spare = files.saturating_sub(FILES_OF_OURS) / 2;
        let total = usize::try_from(spare).unwrap_or(MOST).clamp(16, MOST);
        Self {
            total,
            source: (total / 8).max(8),
            strangers: (total / 4).max(8),
        }
    }
}

impl Bounds {
    /// The same for loopback, where everybody has one address: fewer in all, and no share of it.
    pub(super) fn of_loopback() -> Self {
        let total = Self::of_this_process().total / 4;
        Self {
            total,
            source: total,
            strangers: total / 2,
        }
    }
}

/// All seats.
#[derive(Debug)]
pub(super) struct Seats {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    strangers: usize,
    sources: HashMap<IpAddr, usize>,
}

/// One seat; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    of: Arc<Seats>,
    source: IpAddr,
    stranger: bool,
}

impl Seats {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::default(),
        })
    }

    /// A seat for a stranger from `address`.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Full> {
        let source = source(address);
        let mut taken = self.lock();
        let of_source = taken.sources.get(&source).copied().unwrap_or(0);
        if taken.total >= self.bounds.total {
            return Err(Full::Total);
        }
        if of_source >= self.bounds.source {
            return Err(Full::Source);
        }
        if taken.strangers >= self.bounds.strangers {
            return Err(Full::Strangers);
        }
        taken.total += 1;
        taken.strangers += 1;
        taken.sources.insert(source, of_source + 1);
        drop(taken);
        Ok(Seat {
            of: self.clone(),
            source,
            stranger: true,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Its holder has shown a certificate.
    pub(super) fn is_known(&mut self) {
        if std::mem::replace(&mut self.stranger, false) {
            self.of.lock().strangers -= 1;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        taken.total -= 1;
        taken.strangers -= usize::from(self.stranger);
        if let Some(count) = taken.sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.sources.remove(&self.source);
            }
        }
    }
}

/// What counts as one address: whoever has an IPv6 network has 2^64 addresses (RFC 4291, section 2.5.1).
pub(super) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        total: 4,
        source: 2,
        strangers: 3,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_bound_holds_and_every_seat_comes_back() {
        let seats = Seats::new(BOUNDS);
        let mut a = seats.take(ip("10.0.0.1")).unwrap();
        let _b = seats.take(ip("::ffff:10.0.0.1")).unwrap();
        assert_eq!(seats.take(ip("10.0.0.1")).unwrap_err(), Full::Source);
        let _c = seats.take(ip("2001:db8::1")).unwrap();
        assert_eq!(seats.take(ip("10.0.0.3")).unwrap_err(), Full::Strangers);
        a.is_known();
        a.is_known();
        let d = seats.take(ip("2001:db8::2")).unwrap();
        assert_eq!(seats.take(ip("2001:db8::3")).unwrap_err(), Full::Total);
        drop(d);
        assert!(seats.take(ip("2001:db8:0:0:1::")).is_ok());
        drop((a, _b, _c));
        let taken = seats.lock();
        assert_eq!((taken.total, taken.strangers, taken.sources.len()), (0, 0, 0));
    }
}
