//! Which keys there are, as rules ask about them: by name, by the key itself, by where it is kept, and on which chains.
//!
//! *Invariant:* a chain of a key is one that it has a state on, or one that the configuration gives it: what is done to the key is done
//! there.

use std::collections::BTreeMap;
use std::sync::Arc;

use sigward_policies::authz::KeyFacts;
use sigward_policies::decision::Refused;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, KeyName};

use super::{Admin, ConfiguredChain};

/// A key, and its chains in order.
#[derive(Clone, Debug)]
pub struct Known {
    /// What rules match.
    pub facts: KeyFacts,
    /// Where it signs, signed or shall.
    pub chains: Vec<ChainId>,
}

/// Every key of the store, and every chain of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Register {
    keys: BTreeMap<KeyName, Known>,
    configured: Vec<(ChainId, KeyName)>,
}

#[cfg(test)]
impl Register {
    /// Just these.
    pub fn of(keys: impl IntoIterator<Item = Known>, configured: Vec<(ChainId, KeyName)>) -> Self {
        let named = |known: Known| (known.facts.name.clone(), known);
        Self {
            keys: keys.into_iter().map(named).collect(),
            configured,
        }
    }
}

impl Register {
    /// Every key, by name.
    pub fn keys(&self) -> impl Iterator<Item = &Known> {
        self.keys.values()
    }

    /// The key called `name`.
    pub fn find(&self, name: &KeyName) -> Option<&Known> {
        self.keys.get(name)
    }

    /// The key itself.
    pub fn find_public(&self, public_key: &PublicKey) -> Option<&Known> {
        self.keys()
            .find(|known| known.facts.public_key.as_ref() == Some(public_key))
    }

    /// The keys that have to do with `chain`.
    pub fn on<'a>(&'a self, chain: &'a ChainId) -> impl Iterator<Item = &'a Known> {
        self.keys().filter(move |known| known.chains.contains(chain))
    }

    /// What is known of the key that the configuration gives to `chain`; it need not be there.
    pub fn signs_for(&self, chain: &ChainId) -> Option<KeyFacts> {
        let (_, name) = self.configured.iter().find(|(known, _)| known == chain)?;
        Some(self.facts_of(name))
    }

    /// The chains that the configuration gives to the key called `name`, whether it is there or not.
    pub fn given_to(&self, name: &KeyName) -> Vec<&ChainId> {
        let given = self.configured.iter().filter(|(_, key)| key == name);
        given.map(|(chain, _)| chain).collect()
    }

    /// What is known of the key called `name`; no more than the name where there is none.
    pub fn facts_of(&self, name: &KeyName) -> KeyFacts {
        let only_named = || KeyFacts {
            name: name.clone(),
            public_key: None,
            provider: None,
        };
        self.find(name)
            .map_or_else(only_named, |known| known.facts.clone())
    }

    /// Whether anything here has to do with `chain`.
    pub fn knows_chain(&self, chain: &ChainId) -> bool {
        self.configured.iter().any(|(known, _)| known == chain) || self.on(chain).next().is_some()
    }
}

/// The register as it was made last, for as long as nothing was committed and the configuration is the same: whoever asks often reads
/// nothing. One reads at a time.
#[derive(Debug, Default)]
pub struct LastRegister(tokio::sync::Mutex<Option<Made>>);

#[derive(Debug)]
struct Made {
    commit: u64,
    chains: Arc<[ConfiguredChain]>,
    register: Arc<Register>,
}

impl Made {
    fn is_of(&self, commit: u64, chains: &Arc<[ConfiguredChain]>) -> bool {
        self.commit == commit && Arc::ptr_eq(&self.chains, chains)
    }
}

impl Admin {
    /// Which keys there are now.
    pub async fn register(&self) -> Result<Arc<Register>, Refused> {
        let mut last = self.last_register.0.lock().await;
        // The commit before the reading: what is read is of that one or later, and whoever was told of a later one finds another number.
        let (health, chains) = (self.store.health(), self.chains.now());
        if let Some(made) = last.as_ref()
            && health.failed.is_none()
            && made.is_of(health.commit, &chains)
        {
            return Ok(made.register.clone());
        }
        let register = Arc::new(self.read_register(&chains).await?);
        *last = Some(Made {
            commit: health.commit,
            chains,
            register: register.clone(),
        });
        Ok(register)
    }

    async fn read_register(&self, chains: &[ConfiguredChain]) -> Result<Register, Refused> {
        let (keys, rows) = (self.keys().await?, self.rows().await?);
        let configured: Vec<_> = chains
            .iter()
            .map(|chain| (chain.id.clone(), chain.key.clone()))
            .collect();
        let known = keys.into_iter().map(|key| {
            let public_key = key.version.public_key;
            let states = rows
                .iter()
                .filter(|row| row.public_key == public_key)
                .map(|row| &row.chain);
            let given = configured
                .iter()
                .filter(|(_, name)| *name == key.name)
                .map(|(chain, _)| chain);
            let mut chains: Vec<_> = states.chain(given).cloned().collect();
            chains.sort();
            chains.dedup();
            let facts = KeyFacts {
                name: key.name.clone(),
                public_key: Some(public_key),
                provider: Some(key.version.provider.into()),
            };
            (key.name, Known { facts, chains })
        });
        Ok(Register {
            keys: known.collect(),
            configured,
        })
    }
}
