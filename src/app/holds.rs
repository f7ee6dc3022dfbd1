//! What is held back, as the daemon tells it: in readiness and metrics; and the kill switch that works without the admin socket.

use std::sync::Arc;

use sigward_policies::holding::{Place, Scope};
use sigward_policies::model::caller::Caller;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::parts::Parts;
use crate::admin::{Admin, FreezeScope};
use crate::guard::Guard;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Check, Readiness, Weight};

/// Tells what is held back until the daemon ends.
pub(super) struct Holds {
    admin: Arc<Admin>,
    guard: Arc<Guard>,
    metrics: Arc<Metrics>,
    check: Check,
    kill_switch: Signal,
}

impl Holds {
    /// SIGUSR1 is heard from here on: unheard, it would end the process.
    pub(super) fn new(parts: &Parts, metrics: &Arc<Metrics>, readiness: &Readiness) -> std::io::Result<Self> {
        let holds = Self {
            admin: parts.admin.clone(),
            guard: parts.guard.clone(),
            metrics: metrics.clone(),
            check: readiness.check(
                "freeze",
                Weight::Required,
                "`sigward holds` says why; `sigward unfreeze --all --reason TEXT` lifts it",
            ),
            kill_switch: signal(SignalKind::user_defined1())?,
        };
        holds.tell();
        Ok(holds)
    }

    pub(super) async fn watch(mut self, shutdown: Shutdown) {
        let mut changes = self.guard.watch_holds();
        while !shutdown.has_begun() {
            tokio::select! {
                () = shutdown.begun() => {}
                Ok(()) = changes.changed() => self.tell(),
                Some(()) = self.kill_switch.recv() => self.freeze_all(),
            }
        }
    }

    /// SIGUSR1: the way to freeze everything when the admin socket is gone.
    fn freeze_all(&self) {
        let admin = self.admin.clone();
        tokio::spawn(async move {
            let frozen = admin.freeze(&Caller::Service, &FreezeScope::All, "SIGUSR1").await;
            if let Err(refused) = frozen {
                tracing::error!(
                    alarm = true,
                    code = refused.code(),
                    "SIGUSR1 could not freeze: {refused}"
                );
            }
        });
    }

    fn tell(&self) {
        let holds = self.guard.holds();
        self.metrics.set_frozen(&holds);
        match holds.of(&Place::Freeze(Scope::All)) {
            Some(hold) => self
                .check
                .fail(format!("frozen: everything, by {}", hold.note.by)),
            None => self.check.good(),
        }
    }
}
