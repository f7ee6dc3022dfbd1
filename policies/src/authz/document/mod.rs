//! The document: TOML, from text to a [`Policy`](super::Policy), all of it or none.
//!
//! The text is read here and not in the root package, because a document is plain data: bytes in, rules or one error with its line
//! out, no file and no clock. `toml` does no I/O; whoever reads the file also computes its digest.
//!
//! *Invariants:* an unknown word anywhere refuses; so does a list that is empty, since leaving a field out means *any*; no rule of a
//! document that was accepted lets one subject both write the policy and take keys.

mod duties;
mod error;
mod raw;
mod read;
mod rules;
mod warnings;

#[cfg(test)]
mod tests;

pub use error::{DocumentError, Place};
pub(super) use read::read;
pub use warnings::Warning;

/// Largest document, in bytes.
pub const MAX_DOCUMENT: usize = 256 * 1024;
/// Most rules of a document.
pub const MAX_RULES: usize = 1_000;
/// Most patterns of all its rules together, named subjects counted wherever a rule names them.
pub const MAX_PATTERNS: usize = 4_000;
/// Most others that a rule may ask.
const MAX_APPROVALS: i64 = 16;
/// The format that this program reads.
const FORMAT: i64 = 1;
