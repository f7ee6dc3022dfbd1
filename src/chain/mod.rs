//! Chains, layer 2: thin clients that ask a chain what it knows. May import `policies`, `tls`.
//!
//! *Invariants:* a client of a chain only asks, it signs and sends nothing (`post` is for those who are told: anchors); what a node answers is hostile until it is parsed into types that
//! hold no invalid value; every answer has a bound in bytes and in time.

pub mod cometbft;

pub use cometbft::post;
