//! One token as this process uses it: sessions of the present initialisation, logged in, and the word whether it is there.
//!
//! May import: `module`, `token`, `pin`.
//!
//! # Invariants
//! * Only [`Client::revive`], called by the keeper's thread alone, restarts the module: a request never does.
//! * A session of an older initialisation is dropped without a call; its number may be another session's by now.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cryptoki::session::Session;

use super::{
    error::{Kind, TokenError},
    module::{Generation, Module},
    pin::{self, Pin, Tries},
    refused_pins::RefusedPins,
    serial::PinnedSerial,
    token::{self, Present, TokenSelector},
};

/// Whether a session may change the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To sign.
    Read,
    /// To make, bring in and destroy objects.
    Write,
}

/// Whether the token answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It does.
    Up,
    /// It does not, and is looked for.
    Down(String),
    /// It does not take our PIN; nothing is tried until an operator says so.
    ShutOut(String),
}

/// A token, by its module and its name.
pub(super) struct Client {
    module: Arc<Module>,
    selector: TokenSelector,
    serial: PinnedSerial,
    pin: Pin,
    refused: RefusedPins,
    presence: Mutex<Presence>,
    changed: Condvar,
}

/// A logged-in session of one initialisation.
pub(super) struct Live {
    session: Session,
    generation: Generation,
}

impl Client {
    pub(super) fn new(
        module: Arc<Module>,
        selector: TokenSelector,
        serial: PinnedSerial,
        pin: Pin,
        refused: RefusedPins,
    ) -> Self {
        Self {
            module,
            selector,
            serial,
            pin,
            refused,
            presence: Mutex::new(Presence::Up),
            changed: Condvar::new(),
        }
    }

    /// A new session, logged in. The serial of the token is pinned the first time.
    pub(super) fn connect(&self, access: Access, tries: Tries) -> Result<(Live, Present), TokenError> {
        let entered = self.module.enter()?;
        let context = entered.context();
        let token = token::find(context, &self.selector, self.serial.known().as_deref())?;
        let session = match access {
            Access::Read => context.open_ro_session_no_drop(token.slot)?,
            Access::Write => context.open_rw_session_no_drop(token.slot)?,
        };
        let ready = pin::login(&session, &token, &self.pin, &self.refused, tries)
            .and_then(|()| self.serial.pin(token.info.serial_number()));
        if let Err(error) = ready {
            let _gone_anyway = session.close();
            return Err(error);
        }
        let live = Live {
            session,
            generation: entered.generation(),
        };
        Ok((live, token))
    }

    /// Runs `work` in a session, unless the module was restarted since it was opened.
    pub(super) fn within<T>(
        &self,
        live: &Live,
        work: impl FnOnce(&Session) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let entered = self.module.enter()?;
        if entered.generation() != live.generation {
            return Err(TokenError::new(
                Kind::Lost,
                "the module was restarted under this session",
                "nothing: a new session is opened",
            ));
        }
        work(&live.session)
    }

    /// Closes a session, where it is still one of ours.
    pub(super) fn close(&self, live: Live) {
        if let Ok(entered) = self.module.enter()
            && entered.generation() == live.generation
        {
            let _gone_anyway = live.session.close();
        }
    }

    /// Runs `look` with the initialised library, without a session.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&cryptoki::context::Pkcs11, cryptoki::slot::Slot) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let entered = self.module.enter()?;
        let token = token::find(entered.context(), &self.selector, self.serial.known().as_deref())?;
        look(entered.context(), token.slot)
    }

    /// Whether the token can be used now: a session opens and logs in. For a token that does not, the module is restarted once:
    /// some see a token that came back only after `C_Finalize` and `C_Initialize`.
    pub(super) fn revive(&self) -> Result<(), TokenError> {
        let seen = self.module.enter().map(|entered| entered.generation()).ok();
        let found = self.try_out().or_else(|error| match error.kind {
            Kind::WrongPin | Kind::PinUnusable | Kind::Full => Err(error),
            _ => self.module.restart(seen).and_then(|()| self.try_out()),
        });
        self.set(match &found {
            Ok(()) => Presence::Up,
            Err(error) if matches!(error.kind, Kind::WrongPin | Kind::PinUnusable) => {
                Presence::ShutOut(error.to_string())
            }
            Err(error) => Presence::Down(error.to_string()),
        });
        found
    }

    fn try_out(&self) -> Result<(), TokenError> {
        let (live, _) = self.connect(Access::Read, Tries::Spare)?;
        let answers = self.within(&live, |session| Ok(session.get_session_info().map(drop)?));
        self.close(live);
        answers
    }

    /// Whether the token is there, as last seen.
    pub(super) fn presence(&self) -> Presence {
        self.lock().clone()
    }

    /// Says that the token did not answer; wakes the keeper.
    pub(super) fn lost(&self, error: &TokenError) {
        let mut presence = self.lock();
        if *presence == Presence::Up {
            *presence = Presence::Down(error.to_string());
            self.changed.notify_all();
        }
    }

    /// Waits until the token is there, for `limit` at most.
    pub(super) fn wait_until_up(&self, limit: Duration) -> bool {
        self.wait(limit, |presence| *presence == Presence::Up)
    }

    /// Waits until the token is away, for `limit` at most.
    pub(super) fn wait_while_up(&self, limit: Duration) -> bool {
        self.wait(limit, |presence| *presence != Presence::Up)
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Presence) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut presence = self.lock();
        loop {
            if until(&presence) {
                return true;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            presence = self
                .changed
                .wait_timeout(presence, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(super) fn set(&self, now: Presence) {
        *self.lock() = now;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
