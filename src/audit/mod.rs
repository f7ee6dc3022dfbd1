//! The audit chain's contents: what an entry says (`entry`), how denials are gathered (`gather`), whether the chain holds
//! (`verify`). Layer 3: it makes parts of a `Batch`; only the store writes.
//!
//! *Invariant:* nothing here can hold a payload or a secret: entries are made of names, positions, codes and digests.

mod denials;
mod entry;
mod gather;
mod verify;

pub use denials::Denials;
pub use entry::{Asked, of_act, of_commit, of_refusal};
pub use gather::Gatherer;
pub use verify::{Break, Verification, verify};
