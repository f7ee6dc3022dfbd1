//! Everything that touches key bytes.
//!
//! May import `sigward-policies` and cryptographic libraries; no tokio, no tonic, no SQL. Bytes of private keys exist in
//! this package and nowhere else: what leaves it are public keys, sealed files, and signatures made for an order.

pub mod backup;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod ecdsa;
pub mod envelope;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fixtures;
pub mod identity;
#[cfg(any(test, feature = "testing"))]
pub mod mock;
pub mod pkcs11;
mod private_file;
pub mod provider;
pub mod secret;
pub mod software;
pub mod token_key;
pub mod verify;

pub use private_file::{Existing, FileError};
