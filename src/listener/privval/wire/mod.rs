//! What a message asks, and the bytes of our answers, for CometBFT v0.34 to v0.40 and v1.0 at once.
//!
//! May import: sigward-proto, prost. Requests come out as `sigward_proto` types, still unchecked: whoever
//! takes them turns them into types that cannot hold nonsense.

mod reply;
mod request;

pub use reply::{KeyType, Reply};
pub use request::{Arm, Malformed, Request};

#[cfg(test)]
mod tests;
