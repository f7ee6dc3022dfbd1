//! Proof tokens: the way of a request, enforced by types.
//!
//! ```text
//! Received ─ authz ─▶ Permit ┐
//!          └ guard ─▶ Cleared ┴▶ join ─▶ SignOrder ─ hsm ─▶ Unreleased ─┬ verify ─▶ Verified ┐
//!                                  └──▶ Stored (a repeat) ──────────────┴ commit ─▶ Receipt ─┴▶ Released
//! ```
//!
//! Each step takes the last one's result by value. Every token carries a [`Claim`]: which request, which key, which chain,
//! which operation, which edition of the rules; bringing together tokens with different claims yields a [`Mismatch`].
//!
//! *Invariants:* fields are private; each token has one constructor; nothing here is `Clone` except what a token lends. Where a
//! constructor must be public because another package asserts the fact, it is called `asserted_by_…` and clippy bans it
//! outside its one reviewed place.

mod claim;
mod consensus;
mod order;
mod release;
mod stopped;

pub use claim::{Claim, Mismatch, Received, RequestId};
pub use consensus::{ConsensusMessages, ConsensusReply, ConsensusSignatures};
pub use order::{Joined, SignOrder, Stored, Unreleased, join};
pub use release::{Receipt, Released, ToCommit, ToVerify, Verified};
pub use stopped::Stopped;

use crate::model::algorithm::Signature;
use crate::model::id::ChainId;
use crate::model::operation::Operation;
use std::sync::Arc;

/// A message and the signature over it, as `verify` gets them.
pub type Pair = (Arc<[u8]>, Signature);

mod sealed {
    /// Only this package says what can be signed.
    pub trait Sealed {}
    impl Sealed for crate::model::payload::Consensus {}
}

/// Something that can be asked to be signed. What is signed is derived here from what was judged.
pub trait Payload: sealed::Sealed + Clone + Send + Sync + 'static {
    /// The bytes to be signed.
    type Messages: Clone + Send + Sync + std::fmt::Debug;
    /// The signatures over them.
    type Signatures: Clone + PartialEq + Send + Sync + std::fmt::Debug;
    /// What the guard knows of it.
    type Clearing: Clone + Send + Sync + std::fmt::Debug;
    /// What the caller gets.
    type Reply: Send + std::fmt::Debug;

    /// The operation it asks for.
    fn operation(&self) -> Operation;
    /// The messages that a key must sign, none of them for a repeat that is wholly stored.
    fn messages(&self, chain: &ChainId, clearing: &Self::Clearing) -> Self::Messages;
    /// Whether a key has anything to do.
    fn needs_key(messages: &Self::Messages) -> bool;
    /// The signatures of a repeat for which no key is used.
    fn nothing_signed() -> Self::Signatures;
    /// Every signature that would leave, with its message; `None` if signatures and messages do not fit.
    fn pairs(
        clearing: &Self::Clearing,
        messages: &Self::Messages,
        signatures: &Self::Signatures,
    ) -> Option<Vec<Pair>>;
    /// The reply.
    fn reply(&self, clearing: &Self::Clearing, signatures: Self::Signatures) -> Option<Self::Reply>;
}
