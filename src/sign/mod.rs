//! The order in which a request is judged, signed, verified, recorded and released.

pub mod consensus;
mod limits;
#[cfg(test)]
pub(crate) mod testing;

pub use consensus::{ChainSigner, DEADLINE};
pub use limits::LiveLimits;
