//! TLS, layer 1: who is at the other end, by certificates (RFC 8446, RFC 5280). May import rustls, and `policies`.
//!
//! [`connect`] and [`Trust`] are for servers of others; [`Keeper`] is what our own listener proves and demands; [`Dialer`] is a command line that talks
//! to such a listener on another machine; [`x509`] reads names and dates.
//!
//! *Invariants:* TLS 1.3 by aws-lc-rs and nothing else; a server of ours demands a certificate of an authority that its operator named, but
//! for the one that takes tokens, which says so by naming none; no session is resumed, because a resumed one would not show its certificate again.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

mod client;
mod error;
pub mod files;
mod keeper;
mod outgoing;
mod server;
mod trust;
mod verifier;
pub mod x509;

pub use client::{ClientFiles, Dialer};
pub use error::{TlsError, TlsWhat};
pub use keeper::{Keeper, Looked, Peer};
pub use outgoing::connect;
pub use server::{Expiry, Material, ServerFiles};
pub use trust::Trust;
pub use verifier::NoIdentity;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
