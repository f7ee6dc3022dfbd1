//! What a node's connection has done lately, for `sigward node list`: a few numbers, written without a lock.
//!
//! *Invariant:* nothing here decides anything; a number may be a request old.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use sigward_policies::model::id::UnixSeconds;

/// The numbers of one node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    connected_since: AtomicI64,
    connections: AtomicU64,
    last_request: AtomicI64,
    signatures: AtomicU64,
}

/// The numbers of one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Since when the connection stands; None while there is none.
    pub connected_since: Option<UnixSeconds>,
    /// Connections so far, this one included.
    pub connections: u64,
    /// When the last request came, pings included.
    pub last_request: Option<UnixSeconds>,
    /// Signatures that this node was the first to ask for; repeats are not among them.
    pub signatures: u64,
}

/// A connection that stands, until this is dropped.
#[derive(Debug)]
#[must_use = "the connection counts as closed when this is dropped"]
pub struct Standing(Arc<Numbers>);

impl Activity {
    /// Notes a connection.
    pub fn connected(&self, now: UnixSeconds) -> Standing {
        self.0.connections.fetch_add(1, Relaxed);
        self.0.connected_since.store(now.0, Relaxed);
        Standing(Arc::clone(&self.0))
    }

    /// Notes a request of any kind.
    pub fn asked(&self, now: UnixSeconds) {
        self.0.last_request.store(now.0, Relaxed);
    }

    /// Notes that this node was the first to get a signature.
    pub fn signed(&self) {
        self.0.signatures.fetch_add(1, Relaxed);
    }

    /// The numbers now.
    pub fn seen(&self) -> Seen {
        let time = |at: &AtomicI64| Some(at.load(Relaxed)).filter(|at| *at != 0).map(UnixSeconds);
        Seen {
            connected_since: time(&self.0.connected_since),
            connections: self.0.connections.load(Relaxed),
            last_request: time(&self.0.last_request),
            signatures: self.0.signatures.load(Relaxed),
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.connected_since.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_and_ends() {
        let activity = Activity::default();
        assert_eq!(activity.seen(), Seen::default());
        let standing = activity.connected(UnixSeconds(7));
        activity.asked(UnixSeconds(8));
        activity.signed();
        let seen = Seen {
            connected_since: Some(UnixSeconds(7)),
            connections: 1,
            last_request: Some(UnixSeconds(8)),
            signatures: 1,
        };
        assert_eq!(activity.seen(), seen);
        drop(standing);
        assert_eq!(activity.seen().connected_since, None);
    }
}
