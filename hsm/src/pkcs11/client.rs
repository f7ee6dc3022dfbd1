//! One token as this process uses it: sessions of the present initialisation, logged in, and the word whether it is there.
//!
//! May import: `module`, `token`, `login`.
//!
//! # Invariants
//! * Only [`Client::revive`], called by the keeper's thread and by whoever opens the token, restarts the module: a request never does.
//! * A session of an older initialisation is dropped without a call; its number may be another session's by now.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cryptoki::{context::Pkcs11, session::Session, slot::Slot};

use super::{
    error::{Kind, TokenError},
    login::{self, LoggedIn, Logins, Tries},
    module::{Generation, Module, Restart, User},
    pin::PinSource,
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
    user: User,
    selector: TokenSelector,
    serial: PinnedSerial,
    /// Where it was last.
    slot: Mutex<Option<Slot>>,
    logins: Logins,
    presence: Mutex<Presence>,
    changed: Condvar,
    doubts: Mutex<Doubts>,
    few_tries: AtomicBool,
}

/// Restarts of the module because it did not show an object. They disturb every key of the token, and are of no use where the object
/// is gone: so each one that was of no use makes the next one wait twice as long.
struct Doubts {
    next: Instant,
    pause: Duration,
    /// The keeper is to restart the module, whether or not the token answers.
    pending: bool,
}

/// The first pause between two restarts for an object that is not shown, and the last one.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// A logged-in session of one initialisation.
pub(super) struct Live {
    session: Session,
    generation: Generation,
}

impl Live {
    /// The initialisation that it belongs to.
    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }
}

impl Client {
    pub(super) fn new(
        module: Arc<Module>,
        selector: TokenSelector,
        serial: PinnedSerial,
        logins: Logins,
    ) -> Self {
        Self {
            user: module.join(),
            module,
            selector,
            serial,
            slot: Mutex::default(),
            logins,
            presence: Mutex::new(Presence::Up),
            changed: Condvar::new(),
            doubts: Mutex::new(Doubts {
                next: Instant::now(),
                pause: PAUSE.0,
                pending: false,
            }),
            few_tries: AtomicBool::new(false),
        }
    }

    /// Whether the token said, when it was last looked at, that a wrong PIN was tried and few tries are left: somebody else's, where
    /// this process is logged in.
    pub(super) fn has_few_tries(&self) -> bool {
        self.few_tries.load(Ordering::Relaxed)
    }

    /// Looks at the token, without a session.
    pub(super) fn look_after(&self) -> Result<(), TokenError> {
        let info = self.look(|context, slot| Ok(context.get_token_info(slot)?))?;
        self.few_tries
            .store(login::has_few_tries(&info), Ordering::Relaxed);
        Ok(())
    }

    /// Where the PIN is from now on.
    pub(super) fn pin_is_at(&self, source: PinSource) {
        self.logins.pin_is_at(source);
    }

    /// A new session, logged in. The serial of the token is pinned the first time. A token that does not take our PIN is shut out, for
    /// every thread.
    pub(super) fn connect(&self, access: Access, tries: Tries) -> Result<(Live, Present), TokenError> {
        self.log_in(access, tries).map(|(live, token, _)| (live, token))
    }

    /// The same, and what logging in came to.
    pub(super) fn log_in(
        &self,
        access: Access,
        tries: Tries,
    ) -> Result<(Live, Present, LoggedIn), TokenError> {
        if !self.logins.is_prepared() {
            let serial = {
                let entered = self.module.enter()?;
                self.find(entered.context())?.info.serial_number().to_owned()
            };
            self.logins
                .prepare(&serial)
                .inspect_err(|error| self.shut_out_by(error))?;
        }
        let entered = self.module.enter()?;
        let context = entered.context();
        let token = self.find(context)?;
        let session = match access {
            Access::Read => context.open_ro_session_no_drop(token.slot)?,
            Access::Write => context.open_rw_session_no_drop(token.slot)?,
        };
        let outcome = self
            .logins
            .log_in(context, &session, token.slot, tries)
            .inspect_err(|error| self.shut_out_by(error))
            .and_then(|outcome| {
                self.serial.pin(token.info.serial_number())?;
                Ok(outcome)
            });
        let live = Live {
            session,
            generation: entered.generation(),
        };
        match outcome {
            Ok(outcome) => Ok((live, token, outcome)),
            Err(error) => {
                let _gone_anyway = live.session.close();
                Err(error)
            }
        }
    }

    /// The token seals: no other one is taken for it from now on.
    pub(super) fn bind(&self, serial: &str) -> Result<(), TokenError> {
        self.serial.bind(serial)
    }

    /// Nobody tries again what an operator has to mend.
    fn shut_out_by(&self, error: &TokenError) {
        if matches!(error.kind, Kind::WrongPin | Kind::PinUnusable) {
            self.set(Presence::ShutOut(error.to_string()));
        }
    }

