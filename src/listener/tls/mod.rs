//! The door for clients on other machines: gRPC, and health and metrics, over TLS on one port (HTTP/2 and HTTP/1.1 by ALPN).
//!
//! `serve` accepts and bounds, `seats` counts who is in, `connection` shakes hands and keeps one connection, `door` looks at every
//! request before it is read.
//!
//! *Invariants:* nothing is read as HTTP before a client certificate was verified; the certificate is asked for again at every request;
//! connections, handshakes, heads, streams, messages, times and ages are bounded, so that who floods here takes nothing from signing:
//! nodes are dialled, and the admin socket is another one.

mod connection;
mod door;
mod seats;
mod serve;

pub use serve::{DoorError, Listener, serve};
