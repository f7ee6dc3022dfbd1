//! The admin services on the admin unix socket: bytes to domain types and back; the acts themselves are in `admin`.
//!
//! The socket has mode 0600, and the kernel says whose process is at its other end: that, and nothing else, is the identity.

mod audit;
mod backup;
mod errors;
mod hold;
mod hsm;
mod key;
mod node;
mod operations;
mod reload;
mod serve;
mod state;
mod status;

pub use operations::operation_of;
pub use serve::{Services, serve_stream, serve_unix};
pub use status::Watched;
