//! The only place that names concrete types: configuration → store → provider → guard → pipeline → listeners.

mod approvals;
mod audit;
mod bearer;
mod door;
mod doors;
mod holder;
mod holds;
pub mod import;
mod init;
mod inspect;
mod links;
mod notify;
mod offline;
mod parts;
pub mod probe;
mod seal;
mod serve;
mod space;
mod supervisor;
mod swap;
mod tokens;
mod traces;

pub use bearer::check as check_bearer;
pub use door::check as check_door;
pub use holder::Holder;
pub use init::{Durability, Made, RootToken, init, init_with_token};
pub use inspect::{Inspection, LOCKED_BYTES_KEYS, SealedFile, Trouble, inspect, try_lock_memory};
pub use offline::{Offline, adopt_state};
pub use seal::{
    MoveTo, Moved, Pruned, Rewrapped, Shown, TokenShown, move_seal, prune as prune_seal,
    rewrap as rewrap_seal, show as show_seal,
};
pub use serve::serve;
