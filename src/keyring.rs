//! The keyring: which keys there are, who keeps them, and how to check what they sign.
//!
//! Keys are listed in the store; their private halves are with a provider. A key that only one of the two knows is not usable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use sigward_hsm::provider::{KeyHandle, Sign};
use sigward_hsm::verify::Verifier;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::id::KeyName;
use sigward_policies::model::key::Key;
use sigward_policies::model::payload::Consensus;

/// A key that can sign consensus messages.
#[derive(Clone)]
pub struct ConsensusKey {
    /// What is known of it.
    pub key: Key,
    /// Its name with the provider.
    pub handle: KeyHandle,
    /// The provider.
    pub signer: Arc<dyn Sign<Consensus>>,
    /// Checks every signature before it leaves.
    pub verifier: Arc<Verifier>,
}

impl fmt::Debug for ConsensusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsensusKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// All usable keys, by name.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: RwLock<BTreeMap<KeyName, ConsensusKey>>,
}

impl Keyring {
    /// Adds a key, or replaces what was known of it.
    pub fn insert(&self, key: ConsensusKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.key.name.clone(), key);
    }

    /// The key called `name`.
    pub fn find(&self, name: &KeyName) -> Result<ConsensusKey, Refusal> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(name).cloned().ok_or_else(|| {
            Refusal::new(
                RefusalCode::KeyNotFound,
                format!("there is no key {name}; `sigward keys list` shows them, `sigward keys create {name}` makes it"),
            )
        })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
