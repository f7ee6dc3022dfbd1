//! The thread that looks whether the token is there, and brings it back.
//!
//! *Invariant:* no answer of the module ends this thread.
//!
//! A token that went away is found again by this thread, not by a request: requests wait for its word, and fail fast without it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    client::{Client, Presence},
    error::sane,
};

/// How often a token that answers is looked at.
const WATCH: Duration = Duration::from_secs(2);
/// How often a token that is away is looked for.
const SEARCH: Duration = Duration::from_millis(250);

/// Ends the thread when dropped; does not wait for it, as it may be inside a call that hangs.
pub(super) struct Keeper {
    client: Weak<Client>,
    ended: Arc<AtomicBool>,
}

impl Keeper {
    pub(super) fn start(client: &Arc<Client>) -> std::io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let (client, stop) = (Arc::downgrade(client), Arc::clone(&ended));
        let kept = client.clone();
        std::thread::Builder::new()
            .name("pkcs11-keeper".to_owned())
            .spawn(move || keep(&kept, &stop))?;
        Ok(Self { client, ended })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(client) = self.client.upgrade() {
            client.retire();
        }
    }
}

fn keep(client: &Weak<Client>, ended: &AtomicBool) {
    while let Some(client) = client.upgrade() {
        if ended.load(Ordering::Relaxed) {
            // Again: it may have been found just now, and a thread that hangs may keep it from ever being dropped.
            return client.retire();
        }
        match client.presence() {
            Presence::Up => {
                // Woken early by whoever finds the token gone.
                let away = client.wait_while_up(WATCH);
                if !away && let Err(error) = sane("C_GetSlotList or C_GetTokenInfo", || client.look_after()) {
                    client.lost(&error);
                }
            }
            Presence::Down(_) => {
                let functions = "C_GetTokenInfo, C_OpenSession, C_Login or C_GetSessionInfo";
                if sane(functions, || client.revive()).is_err() {
                    std::thread::sleep(SEARCH);
                }
            }
            // Only an operator's word brings it back; nothing is tried meanwhile.
            Presence::ShutOut(_) => std::thread::sleep(WATCH),
        }
    }
}
