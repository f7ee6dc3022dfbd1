//! A small authority of one's own, layer 2: makes certificates for people who have nobody to ask for them. May import `tls`, rcgen.
//!
//! A folder is the authority: `ca.crt` and `ca.key`, `crl.pem`, `issued/SERIAL.crt` for every certificate that it ever signed. The CRL
//! is what it knows of revocations; it has no other memory.
//!
//! *Invariants:* a file is made whole and synced under another name before it has its own; none is ever written over but the CRL, which
//! only grows, and a certificate that is renewed; keys have mode 0600, and are never printed.

mod authority;
mod disk;
mod error;
mod issue;
mod revoke;
mod show;

pub use authority::{Authority, Lifetimes, NewAuthority};
pub use error::PkiError;
pub use issue::{Issued, Names, Use};
pub use revoke::Revoked;
pub use show::{Kind, Shown, show};
