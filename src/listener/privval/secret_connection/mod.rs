//! SecretConnection: the encrypted, challenge-signed stream of CometBFT's `tcp://` sockets
//! (cometbft v0.38.25 `p2p/conn/secret_connection.go`).
//!
//! `handshake`, `frame` and their parts are pure: bytes in, bytes out, no socket and no clock.
//! `connection` puts them on a stream. May import: dalek, x25519, chacha20poly1305, hkdf, merlin,
//! sha2, zeroize, getrandom; tokio in `connection` only.
//!
//! # Caveats
//! It hides and protects bytes between two sockets, and proves that the peer holds *some* Ed25519
//! key. A CometBFT node makes that key anew at every start, so it says nothing about who the peer
//! is: never let it be taken for authentication. Timeouts are the caller's.

mod auth;
mod connection;
mod error;
mod frame;
mod handshake;
mod key_schedule;
mod low_order;
#[cfg(test)]
mod tests;

pub use auth::{Identity, PeerKey};
pub use connection::SecretConnection;
pub use error::{ConnectionError, ProtocolError};
pub use frame::{CHUNK_LEN, Opener, SEALED_LEN, Sealer};
pub use handshake::{AwaitingAuth, AwaitingHello, Established, HELLO_LEN, Step};
