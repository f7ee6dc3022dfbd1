//! What is held back, as the daemon tells it: in readiness and metrics; and the kill switch that works without the admin socket.
//!
//! *Invariant:* whoever sends SIGUSR1 is heard, from the first moment of `serve` on: what came before nodes are dialled is acted on
//! before they are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::SIGUSR1;
use sigward_policies::decision::Refused;
use sigward_policies::holding::{Conditions, Holds, Place, Scope};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::parts::Parts;
use crate::admin::{Admin, FreezeScope};
use crate::audit::Asker;
use crate::guard::Guard;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Check, Readiness, Weight};

/// How soon it is tried again to freeze.
const AGAIN: Duration = Duration::from_secs(1);

/// SIGUSR1: the way to freeze everything when the admin socket is gone.
#[derive(Debug)]
pub(super) struct KillSwitch {
    /// Thrown, and not acted on yet. The handler itself says so: the runtime, which hears of a signal later, may be busy.
    thrown: Arc<AtomicBool>,
    /// Wakes whoever watches.
    wakes: Signal,
}

impl KillSwitch {
    /// It is heard from here on: unheard, it would end the process, and whatever starts it again would sign on.
    pub(super) fn new() -> io::Result<Self> {
        let thrown = Arc::<AtomicBool>::default();
        // Registered first, so that whoever is woken finds it thrown: handlers run in order.
        signal_hook::flag::register(SIGUSR1, thrown.clone())?;
        let wakes = signal(SignalKind::user_defined1())?;
        Ok(Self { thrown, wakes })
    }

    /// Whether it was thrown since it was last asked.
    fn was_thrown(&self) -> bool {
        self.thrown.swap(false, Ordering::SeqCst)
    }

    /// Freezes everything if it was thrown already.
    pub(super) async fn act_on_the_past(&self, admin: &Admin) -> Result<(), Refused> {
        if self.was_thrown() {
            freeze_all(admin).await
        } else {
            Ok(())
        }
    }

    /// Freezes everything each time it is thrown, until the daemon ends. What is refused, for want of room or of a disk that takes
    /// something, is tried again: nobody who throws it looks for an answer.
    pub(super) async fn watch(mut self, admin: Arc<Admin>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.begun() => return,
                woken = self.wakes.recv() => if woken.is_none() { return },
            }
            if !self.was_thrown() {
                continue;
            }
            let (admin, shutdown) = (admin.clone(), shutdown.clone());
            // On a task of its own: the next one is heard whatever this one waits for.
            tokio::spawn(async move {
                while freeze_all(&admin).await.is_err() && !shutdown.has_begun() {
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
    }
}

async fn freeze_all(admin: &Admin) -> Result<(), Refused> {
    let frozen = admin.freeze(&Asker::SERVICE, &FreezeScope::All, "SIGUSR1").await;
    if let Err(refused) = &frozen {
        tracing::error!(
            alarm = true,
            code = refused.code(),
            "SIGUSR1 could not freeze: {refused}"
        );
    }
    frozen
}

/// Tells what is held back.
pub(super) struct Held {
    admin: Arc<Admin>,
    guard: Arc<Guard>,
    metrics: Arc<Metrics>,
    check: Check,
}

impl Held {
    pub(super) fn new(parts: &Parts, metrics: &Arc<Metrics>, readiness: &Readiness) -> Arc<Self> {
        let held = Self {
            admin: parts.admin.clone(),
            guard: parts.guard.clone(),
            metrics: metrics.clone(),
            check: readiness.check(
                "freeze",
                Weight::Required,
                "`sigward holds` says why; `sigward unfreeze` with the scope that it names, and --reason TEXT, lifts it",
            ),
        };
        held.tell();
        Arc::new(held)
    }

    /// Follows what operators do until the daemon ends.
    pub(super) async fn watch(self: Arc<Self>, shutdown: Shutdown) {
        let mut changes = self.guard.watch_holds();
        // What changed before anybody watched.
        self.tell();
        while !shutdown.has_begun() {
            tokio::select! {
                () = shutdown.begun() => {}
                changed = changes.changed() => match changed {
                    Ok(()) => self.tell(),
                    Err(_guard_is_gone) => return,
                },
            }
        }
    }

    /// Tells it now: of everything, and of each chain of the configuration in force.
    pub(super) fn tell(&self) {
        let holds = self.guard.holds();
        self.metrics.set_frozen(&holds);
        let chains = self.admin.chains.now();
        let mut signing = 0_usize;
        for chain in chains.iter() {
            let now = self.conditions(&holds, chain);
            signing += usize::from(now.frozen.is_none());
            let metrics = self.metrics.chain(&chain.id);
            metrics.frozen(now.frozen.is_some());
        }
        match holds.of(&Place::Freeze(Scope::All)) {
            Some(hold) => self
                .check
                .fail(format!("frozen: everything, by {}", hold.note.by)),
            None if signing == 0 && !chains.is_empty() => {
                self.check.fail("frozen: every chain of the configuration");
            }
            None => self.check.good(),
        }
    }

    fn conditions(&self, holds: &Holds, chain: &crate::admin::ConfiguredChain) -> Conditions {
        match self.admin.keyring.find(&chain.key) {
            Ok(key) => holds.conditions(&key.key.version.public_key, &chain.id),
            Err(_) => holds.conditions_of_any(&chain.id),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The runtime has one thread, which is here: whatever is known of the signal, its handler said.
    #[tokio::test]
    async fn what_was_thrown_is_known_before_the_runtime_has_heard_of_it_and_counts_once() {
        let mut switch = KillSwitch::new().unwrap();
        assert!(!switch.was_thrown());
        signal_hook::low_level::raise(SIGUSR1).unwrap();
        assert!(switch.was_thrown());
        assert!(!switch.was_thrown());
        switch.wakes.recv().await.unwrap();
        assert!(!switch.was_thrown(), "whoever is woken late has nothing to do");
    }
}
