//! Keys at rest: a versioned file format with authenticated encryption, and the keys that seal it.
//!
//! * [`format`](self): what the bytes are; a pure, strict parser of untrusted bytes.
//! * `kek`: the key-encryption key, raw or derived from a passphrase; `source`: where it is read from; `late`: one that
//!   may come after the start.
//! * `seal`: sealing and opening: HKDF-SHA256 (RFC 5869) gives each file a key of its own, XChaCha20-Poly1305
//!   (draft-irtf-cfrg-xchacha) seals the secret with the whole header as associated data.
//!
//! May import: `secret`, `private_file`, `policies` vocabulary, chacha20poly1305, hkdf, sha2, argon2.
//!
//! # Invariants
//! * Everything that the file says besides the secret (store, name, algorithm, public key, parameters) is authenticated;
//!   one flipped bit anywhere, and nothing opens.
//! * A parser never allocates or computes more than its fixed limits, whatever the file says.

mod argon;
mod format;
mod kek;
mod late;
mod seal;
mod source;

pub use argon::ArgonParams;
pub(crate) use argon::SALT;
pub use format::{FormatError, Header, KekKind, MAX_SEALED, Sealed, Sealing};
pub use kek::{Kek, KekError};
pub(crate) use kek::{MAX_PASSPHRASE, MIN_PASSPHRASE};
pub use late::LateKek;
pub use seal::{SealError, StoreCheck, open, seal};
pub use source::KekSource;
