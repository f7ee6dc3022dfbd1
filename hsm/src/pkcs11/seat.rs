//! A thread's place at the token: its own session, and the handles it has found.
//!
//! # Invariants
//! * A session is used by one thread alone.
//! * What is tried again is tried with the same bytes, and at most one of the signatures is ever let out.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use cryptoki::{object::ObjectHandle, session::Session};

use super::{
    client::{Access, Client, Live, Presence},
    ecdsa::Hashing,
    error::{Kind, TokenError, sane},
    login::Tries,
    module::Generation,
    record::CkaId,
};

/// How long a request that finds the token away waits for the keeper to find it again.
const PATIENCE: Duration = Duration::from_millis(750);

/// What was found out in one session, and is good for that one.
#[derive(Default)]
pub(super) struct Handles {
    /// Private keys.
    pub(super) keys: HashMap<CkaId, ObjectHandle>,
    /// Who hashes for ECDSA.
    pub(super) hashing: Hashing,
}

/// One thread's session.
pub(super) struct Seat {
    client: Arc<Client>,
    access: Access,
    live: Option<Live>,
    handles: Handles,
    /// The initialisation in which an object was missing last.
    shown_nothing: Option<Generation>,
}

impl Seat {
    pub(super) fn new(client: Arc<Client>, access: Access) -> Self {
        Self {
            client,
            access,
            live: None,
            handles: Handles::default(),
            shown_nothing: None,
        }
    }

    /// Runs `work` in a logged-in session. A session that proves lost is opened anew, once at once, and once more when the token
    /// has come back, if it does so soon. So is one that does not show an object, after the module was started anew.
    pub(super) fn run<T>(
        &mut self,
        deadline: Instant,
        mut work: impl FnMut(&Session, &mut Handles) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        if let Presence::ShutOut(why) = self.client.presence() {
            return Err(shut_out(why));
        }
        let mut outcome = self.attempt(&mut work);
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind.is_worth_a_new_session())
        {
            outcome = self.attempt(&mut work);
        }
        let Err(error) = outcome else {
            return outcome;
        };
        match (error.kind, self.shown_nothing) {
            (Kind::Lost | Kind::Stranger, _) => self.client.lost(&error),
            (Kind::Missing, Some(generation)) if self.client.doubt(&error, generation) => {}
            _ => return Err(error),
        }
        // A little less than there is: who knows why it failed answers before the clock, which does not.
        let rest = deadline.saturating_duration_since(Instant::now());
        let patience = rest.saturating_sub(rest / 8).min(PATIENCE);
        if !self.client.wait_until_up(patience) {
            return Err(error);
        }
        let outcome = self.attempt(&mut work);
        if error.kind == Kind::Missing && outcome.is_ok() {
            self.client.doubt_was_right();
        }
        outcome
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&Session, &mut Handles) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        // A session of an initialisation that is over is no failure of this request: it does not count as one.
        let live = match self.live.take().filter(|live| self.client.is_current(live)) {
            Some(live) => live,
            None => {
                self.handles = Handles::default();
                let connect = || self.client.connect(self.access, Tries::Spare);
                sane("C_GetTokenInfo, C_OpenSession or C_Login", connect)?.0
            }
        };
        let handles = &mut self.handles;
        let outcome = self.client.within(&live, |session| {
            sane("a C function of this act", || work(session, handles))
        });
        match &outcome {
            Err(error) if error.kind == Kind::StaleHandle => {
                self.handles = Handles::default();
                self.live = Some(live);
            }
            Err(error) if error.kind == Kind::Missing => {
                self.shown_nothing = Some(live.generation());
                self.client.close(live);
            }
            Err(error) if error.kind == Kind::Nonsense => {
                self.handles = Handles::default();
                self.client.close(live);
            }
            Err(error) if error.kind.is_worth_a_new_session() => self.client.close(live),
            _ => self.live = Some(live),
        }
        outcome
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.client.close(live);
        }
    }
}

impl Kind {
    const fn is_worth_a_new_session(self) -> bool {
        matches!(self, Self::Lost | Self::LoggedOut | Self::StaleHandle)
    }
}

fn shut_out(why: String) -> TokenError {
    TokenError::new(
        Kind::PinUnusable,
        why,
        "make sure of the PIN, then `sigward hsm login --once`",
    )
}
