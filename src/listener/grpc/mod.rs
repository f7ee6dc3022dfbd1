//! The services: bytes to domain types and back; the acts themselves are in `admin`.
//!
//! They are served on the admin unix socket (mode 0600; the kernel says whose process is at its other end) and, by
//! [`tls`](super::tls), to clients with certificates. What a connection proves, and nothing else, is the identity; `admission` asks on
//! every way in whether it may call what it calls.

mod admission;
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

pub(super) use admission::From;
pub(super) use errors::{refusal, too_late};
pub use operations::operation_of;
pub(super) use serve::MAX_OF_OTHERS;
pub use serve::{Services, serve_stream, serve_unix};
pub use status::Watched;
