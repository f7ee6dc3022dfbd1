//! Health and metrics over plain HTTP/1.1 on loopback: `/livez`, `/readyz`, `/metrics`. May import `telemetry` and `shutdown`.
//!
//! There is no TLS and no caller here: it changes nothing, tells nothing secret, and never leaves the machine.
//!
//! *Invariants:* it binds to loopback or not at all; only GET, never a body; connections, headers and times are bounded, so that
//! what hangs or floods here takes nothing from signing; any other path demands a `Host` of this machine (DNS rebinding).
//!
//! The same paths, for clients with certificates, are a part of the door of [`tls`](super::tls).

pub(super) mod host;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

pub(super) use routes::{YesOrNo, is_probe, is_verbose, is_yes_or_no, router_for_others};
pub use serve::{ListenError, Listener, serve};
