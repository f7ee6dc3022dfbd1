//! From permit and clearance to a signature that nobody may see yet.

use super::release::{Receipt, Released, ToCommit, ToVerify, Verified};
use super::{Claim, Mismatch, Payload, Received};
use crate::authz::Permit;
use crate::double_sign::Cleared;
use crate::model::algorithm::PublicKey;
use crate::model::caller::Caller;
use crate::model::payload::Consensus;

/// Everything about a request that was permitted and cleared.
#[derive(Clone, Debug)]
pub(super) struct Matter<P: Payload> {
    pub(super) claim: Claim,
    pub(super) caller: Caller,
    pub(super) payload: P,
    pub(super) clearing: P::Clearing,
    pub(super) messages: P::Messages,
}

/// The only thing a key will act on: permit and clearance of one request, with the bytes to be signed.
#[derive(Debug)]
#[must_use = "an order that is dropped gives its position back"]
pub struct SignOrder<P: Payload>(Matter<P>);

/// A repeat for which no key is needed: the stored signature, still to be verified and recorded.
#[derive(Debug)]
#[must_use = "a stored signature that is dropped answers nobody"]
pub struct Stored<P: Payload>(Unreleased<P>);

/// What joining yields.
#[derive(Debug)]
pub enum Joined<P: Payload> {
    /// A key has to sign.
    Order(SignOrder<P>),
    /// All that would be signed was signed before.
    Stored(Stored<P>),
}

/// Joins permit and clearance of one consensus request; refuses tokens of different requests, keys, operations or rules.
pub fn join(
    received: Received<Consensus>,
    permit: Permit,
    cleared: Cleared,
) -> Result<Joined<Consensus>, Mismatch> {
    received.claim().same(&permit.claim)?;
    received.claim().same(&cleared.claim)?;
    let (claim, caller, payload) = received.into_parts();
    let clearing = cleared.clearing;
    let messages = payload.messages(claim.chain(), &clearing);
    let matter = Matter {
        claim,
        caller,
        payload,
        clearing,
        messages,
    };
    if Consensus::needs_key(&matter.messages) {
        return Ok(Joined::Order(SignOrder(matter)));
    }
    Ok(Joined::Stored(Stored(Unreleased {
        matter,
        signatures: Consensus::nothing_signed(),
    })))
}

impl<P: Payload> SignOrder<P> {
    /// The key that is to sign.
    pub const fn public_key(&self) -> &PublicKey {
        self.0.claim.key()
    }

    /// What the order is about.
    pub const fn claim(&self) -> &Claim {
        &self.0.claim
    }

    /// The bytes to be signed: these and nothing else.
    pub const fn messages(&self) -> &P::Messages {
        &self.0.messages
    }

    /// Consumes the order: the key has signed.
    pub fn signed(self, signatures: P::Signatures) -> Result<Unreleased<P>, Mismatch> {
        P::pairs(&self.0.clearing, &self.0.messages, &signatures).ok_or(Mismatch::Shape)?;
        Ok(Unreleased {
            matter: self.0,
            signatures,
        })
    }
}

/// Signatures that nobody may see yet.
#[must_use = "signatures that are dropped are never released"]
pub struct Unreleased<P: Payload> {
    matter: Matter<P>,
    signatures: P::Signatures,
}

impl<P: Payload> std::fmt::Debug for Unreleased<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unreleased")
            .field("claim", &self.matter.claim)
            .finish_non_exhaustive()
    }
}

impl<P: Payload> Unreleased<P> {
    /// A copy of what `verify` needs.
    pub fn to_verify(&self) -> Result<ToVerify, Mismatch> {
        let pairs = P::pairs(&self.matter.clearing, &self.matter.messages, &self.signatures);
        Ok(ToVerify {
            claim: self.matter.claim.clone(),
            pairs: pairs.ok_or(Mismatch::Shape)?,
        })
    }

    /// A copy of what the store needs.
    pub fn to_commit(&self) -> ToCommit<P> {
        ToCommit {
            matter: self.matter.clone(),
            signatures: self.signatures.clone(),
        }
    }

    /// Lets the signatures out: they were checked, and they are on disk.
    pub fn release(self, verified: Verified, receipt: Receipt<P>) -> Result<Released<P>, Mismatch> {
        let own = self.to_verify()?;
        own.claim.same(&verified.0.claim)?;
        own.claim.same(&receipt.claim)?;
        if own.pairs != verified.0.pairs || self.signatures != receipt.signatures {
            return Err(Mismatch::Signatures);
        }
        let reply = self
            .matter
            .payload
            .reply(&self.matter.clearing, self.signatures)
            .ok_or(Mismatch::Shape)?;
        Ok(Released { reply })
    }
}

impl<P: Payload> Stored<P> {
    /// A copy of what `verify` needs: what is stored is checked again before it leaves.
    pub fn to_verify(&self) -> Result<ToVerify, Mismatch> {
        self.0.to_verify()
    }

    /// A copy of what the store needs to record the repeat.
    pub fn to_commit(&self) -> ToCommit<P> {
        self.0.to_commit()
    }

    /// Lets the stored signature out again.
    pub fn release(self, verified: Verified, receipt: Receipt<P>) -> Result<Released<P>, Mismatch> {
        self.0.release(verified, receipt)
    }
}
