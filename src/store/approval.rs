//! Requests for approval as the store keeps them, and what a batch may do to them. May use `policies` only.
//!
//! There are at most [`MAX_KEPT`] of them: a new one takes the row of the oldest that ended. So nothing is deleted, the table does not
//! grow, and its digest covers every row there is.
//!
//! *Invariant:* what was used, rejected or has expired never waits again.

use std::fmt;

use sha2::{Digest as _, Sha256};
use sigward_policies::authz::{ApprovalRequest, Person, PolicyVersion, RequestDigest, Vote};
use sigward_policies::holding::Place;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, StoreId, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::encoding::Encoder;

mod disk;

pub(crate) use disk::{decode_approval, encode_approval};

/// How many wait at once, and how many of one person.
pub(crate) const MAX_OPEN: usize = 64;
/// How many of one person wait at once.
pub(crate) const MAX_OPEN_EACH: usize = 8;
/// How many are kept, those that ended included.
pub(crate) const MAX_KEPT: usize = 256;
/// How long one may wait: a day.
pub const MAX_WAIT: i64 = 24 * 3600;
/// Longest description of an act, in bytes.
pub const MAX_WHAT: usize = 1024;

/// The random name of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApprovalId(pub [u8; 16]);

impl ApprovalId {
    /// Reads what `Display` writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The act was done, in the same commit.
    Used,
    /// Somebody said no.
    Rejected,
    /// Its time was over.
    Expired,
}

/// A request for approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredApproval {
    /// Its name.
    pub id: ApprovalId,
    /// Who asked for what, and what was said on it.
    pub request: ApprovalRequest,
    /// What it is, for those who are to approve it.
    pub what: String,
    /// SHA-256 of the exact parameters.
    pub parameters: [u8; 32],
    /// SHA-256 of what the act changes, as it was when it was asked.
    pub before: [u8; 32],
    /// The key that it is about, where it is about one.
    pub key: Option<PublicKey>,
    /// The chain that it is about, where it is about one.
    pub chain: Option<ChainId>,
    /// The chain id that a state goes on under, of one that moves.
    pub to: Option<ChainId>,
    /// When it was asked.
    pub created_at: UnixSeconds,
    /// How and when it ended.
    pub ended: Option<(End, UnixSeconds)>,
}

impl StoredApproval {
    /// What those who approve agree to.
    pub fn digest(
        store: &StoreId,
        id: &ApprovalId,
        operation: Operation,
        parameters: &[u8; 32],
        before: &[u8; 32],
    ) -> RequestDigest {
        let mut to = Encoder::with_capacity(192);
        to.raw(b"sigward approval v1");
        to.raw(&store.0);
        to.raw(&id.0);
        to.sized(operation.as_str().as_bytes());
        to.raw(parameters);
        to.raw(before);
        RequestDigest(Sha256::digest(to.finish()).into())
    }
}

/// What an act is about: what must be as it was when it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// What is held back at a place.
    Hold(Place),
    /// A key on a chain: the key, and its row without the watermark, which every signature moves.
    Row(PublicKey, ChainId),
    /// These keys and all their rows, without the watermarks.
    Keys(Vec<PublicKey>),
}

/// What a batch does to requests for approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApprovalChange {
    /// One more waits.
    Open(StoredApproval),
    /// Somebody says yes or no.
    Say {
        /// To which.
        id: ApprovalId,
        /// Who.
        who: Person,
        /// What.
        vote: Vote,
        /// What they have seen.
        digest: RequestDigest,
        /// The policy in force.
        in_force: Option<PolicyVersion>,
    },
    /// The act is done: it comes first in the act's own batch, so that the state before is judged.
    Use(Use),
    /// Its time is over.
    Expire(ApprovalId),
    /// Its time is over whatever the clock says: the store went back to an older one, and what waits in it may have been used.
    Abandon(ApprovalId),
}

/// An act that rests on a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// Which.
    pub id: ApprovalId,
    /// Who acts.
    pub who: Person,
    /// What is done.
    pub operation: Operation,
    /// SHA-256 of the exact parameters.
    pub parameters: [u8; 32],
    /// What it changes.
    pub about: About,
    /// The policy in force.
    pub in_force: PolicyVersion,
    /// How many others it wants now: from elsewhere, or of more keys, it may want more than when it was asked.
    pub others: u8,
}

#[cfg(test)]
mod tests;
