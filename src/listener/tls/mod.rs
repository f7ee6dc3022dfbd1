//! The doors for clients on other machines: gRPC, and health and metrics, over TLS on one port (HTTP/2 and HTTP/1.1 by ALPN). One
//! demands certificates; the other one, for clients that cannot have any, tokens. The latter may be there once more without TLS, on
//! loopback alone, where a request must name this machine as well. What speaks no gRPC is [`json`](super::json)'s.
//!
//! `serve` accepts and bounds, `seats` counts who is in, `pace` how often hands are shaken, `connection` shakes them and keeps one
//! connection, `visitor` is its client, `door` looks at every request before it is read, `gate` says who makes it, `bodies` for whose
//! body there is room, `arriving` lets one behind a certificate in as it comes, `leaving` has room for answers until they are taken,
//! `telling` asks whether plain HTTP may tell more than yes and no.
//!
//! *Invariants:* where certificates are demanded, nothing is read as HTTP before one was verified, and it is asked for again at every
//! request; where tokens are, no body is read before its token was found good for the rest of the request, and nobody is served before
//! it was found good for the body; no request goes by both;
//! connections, handshakes, heads, streams, messages, answers, times and ages are bounded, each and all together, so that who floods here takes
//! nothing from signing: nodes are dialled, and the admin socket is another one.

mod arriving;
mod bodies;
mod connection;
mod door;
mod gate;
mod leaving;
mod pace;
mod seats;
mod serve;
mod telling;
mod visitor;

pub use gate::Gate;
pub use serve::{DoorError, Listener, serve};
