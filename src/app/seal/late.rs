//! A daemon whose sealing token was away at the start: it serves what needs no sealed key, says that it is not ready, looks for the
//! token, and begins to sign when it is back.
//!
//! *Invariant:* looking costs the token no try of its PIN: one that it refused is remembered on disk, and not tried again.

use std::sync::Arc;
use std::time::Duration;

use sigward_hsm::envelope::LateKek;
use sigward_hsm::provider::HsmProvider as _;
use sigward_hsm::secret::Arena;
use sigward_hsm::software::SoftwareProvider;

use super::{read_however_long, settle};
use crate::app::parts::Parts;
use crate::app::supervisor::Supervisor;
use crate::config::{Config, SealSource};
use crate::shutdown::Shutdown;
use crate::telemetry::readiness::{Check, Readiness, Weight};

/// First and longest pause between two looks. A look restarts the token's module, which its other users notice: so not more often.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Looks for the token until it is there.
pub(in crate::app) struct Late {
    kek: Arc<LateKek>,
    config: Config,
    arena: Arena,
    software: Arc<SoftwareProvider>,
    check: Check,
}

impl Late {
    /// Speaks for a seal that is in a token, here or away.
    pub(in crate::app) fn new(parts: &Parts, config: &Config, readiness: &Readiness) -> Option<Self> {
        let SealSource::Pkcs11(_) = &config.seal else {
            return None;
        };
        let late = Self {
            kek: parts.kek.clone(),
            config: config.clone(),
            arena: parts.arena.clone(),
            software: parts.admin.providers.software.clone(),
            check: readiness.check(
                "seal",
                Weight::Required,
                "sealed keys open by themselves when the token is there and takes the PIN; `sigward doctor` looks at it",
            ),
        };
        match late.kek.why_away() {
            None => late.check.good(),
            Some(why) => {
                tracing::error!(
                    alarm = true,
                    "the seal is away, so no sealed key signs until it is back: {why}"
                );
                late.check.fail(why);
            }
        }
        Some(late)
    }

    /// Looks until the seal is here, opens the keys, and has the chains served that wait for them. Its check lives until the end.
    pub(in crate::app) async fn watch(self, supervisor: Arc<Supervisor>, shutdown: Shutdown) {
        let mut pause = PAUSES.0;
        while let Some(before) = self.kek.why_away() {
            tokio::select! {
                () = shutdown.begun() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = pause.saturating_mul(2).min(PAUSES.1);
            self.look().await;
            match self.kek.why_away() {
                Some(why) if why != before => {
                    tracing::warn!("the seal is still away: {why}");
                    self.check.fail(why);
                }
                Some(_) => {}
                None => self.open(supervisor.clone()).await,
            }
        }
        shutdown.begun().await;
    }

    /// Asks the token once, on a thread that may block.
    async fn look(&self) {
        let (config, arena, kek) = (self.config.clone(), self.arena.clone(), self.kek.clone());
        let looked = tokio::task::spawn_blocking(move || {
            match read_however_long(&config, &arena) {
                Ok(here) => {
                    // Before a key opens: a move that was cut off may stand between the files and this key.
                    match settle(&config.keys.dir, &here) {
                        Ok(_) => kek.came(here),
                        Err(error) => kek.still_away(error.to_string()),
                    }
                }
                Err(error) => kek.still_away(error.told().replace('\n', "; ")),
            }
        });
        if looked.await.is_err() {
            tracing::error!(
                alarm = true,
                "looking for the seal was interrupted; it is tried again"
            );
        }
    }

    async fn open(&self, supervisor: Arc<Supervisor>) {
        let software = self.software.clone();
        let opened = tokio::task::spawn_blocking(move || software.initialize()).await;
        let outcome = match opened {
            Ok(Ok(())) => supervisor
                .parts()
                .admin
                .open_keys()
                .await
                .map_err(|refused| refused.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("opening the keys was interrupted".to_owned()),
        };
        match outcome {
            Ok(()) => {
                supervisor.serve_more().await;
                self.check.good();
                tracing::info!("the seal is back: its keys are open");
            }
            Err(why) => {
                tracing::error!(
                    alarm = true,
                    "the seal is back, and its keys could not be opened: {why}; restart sigward"
                );
                self.check.fail(why);
            }
        }
    }
}
