//! Whose bodies are waited for: in all, of one issuer and of one holder of tokens, of all and of each API key, so that whoever sends slowly, and often, takes
//! nothing from others. Who came with a token, which is used up by then, waits for a place as long as a body may take; whoever came with
//! a certificate asks again ([`arriving`](super::arriving)).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sigward_policies::model::caller::Caller;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a body may take to come, with the wait for its place.
pub(super) const TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Bodies that are waited for at once: what is held of them is bounded by that.
const ALL: usize = 64;
/// Of those, of one issuer, which may call those whom it vouches for as it likes; and of all API keys.
const OF_ISSUER: usize = 16;
/// Of those, of one holder.
pub(super) const OF_HOLDER: usize = 8;
/// Bodies behind certificates that are not whole, and of which no more than one part is kept; of those, of one holder.
const COMING: usize = 512;
pub(super) const COMING_OF_HOLDER: usize = 128;

/// All places.
#[derive(Debug)]
pub(super) struct Bodies {
    all: Arc<Semaphore>,
    issuers: Shares,
    holders: Shares,
    coming: Arc<Semaphore>,
    coming_of: Shares,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            issuers: Shares::new(OF_ISSUER),
            holders: Shares::new(OF_HOLDER),
            coming: Arc::new(Semaphore::new(COMING)),
            coming_of: Shares::new(COMING_OF_HOLDER),
        }
    }
}

impl Bodies {
    /// Waits for a place for a body of `who`. The narrowest share comes first: who waits there keeps nobody else waiting.
    pub(super) async fn place(&self, who: &Caller) -> Place {
        let of_holder = self.holders.of(who.to_string()).acquire_owned().await.ok();
        let issuer = match who {
            Caller::Token { holder } => holder.issuer().to_string(),
            // No issuer has a name like it.
            _ => String::new(),
        };
        let of_issuer = self.issuers.of(issuer).acquire_owned().await.ok();
        // Nobody closes them, so there is always one in the end.
        let of_all = self.all.clone().acquire_owned().await.ok();
        Place {
            _permits: [of_holder, of_issuer, of_all],
        }
    }

    /// A place for a body of `who` that grows, if there is one now. An authority is the operator's own: it has no share.
    pub(super) fn place_now(&self, who: &Caller) -> Option<Place> {
        of_both(&self.holders, &self.all, who)
    }

    /// The same for a body that is not whole, and has not begun to grow.
    pub(super) fn comes(&self, who: &Caller) -> Option<Place> {
        of_both(&self.coming_of, &self.coming, who)
    }
}

fn of_both(shares: &Shares, all: &Arc<Semaphore>, who: &Caller) -> Option<Place> {
    let of_holder = shares.of(who.to_string()).try_acquire_owned().ok()?;
    let of_all = all.clone().try_acquire_owned().ok()?;
    Some(Place {
        _permits: [Some(of_holder), None, Some(of_all)],
    })
}

/// One semaphore for each who has a place, or waits for one.
#[derive(Debug)]
pub(super) struct Shares {
    each: usize,
    shares: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Shares {
    /// So much for each.
    pub(super) fn new(each: usize) -> Self {
        Self {
            each,
            shares: Mutex::default(),
        }
    }

    /// The share of `key`.
    pub(super) fn of(&self, key: String) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&key) {
            return share.clone();
        }
        // A permit, and whoever waits for one, holds its semaphore: those that are held here alone are nobody's any more.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Arc::new(Semaphore::new(self.each));
        shares.insert(key, share.clone());
        share
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use sigward_policies::model::bearer::TokenHolder;
    use tokio::time::timeout;

    use super::*;

    fn holder(text: &str) -> Caller {
        let holder = TokenHolder::parse(text).unwrap();
        Caller::Token { holder }
    }

    async fn now(bodies: &Bodies, text: &str) -> Option<Place> {
        timeout(Duration::from_millis(20), bodies.place(&holder(text)))
            .await
            .ok()
    }

    #[tokio::test]
    async fn nobody_takes_more_than_a_share_and_every_place_comes_back() {
        let bodies = Bodies::default();
        let mut of_one = Vec::new();
        for _ in 0..OF_HOLDER {
            of_one.push(now(&bodies, "ci/a").await.unwrap());
        }
        assert!(now(&bodies, "ci/a").await.is_none());
        // The issuer makes up names: it gets its share, and not one place more.
        let mut of_issuer = Vec::new();
        for number in 0..OF_ISSUER - OF_HOLDER {
            of_issuer.push(now(&bodies, &format!("ci/{number}")).await.unwrap());
        }
        assert!(now(&bodies, "ci/new").await.is_none());
        let alice = now(&bodies, "alice/alice").await.unwrap();
        of_one.pop();
        of_one.push(now(&bodies, "ci/a").await.unwrap());
        // All of them together have no more than there are.
        let mut rest = vec![alice];
        for number in 1..ALL - OF_ISSUER {
            rest.push(now(&bodies, &format!("i{number}/x")).await.unwrap());
        }
        assert!(now(&bodies, "late/x").await.is_none());
        assert!(
            rest.iter()
                .all(|place| place._permits.iter().all(Option::is_some))
        );
        drop((of_one, of_issuer, rest));
        let last = now(&bodies, "late/x").await.unwrap();
        assert_eq!(bodies.all.available_permits(), ALL - 1);
        let held = |held: usize| {
            assert_eq!(bodies.issuers.shares.lock().unwrap().len(), held);
            assert_eq!(bodies.holders.shares.lock().unwrap().len(), held);
        };
        drop(now(&bodies, "one/y").await.unwrap());
        drop(now(&bodies, "two/y").await.unwrap());
        held(2);
        drop(last);
    }
}
