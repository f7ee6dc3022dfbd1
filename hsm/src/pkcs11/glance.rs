//! What can be said of a token without logging in to it: for `sigward doctor`, where no daemon runs.
//!
//! # Invariant
//! Nothing is changed: no login, no session, no file.

use super::{
    error::TokenError,
    login::Logins,
    module::Module,
    provider::TokenConfig,
    serial::PinnedSerial,
    token::{self, TokenIdentity},
};
use crate::{
    error::{Operation, ProviderError},
    secret::Arena,
};

/// A token that is there.
#[derive(Debug)]
pub struct Glance {
    /// Who it says it is.
    pub token: TokenIdentity,
    /// Why the next start would not try the PIN.
    pub pin: Result<(), ProviderError>,
}

/// Looks whether the module loads, whether it shows the token, and whether its PIN would be tried.
///
/// # Errors
/// `token_unavailable`, `token_failed`, `initialization_failed`.
pub fn glance(config: &TokenConfig, arena: &Arena) -> Result<Glance, ProviderError> {
    let failed = |error: TokenError| error.during(Operation::Initialize);
    let serial = PinnedSerial::load(&config.folder)
        .map_err(|error| ProviderError::from_file(Operation::Initialize, error))?;
    let module = Module::load(&config.module).map_err(failed)?;
    let entered = module.enter().map_err(failed)?;
    let found =
        token::find(entered.context(), &config.token, serial.known().as_deref(), None).map_err(failed)?;
    let logins = Logins::new(arena, config.pin.clone(), config.refused_pins.clone());
    Ok(Glance {
        pin: logins.would_try(&found.info).map_err(failed),
        token: found.identity(),
    })
}
