//! The services: bytes to domain types and back; the acts themselves are in `admin`.
//!
//! They are served on the admin unix socket (mode 0600; the kernel says whose process is at its other end) and, by
//! [`tls`](super::tls), to clients with certificates. What a connection proves, and nothing else, is the identity; `admission` asks on
//! every way in whether it may call this at all, and the `gate` before the acts asks for which keys and chains.

mod admission;
mod api_key;
mod approval;
mod audit;
mod backup;
mod errors;
mod gate;
mod hold;
mod hsm;
mod key;
mod looking;
mod node;
mod operations;
mod passing;
mod petition;
mod reload;
mod seen;
mod serve;
mod sizes;
mod standing;
mod state;
mod status;
mod target;
mod who;

pub(super) use admission::{From, Private, context};
pub(super) use errors::{refusal, status_of, status_of_failure, too_late, wrong_host};
pub use operations::operation_of;
pub use petition::{APPROVAL, WAIT};
pub(super) use serve::MAX_OF_OTHERS;
pub use serve::{Services, serve_stream, serve_unix};
pub(super) use sizes::most_of;
pub(super) use standing::while_standing;
pub use status::Watched;
