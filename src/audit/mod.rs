//! The audit chain's contents: what an entry says (`entry`), how denials are gathered (`gather`), whether the chain holds
//! (`verify`); and what becomes of it: signed checkpoints (`checkpoint`, `ledger`), files that hold it when it has left the database
//! (`segment`), who reads both (`history`, `search`), and who sees to it all (`keeper`). Layer 3: it makes parts of a `Batch`; only the store writes to the database.
//!
//! *Invariant:* nothing here can hold a payload or a secret: entries are made of names, positions, codes and digests.

mod anchor;
mod archive;
mod aside;
mod asker;
mod checkpoint;
mod denials;
mod entry;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gather;
mod history;
mod keeper;
mod ledger;
mod search;
mod segment;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod testing;
mod verify;

pub use anchor::{Anchor, Behind, NotTold, compare as compare_with_anchor};
pub use archive::{Archive, OpenKey};
pub use aside::set_aside;
pub use asker::Asker;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use denials::Denials;
pub use entry::{Asked, of_act, of_commit, of_refusal};
pub use gather::Gatherer;
pub use history::{History, Stay};
pub use keeper::{Due, KeepError, Keeper, Settings, Standing, Turn, latest};
pub use ledger::{CheckpointFile, FILE as CHECKPOINTS, Whose};
pub use search::Search;
pub use segment::{Segment, SegmentFolder, SegmentReader};
pub use verify::{Break, Evidence, Expected, Verification, verify, verify_telling};
