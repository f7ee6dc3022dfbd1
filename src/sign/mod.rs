//! The order in which a request is judged, signed, verified, recorded and released.

pub mod consensus;

pub use consensus::{ChainSigner, Observer, Stage};
