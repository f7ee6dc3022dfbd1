//! CometBFT's remote-signer protocol, from the socket up to decoded requests.
//!
//! Bottom up: [`secret_connection`] encrypts a stream, [`transport`] is a stream with or without it,
//! [`framing`] cuts a stream into messages, [`wire`] says what a message asks and writes what we answer.
//! Everything here is about bytes; who may sign what is decided elsewhere.
//!
//! # Invariants
//! * Reading is cancel-safe: a future that is dropped loses no byte.
//! * No input makes a buffer larger than the read cap, and only bytes that arrived make it grow.
//! * An error of [`framing`] or below ends the connection; an error of [`wire`]'s callers does not.

mod buffer;
mod convert;
mod dial;
pub mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod secret_connection;
pub mod session;
pub mod transport;
pub mod wire;

pub use dial::Link;