    fn find(&self, context: &Pkcs11) -> Result<Present, TokenError> {
        let last = *self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let token = token::find(context, &self.selector, self.serial.known().as_deref(), last)?;
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.slot);
        Ok(token)
    }

    /// Whether a session is one of the present initialisation.
    pub(super) fn is_current(&self, live: &Live) -> bool {
        self.module
            .enter()
            .is_ok_and(|entered| entered.generation() == live.generation)
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
        look: impl FnOnce(&Pkcs11, Slot) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let entered = self.module.enter()?;
        let token = self.find(entered.context())?;
        look(entered.context(), token.slot)
    }

    /// Whether the token can be used now: a session opens and logs in. For a token that does not, the module is restarted where that
    /// may be: some see a token that came back, or its objects, only after `C_Finalize` and `C_Initialize`.
    pub(super) fn revive(&self) -> Result<(), TokenError> {
        let seen = self.module.enter().map(|entered| entered.generation()).ok();
        let doubted = std::mem::take(&mut self.doubts().pending);
        let found = if doubted && self.restart(seen, false)? == Restart::Done {
            self.try_out()
        } else {
            self.try_out().or_else(|error| self.restart_for(error, seen))
        };
        self.set(match &found {
            Ok(()) => Presence::Up,
            Err(error) if matches!(error.kind, Kind::WrongPin | Kind::PinUnusable) => {
                Presence::ShutOut(error.to_string())
            }
            Err(error) => Presence::Down(error.to_string()),
        });
        found
    }

    /// Starts the module anew because of `error`, if that may help and may be; tries the token again then.
    fn restart_for(&self, error: TokenError, seen: Option<Generation>) -> Result<(), TokenError> {
        if matches!(error.kind, Kind::WrongPin | Kind::PinUnusable | Kind::Full) {
            return Err(error);
        }
        match self.restart(seen, error.kind == Kind::Stranger)? {
            Restart::Done => self.try_out().inspect(|()| self.module.restart_helped()),
            Restart::NotNow => Err(error),
            Restart::Hangs => Err(error.and(
                "a call to the module has not returned, and while it does not the module cannot be restarted",
            )),
        }
    }

    fn restart(&self, seen: Option<Generation>, rare: bool) -> Result<Restart, TokenError> {
        self.module.restart(seen, &self.user, rare).inspect_err(|error| {
            self.set(Presence::Down(error.to_string()));
        })
    }

    fn try_out(&self) -> Result<(), TokenError> {
        let (live, _) = self.connect(Access::Read, Tries::Spare)?;
        let answers = self.within(&live, |session| Ok(session.get_session_info().map(drop)?));
        self.close(live);
        answers
    }

    /// What keeps everybody from calling the module; nothing where it can be called.
    pub(super) fn held_up(&self) -> Option<TokenError> {
        self.module.held_up()
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
            self.user.works(false);
            self.changed.notify_all();
        }
    }

    /// Says that a session of `generation` was not shown an object that should be there. A module that was running while its token was
    /// away can go on without its objects for ever (SoftHSM2 does): the keeper restarts it, unless it did so lately in vain. Whether it
    /// is worth looking again once the token is up.
    pub(super) fn doubt(&self, error: &TokenError, generation: Generation) -> bool {
        if self
            .module
            .enter()
            .is_ok_and(|now| now.generation() != generation)
        {
            return true;
        }
        let mut doubts = self.doubts();
        let now = Instant::now();
        if doubts.pending {
            return true;
        }
        if now < doubts.next {
            return false;
        }
        // Not under a token that works: it is said, and looked at again later.
        if !self.module.may_restart(&self.user, false) {
            return false;
        }
        doubts.next = now + doubts.pause;
        doubts.pause = doubts.pause.saturating_mul(2).min(PAUSE.1);
        doubts.pending = true;
        drop(doubts);
        self.lost(error);
        true
    }

    /// An object that was not shown is there again.
    pub(super) fn doubt_was_right(&self) {
        self.doubts().pause = PAUSE.0;
    }

    /// The present initialisation.
    #[cfg(test)]
    pub(super) fn generation(&self) -> Option<Generation> {
        self.module.enter().map(|entered| entered.generation()).ok()
    }

    /// How often the module was restarted.
    #[cfg(test)]
    pub(super) fn restarts(&self) -> u64 {
        self.module.restarts()
    }

    /// Restarts as rarely as in earnest, until this is dropped.
    #[cfg(test)]
    pub(super) fn keep_pace(&self) -> impl Drop + use<> {
        struct Kept(Arc<Module>);
        impl Drop for Kept {
            fn drop(&mut self) {
                self.0.set_pace(super::pace::Pace::none());
            }
        }
        self.module.set_pace(super::pace::Pace::new());
        Kept(Arc::clone(&self.module))
    }

    /// Nobody uses this token any more.
    pub(super) fn retire(&self) {
        self.user.works(false);
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut presence = self.lock();
        self.user.works(now == Presence::Up);
        *presence = now;
        drop(presence);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
