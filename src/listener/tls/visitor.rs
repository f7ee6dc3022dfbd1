//! The client of one connection: what it has shown, whether that still stands, and whether it still reads.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::SubjectName;
use sigward_policies::model::id::UnixSeconds;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::gate::Gate;
use super::leaving::Untaken;
use super::seats::Seat;
use crate::authn::bearer::{SKEW, Shown};
use crate::clock::{Clock as _, SystemClock};
use crate::tls::Peer;

/// Whoever reads nothing of what is held open for so long reads no more. It is asked for more often (`grpc::while_standing`).
const UNREAD: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 30_000 });

/// The client of one connection.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Its certificate, where one was demanded.
    pub(super) peer: Option<Peer>,
    pub(super) from: IpAddr,
    /// What it was answered and has not taken.
    pub(super) untaken: Arc<Untaken>,
    fallen: watch::Sender<bool>,
    known: watch::Sender<bool>,
    /// When something that is held open was read last.
    read: Mutex<Option<Instant>>,
    /// Its place; a stranger's until it is known.
    seat: Mutex<Seat>,
}

impl Visitor {
    pub(super) fn new(peer: Option<Peer>, from: IpAddr, seat: Seat) -> Self {
        Self {
            known: watch::Sender::new(peer.is_some()),
            peer,
            // A rule for 10.0.0.0/8 means ::ffff:10.0.0.1 too.
            from: from.to_canonical(),
            untaken: Arc::default(),
            fallen: watch::Sender::new(false),
            read: Mutex::default(),
            seat: Mutex::new(seat),
        }
    }

    /// Whom its certificate names.
    pub(super) fn name(&self) -> Option<&SubjectName> {
        self.peer.as_ref().map(Peer::name)
    }

    /// Whether what it showed for an answer that is held open still stands; a token does until it `ends`, or is revoked.
    pub(super) fn stands(
        &self,
        gate: &Gate,
        shown: Option<&Shown>,
        ends: Option<UnixSeconds>,
    ) -> Result<(), Refusal> {
        match self.peer.as_ref().zip(gate.keeper()) {
            Some((peer, keeper)) => keeper.stands(peer).map_err(|error| {
                self.falls();
                tracing::warn!(subject = ?self.name(), code = RefusalCode::CertificateRefused.as_str(), %error, "a stream was ended");
                let why = "the certificate of this connection does not stand any more; connect again with one that does";
                Refusal::new(RefusalCode::CertificateRefused, why)
            }),
            None if ends.is_none_or(|ends| SystemClock.unix_seconds().0 > ends.0.saturating_add(SKEW)) => {
                let why = "the token of this request has ended, and what is held open by it; ask again with another one";
                Err(Refusal::new(RefusalCode::TokenRefused, why))
            }
            None => shown.map_or(Ok(()), |shown| gate.stands(shown)),
        }
    }

    /// Something that is held open is being read: its reader has taken all that came before.
    pub(super) fn reads(&self) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Waits until nothing that is held open has been read lately, and for `patience` at least.
    pub(super) async fn has_stopped_reading(&self, patience: Duration) {
        let mut end = Instant::now() + patience;
        while Instant::now() < end {
            sleep_until(end).await;
            let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
            end = read.map_or(end, |read| end.max(read + UNREAD));
        }
    }

    /// Its certificate stands no more.
    pub(super) fn falls(&self) {
        self.fallen.send_replace(true);
    }

    /// It has shown a good token.
    pub(super) fn is_known(&self) {
        if !self.known.send_replace(true) {
            self.seat
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_known();
        }
    }

    /// Waits until its certificate stands no more.
    pub(super) async fn has_fallen(&self) {
        let mut fallen = self.fallen.subscribe();
        // The sender lives as long as this value.
        let _fallen = fallen.wait_for(|fallen| *fallen).await;
    }

    /// Ends when nothing was proved for so long.
    pub(super) async fn stays_a_stranger(&self, patience: Duration) {
        let mut known = self.known.subscribe();
        if timeout(patience, known.wait_for(|known| *known)).await.is_ok() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::super::seats::{Bounds, Seats};
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(20);

    fn visitor() -> Arc<Visitor> {
        let address = IpAddr::from([127, 0, 0, 1]);
        let seat = Seats::new(Bounds::of_loopback()).take(address).unwrap();
        Arc::new(Visitor::new(None, address, seat))
    }

    #[tokio::test]
    async fn who_reads_is_waited_for_and_who_has_stopped_is_not() {
        // Nothing is held open.
        visitor().has_stopped_reading(PATIENCE).await;

        let visitor = visitor();
        let (reads, done) = (visitor.clone(), Arc::new(AtomicBool::new(false)));
        let stops = done.clone();
        visitor.reads();
        tokio::spawn(async move {
            for _ in 0..20 {
                sleep(PATIENCE).await;
                reads.reads();
            }
            stops.store(true, Ordering::Release);
        });
        visitor.has_stopped_reading(PATIENCE).await;
        assert!(done.load(Ordering::Acquire), "it was still reading");
    }
}
