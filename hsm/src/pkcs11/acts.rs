//! Acts at the token (making, bringing in, destroying, wrapping): one at a time, in a session with the right to write.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use cryptoki::session::Session;

use super::{
    client::{Access, Client},
    error::TokenError,
    seat::Seat,
};
use crate::error::{Operation, ProviderError};

/// How long an act may take: tokens make keys slowly.
const ACT: Duration = Duration::from_secs(30);

/// The session for acts.
pub(super) struct Acts(Arc<Mutex<Seat>>);

impl Acts {
    pub(super) fn new(client: &Arc<Client>) -> Self {
        Self(Arc::new(Mutex::new(Seat::new(Arc::clone(client), Access::Write))))
    }

    /// Runs an act on a thread of its own: a token that hangs must not take the caller with it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        mut work: impl FnMut(&Session) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (tell, told) = mpsc::sync_channel(1);
        let seat = Arc::clone(&self.0);
        std::thread::Builder::new()
            .name("pkcs11-act".to_owned())
            .spawn(move || {
                let outcome = seat
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .run(Instant::now() + ACT, |session, _| work(session));
                // Whoever hears of the outcome and lets go of the token is the last to have the session.
                drop(seat);
                let _given_up = tell.send(outcome);
            })
            .map_err(|error| ProviderError::fault(operation, error))?;
        match told.recv_timeout(ACT) {
            Ok(outcome) => outcome.map_err(|error| error.during(operation)),
            Err(_) => Err(ProviderError::Unavailable {
                reason: format!("the token gave no answer within {ACT:?}"),
            }),
        }
    }
}
