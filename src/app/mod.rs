//! The only place that names concrete types: configuration → store → provider → guard → pipeline → listeners.

mod init;
mod inspect;
mod offline;
mod parts;
mod serve;

pub use init::{Durability, Made, init};
pub use inspect::{Inspection, LOCKED_BYTES_KEYS, SealedFile, Trouble, inspect, try_lock_memory};
pub use offline::{Offline, adopt_state};
pub use serve::serve;
