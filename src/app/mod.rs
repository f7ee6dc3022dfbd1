//! The only place that names concrete types: configuration → store → provider → guard → pipeline → listeners.

mod holds;
mod init;
mod links;
mod offline;
mod parts;
mod serve;
mod supervisor;

pub use init::{Durability, Made, init};
pub use offline::{Offline, adopt_state};
pub use serve::serve;
