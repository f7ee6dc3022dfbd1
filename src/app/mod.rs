//! The only place that names concrete types: configuration → store → provider → guard → pipeline → listeners.

mod holds;
pub mod import;
mod init;
mod inspect;
mod links;
mod notify;
mod offline;
mod parts;
pub mod probe;
mod serve;
mod space;
mod supervisor;
mod tokens;

pub use init::{Durability, Made, init};
pub use inspect::{Inspection, LOCKED_BYTES_KEYS, SealedFile, Trouble, inspect, try_lock_memory};
pub use offline::{Offline, adopt_state};
pub use serve::serve;
