//! What is known of a key before it is brought in: for whoever judges whether it may be.
//!
//! *Invariant:* nothing here changes or refuses anything; what cannot be read is what the act itself refuses.

use sigward_hsm::backup::Bundle;
use sigward_hsm::software::filepv;
use sigward_policies::authz::KeyFacts;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, KeyName};

use super::Admin;
use super::token_keys::TokenObject;
use crate::config::SOFTWARE;

/// A key that is to come back out of a bundle.
#[derive(Clone, Debug)]
pub struct Returning {
    /// What rules match: the bundle says which key it is.
    pub facts: KeyFacts,
    /// The chains that the bundle says it signed on: each gets a state again.
    pub chains: Vec<ChainId>,
}

/// The keys called `names`, as `bundle` has them. What it says is unproved here, and proved before any of it is used.
pub fn returning(bundle: &[u8], names: &[KeyName]) -> Vec<Returning> {
    let bundle = Bundle::parse(bundle).ok();
    let notes = bundle
        .as_ref()
        .map(|bundle| bundle.unchecked_manifest().keys.as_slice())
        .unwrap_or_default();
    let of = |name: &KeyName| {
        let note = notes.iter().find(|note| note.name == *name);
        let chains = note.map(|note| note.chains.as_slice()).unwrap_or_default();
        Returning {
            facts: KeyFacts {
                name: name.clone(),
                public_key: note.map(|note| note.public_key),
                provider: Some(SOFTWARE.into()),
            },
            chains: chains.iter().map(|note| note.chain.clone()).collect(),
        }
    };
    names.iter().map(of).collect()
}

impl Admin {
    /// Which key a CometBFT key file holds.
    pub fn key_in_file(&self, file: &[u8]) -> Option<PublicKey> {
        let material = filepv::parse(&self.arena, file).ok()?;
        Some(*material.public_key())
    }

    /// Which key an object of a token is, as far as the token says it now.
    pub async fn key_in_token(
        &self,
        name: &KeyName,
        provider: &str,
        object: &TokenObject,
    ) -> Option<PublicKey> {
        let token = self.providers.token(provider).ok()?.clone();
        let found = self.object(name, &token, object).await.ok()?;
        Some(found.public_key())
    }

    /// Which key of another store is in a sealed file.
    pub async fn key_of_other_store(&self, name: &KeyName) -> Option<PublicKey> {
        let name = name.clone();
        let foreign = self.with_provider(move |provider| provider.foreign(&name)).await;
        foreign.ok().map(|foreign| *foreign.public_key())
    }
}
