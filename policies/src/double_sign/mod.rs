//! Double-sign rules: at most one message per position, ever.
//!
//! [`rules`] is the pure rule, a function of a guard row and a request. [`hold`] keeps a position in memory while its
//! signature is being made. [`clear()`] joins both into a [`Cleared`]. The store runs the same rule once more inside its
//! transaction, and its word there is the last one.

pub mod begin;
mod clear;
pub mod hold;
pub mod rules;
pub mod watermark;

pub use begin::{Beginning, merge};
pub(crate) use clear::Clearing;
pub use clear::{Cleared, clear};
pub use hold::{Held, Slot};
pub use rules::{Limits, Verdict, judge};
pub use watermark::{GuardRow, LastSigned, Watermark};
