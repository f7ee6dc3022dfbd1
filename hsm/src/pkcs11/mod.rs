//! Keys in a PKCS#11 token: made there, used there, never outside.
//!
//! * `module`: the vendor's library, one initialisation at a time; `place`: its beginning and its end; `pace`: how often it is started
//!   anew; `token`: which token; `client`: sessions of it, logged in.
//! * `pin`, `login`, `refused_pins`, `serial`: logging in, never twice with a wrong PIN, never to another token.
//! * `seat`, `pool`, `keeper`: threads with a session each, a queue with a deadline, and whoever brings a lost token back.
//! * `seal`: an AES key in the token that seals the key-encryption key of the software store; `wrap`: in which ways.
//! * `probe`: what a token can do. `look`: which keys are recorded, and which of them the token does not show.
//! * `protection`: whether a key may have left the token. `found`: keys that somebody else made in it.
//! * `curve`, `mechanism`, `objects`, `ecdsa`, `record`: what is asked of the token, and what is remembered of its keys.
//!
//! May import: cryptoki, `provider`, `private_file`, `secret`, `envelope`. Nothing here depends on one vendor's module.

mod acts;
mod client;
mod curve;
mod ecdsa;
mod error;
mod found;
mod glance;
mod keeper;
mod login;
mod look;
mod mechanism;
mod module;
mod objects;
mod pace;
mod pin;
mod place;
mod pool;
mod probe;
mod protection;
mod provider;
mod record;
mod refused_pins;
mod seal;
mod seat;
mod serial;
#[cfg(test)]
mod softhsm;
mod token;
mod wrap;

pub use client::Presence;
pub use error::TokenError;
pub use found::{FoundKey, Leaving};
pub use glance::{Glance, glance};
pub use login::LoggedIn;
pub use look::{DamagedRecord, Load, TokenKey, damaged_records, recorded_keys};
pub use pin::PinSource;
pub use probe::{Finding, Probe, Purpose, Verdict, probe};
pub use protection::Protection;
pub use provider::{Pkcs11Provider, TokenConfig, log_in_once};
pub use seal::{Rewrap, TokenSeal, WrappedKek};
pub use token::{TokenIdentity, TokenSelector};
