//! The built-in rule and the permit it makes.

use std::collections::HashMap;

use crate::decision::{Decision, Failure, FailureCode, Refusal, RefusalCode};
use crate::model::algorithm::PublicKey;
use crate::model::caller::Caller;
use crate::model::id::{ChainId, Generation, NodeName};
use crate::proof::{Claim, Payload, Received};

/// Proof that the caller of a request may ask for it.
#[derive(Debug)]
#[must_use = "a permit alone signs nothing"]
pub struct Permit {
    pub(crate) claim: Claim,
}

/// One node's right to one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeGrant {
    /// The chain.
    pub chain: ChainId,
    /// The node's entry in the configuration.
    pub node: NodeName,
    /// The key of the chain.
    pub key: PublicKey,
}

/// One edition of the rules.
#[derive(Debug)]
pub struct Rules {
    generation: Generation,
    grants: HashMap<(ChainId, NodeName), PublicKey>,
}

impl Rules {
    /// The rules of `generation`: exactly these grants.
    pub fn new(generation: Generation, grants: impl IntoIterator<Item = NodeGrant>) -> Self {
        let grants = grants.into_iter().map(|g| ((g.chain, g.node), g.key)).collect();
        Self { generation, grants }
    }

    /// Which edition this is.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Judges a request. Whatever no grant names is refused.
    pub fn judge<P: Payload>(&self, received: &Received<P>) -> Decision<Permit> {
        let claim = received.claim();
        if claim.generation() != self.generation {
            return Decision::Fail(Failure::new(
                FailureCode::RulesChanged,
                format!(
                    "received under rules {}, judged by rules {}",
                    claim.generation(),
                    self.generation
                ),
            ));
        }
        let granted = match received.caller() {
            Caller::Node { chain, node } if chain == claim.chain() => {
                self.grants.get(&(chain.clone(), node.clone()))
            }
            Caller::Node { .. }
            | Caller::LocalUser { .. }
            | Caller::Certificate { .. }
            | Caller::Token { .. }
            | Caller::ApiKey { .. }
            | Caller::Service => None,
        };
        if granted == Some(claim.key()) {
            return Decision::Allow(Permit { claim: claim.clone() });
        }
        Decision::Deny(Refusal::new(
            RefusalCode::NotPermitted,
            format!(
                "{} may not ask {} of this key on {}",
                received.caller(),
                claim.operation(),
                claim.chain()
            ),
        ))
    }
}
