//! The only place that names concrete types: configuration → store → provider → guard → pipeline → listeners.

mod init;
mod notify;
mod offline;
mod parts;
mod serve;
mod space;

pub use init::{Durability, Made, init};
pub use offline::{Offline, adopt_state};
pub use serve::serve;
