//! The order in which a request is judged, signed, verified, recorded and released.

pub mod consensus;
#[cfg(test)]
pub(crate) mod testing;

pub use consensus::{ChainSigner, DEADLINE};
