//! Keys in software: sealed on disk, opened into the locked arena, used in place.
//!
//! `ed25519`, `secp256k1`: the two algorithms; `key`: one of either; `material`: a secret on its way in; `filepv`: CometBFT's key
//! file; `self_test`: the only signatures that are made without an order; `folder`: sealed files; `store`: the provider; `adopt`: keys of
//! another store; `backup`: keys into and out of a backup; `leave`: the only way out in the clear; `reseal`: from one
//! key-encryption key to another; `checkpoint`: the key of the audit chain's checkpoints.

mod adopt;
mod backup;
mod checkpoint;
mod ed25519;
pub mod filepv;
mod folder;
mod key;
mod leave;
mod material;
pub mod moving;
mod reseal;
mod secp256k1;
mod self_test;
mod store;

pub use adopt::ForeignKey;
pub use checkpoint::{CheckpointKey, verify_checkpoint};
pub use key::OpenKeyError;
pub use material::KeyMaterial;
pub use reseal::{Reseal, Settled, TWIN};
pub use store::{KeyFault, SoftwareProvider};

pub(crate) use ed25519::Ed25519Key;
pub(crate) use key::SoftwareKey;
pub(crate) use self_test::self_test;
