//! Who a token speaks of: requests, their identities and claims.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Payload;
use crate::model::algorithm::PublicKey;
use crate::model::caller::Caller;
use crate::model::id::{ChainId, Generation};
use crate::model::operation::Operation;

/// The identity of one request. Minted once, moved into its [`Received`], never copied.
#[derive(Debug)]
pub struct RequestId(u64);

/// The only global of this package: two requests of one process must never be taken for each other, whoever minted them.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl RequestId {
    /// An identity that no other request of this process has.
    #[must_use]
    pub fn mint() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a token is about. Copies of it prove nothing; only tokens do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    request: u64,
    key: PublicKey,
    chain: ChainId,
    operation: Operation,
    generation: Generation,
}

impl Claim {
    /// A number that names the request in logs.
    pub const fn request(&self) -> u64 {
        self.request
    }

    /// The key that is to sign.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The chain it signs for; with the key it names the guard row.
    pub const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// What is asked.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The edition of the rules that judges it.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn same(&self, other: &Self) -> Result<(), Mismatch> {
        if self.request != other.request {
            return Err(Mismatch::Request);
        }
        if self.key != other.key || self.chain != other.chain {
            return Err(Mismatch::Key);
        }
        if self.operation != other.operation {
            return Err(Mismatch::Operation);
        }
        if self.generation != other.generation {
            return Err(Mismatch::Generation);
        }
        Ok(())
    }
}

/// Tokens that do not belong together. A fault of ours; the request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mismatch {
    /// Tokens of two requests.
    #[error("proof tokens of different requests")]
    Request,
    /// Tokens of two keys or chains.
    #[error("proof tokens of different keys")]
    Key,
    /// Tokens of two operations.
    #[error("proof tokens of different operations")]
    Operation,
    /// Tokens of two editions of the rules.
    #[error("proof tokens of different rules")]
    Generation,
    /// Signatures that are not those that were verified or recorded.
    #[error("proof tokens of different signatures")]
    Signatures,
    /// More or fewer signatures than messages.
    #[error("signatures that do not fit the messages")]
    Shape,
}

/// A request whose caller is known, before anything was judged.
#[derive(Debug)]
pub struct Received<P: Payload> {
    claim: Claim,
    caller: Caller,
    payload: P,
}

impl<P: Payload> Received<P> {
    /// Takes in a request of `caller` to sign `payload` with `key` on `chain`, to be judged by the rules of `generation`.
    pub fn new(
        id: RequestId,
        caller: Caller,
        key: PublicKey,
        chain: ChainId,
        generation: Generation,
        payload: P,
    ) -> Self {
        let claim = Claim {
            request: id.0,
            key,
            chain,
            operation: payload.operation(),
            generation,
        };
        Self {
            claim,
            caller,
            payload,
        }
    }

    /// What the request is about.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Who asks.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is asked to be signed.
    pub const fn payload(&self) -> &P {
        &self.payload
    }

    pub(super) fn into_parts(self) -> (Claim, Caller, P) {
        (self.claim, self.caller, self.payload)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::algorithm::Algorithm;

    /// One request has one identity, so that outside this package the first check always answers. The others stand behind it.
    #[test]
    fn claims_that_differ_in_anything_are_told_apart() {
        let own = || Claim {
            request: 1,
            key: PublicKey::new(Algorithm::Ed25519, &[1; 32]).unwrap(),
            chain: ChainId::new("a").unwrap(),
            operation: Operation::SignPrevote,
            generation: Generation(1),
        };
        let other_key = PublicKey::new(Algorithm::Ed25519, &[2; 32]).unwrap();
        let other_chain = ChainId::new("b").unwrap();
        assert_eq!(own().same(&own()), Ok(()));
        for (other, mismatch) in [
            (Claim { request: 2, ..own() }, Mismatch::Request),
            (
                Claim {
                    key: other_key,
                    ..own()
                },
                Mismatch::Key,
            ),
            (
                Claim {
                    chain: other_chain,
                    ..own()
                },
                Mismatch::Key,
            ),
            (
                Claim {
                    operation: Operation::SignPrecommit,
                    ..own()
                },
                Mismatch::Operation,
            ),
            (
                Claim {
                    generation: Generation(2),
                    ..own()
                },
                Mismatch::Generation,
            ),
        ] {
            assert_eq!(own().same(&other), Err(mismatch));
            assert_eq!(other.same(&own()), Err(mismatch));
        }
    }

    #[test]
    fn no_two_requests_have_one_identity() {
        let ids: std::collections::HashSet<u64> = (0..1_000).map(|_| RequestId::mint().0).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
