//! A scripted provider: slow, failing, lying or silent, as a test tells it; honest otherwise.
//!
//! May import: `provider`, `software::SoftwareKey`. Feature `testing`; never in a release.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sigward_policies::{
    model::{
        algorithm::{Algorithm, PublicKey, Signature},
        id::{KeyName, UnixSeconds},
        key::Origin,
        payload::Consensus,
    },
    proof::{ConsensusSignatures, SignOrder, Unreleased},
};

use crate::{
    error::{Operation, ProviderError},
    provider::{
        AuthContext, Done, HsmProvider, KeyHandle, KeyMetadata, KeySpec, KeyStorageProvider, ProviderInfo,
        Sign, StorageType, same_key,
    },
    secret::Arena,
    software::{KeyMaterial, SoftwareKey},
    verify::address,
};

/// What the provider does with the next order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Signs at once.
    Sign,
    /// Signs on a thread of its own after this long.
    Slow(Duration),
    /// Answers that its backend is away.
    Unavailable,
    /// Answers that its backend failed.
    Fault,
    /// Answers with a signature that has one flipped bit.
    WrongSignature,
    /// Drops the order and never answers.
    Silence,
}

/// The keys of a mock; they survive the provider that was opened on them, as a token's would.
#[derive(Clone, Default)]
pub struct MockStorage(Arc<Mutex<BTreeMap<PublicKey, Entry>>>);

#[derive(Clone)]
struct Entry {
    metadata: KeyMetadata,
    key: Arc<SoftwareKey>,
}

impl MockStorage {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PublicKey, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A provider that follows a script, and signs honestly when the script is at its end.
pub struct MockProvider {
    arena: Arena,
    storage: MockStorage,
    script: Mutex<VecDeque<Act>>,
}

impl MockProvider {
    /// Opens a mock on `storage`.
    #[must_use]
    pub fn open(arena: &Arena, storage: &MockStorage) -> Self {
        Self {
            arena: arena.clone(),
            storage: storage.clone(),
            script: Mutex::default(),
        }
    }

    /// Adds to the script: one act for each order to come.
    pub fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(acts);
    }

    fn entry(&self, public_key: &PublicKey) -> Result<Entry, ProviderError> {
        let found = self.storage.lock().get(public_key).cloned();
        found.ok_or(ProviderError::NotFound {
            public_key: *public_key,
        })
    }

    fn insert(
        &self,
        name: &KeyName,
        created_at: UnixSeconds,
        origin: Origin,
        material: &KeyMaterial,
    ) -> Result<KeyMetadata, ProviderError> {
        let public_key = *material.public_key();
        let key = SoftwareKey::open(&self.arena, public_key.algorithm(), material.secret())
            .map_err(|e| ProviderError::from_key(Operation::Store, e))?;
        let mut keys = self.storage.lock();
        if keys.contains_key(&public_key) {
            return Err(ProviderError::refused(
                "public_key_exists",
                "this public key is here already",
            ));
        }
        if keys.values().any(|entry| entry.metadata.name == *name) {
            return Err(ProviderError::refused(
                "key_exists",
                format!("a key is called {name} already"),
            ));
        }
        let metadata = KeyMetadata {
            public_key,
            address: address(&public_key),
            name: name.clone(),
            origin,
            created_at,
            storage: StorageType::Software,
        };
        keys.insert(
            public_key,
            Entry {
                metadata: metadata.clone(),
                key: Arc::new(key),
            },
        );
        Ok(metadata)
    }
}

/// Whether signatures come out as they were made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Honesty {
    Honest,
    FlipsOneBit,
}

fn sign_with(
    key: &SoftwareKey,
    order: SignOrder<Consensus>,
    honesty: Honesty,
) -> Result<Unreleased<Consensus>, ProviderError> {
    let sign = |message: &Arc<[u8]>| {
        let Signature(mut bytes) = key
            .sign(message)
            .ok_or_else(|| ProviderError::fault(Operation::Sign, "the signing library failed"))?;
        if let (Honesty::FlipsOneBit, Some(byte)) = (honesty, bytes.get_mut(40)) {
            *byte ^= 1;
        }
        Ok(Signature(bytes))
    };
    let messages = order.messages();
    let signatures = ConsensusSignatures {
        message: messages.message.as_ref().map(sign).transpose()?,
        extension: messages.extension.as_ref().map(sign).transpose()?,
    };
    order
        .signed(signatures)
        .map_err(|e| ProviderError::fault(Operation::Sign, e))
}

impl Sign<Consensus> for MockProvider {
    fn submit(&self, key: &KeyHandle, order: SignOrder<Consensus>, done: Done<Consensus>) {
        let entry = match same_key(key, &order).and_then(|()| self.entry(key.public_key())) {
            Ok(entry) => entry,
            Err(error) => return done(Err(error)),
        };
        let act = self
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        match act.unwrap_or(Act::Sign) {
            Act::Sign => done(sign_with(&entry.key, order, Honesty::Honest)),
            Act::Slow(delay) => {
                std::thread::spawn(move || {
                    std::thread::sleep(delay);
                    done(sign_with(&entry.key, order, Honesty::Honest));
                });
            }
            Act::Unavailable => done(Err(ProviderError::Unavailable {
                reason: "the script says so".to_owned(),
            })),
            Act::Fault => done(Err(ProviderError::fault(Operation::Sign, "the script says so"))),
            Act::WrongSignature => done(sign_with(&entry.key, order, Honesty::FlipsOneBit)),
            Act::Silence => drop((order, done)),
        }
    }
}

impl KeyStorageProvider for MockProvider {
    fn store_key(
        &self,
        auth: &AuthContext,
        name: &KeyName,
        created_at: UnixSeconds,
        material: KeyMaterial,
    ) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        self.insert(name, created_at, Origin::Imported, &material)
    }

    fn load_key(&self, public_key: &PublicKey) -> Result<KeyHandle, ProviderError> {
        self.entry(public_key)
            .map(|entry| KeyHandle::new(entry.metadata.public_key))
    }

    fn delete_key(&self, auth: &AuthContext, key: &KeyHandle) -> Result<(), ProviderError> {
        auth.may_manage()?;
        let removed = self.storage.lock().remove(key.public_key());
        removed.map(drop).ok_or(ProviderError::NotFound {
            public_key: *key.public_key(),
        })
    }

    fn list_keys(&self) -> Result<Vec<KeyMetadata>, ProviderError> {
        Ok(KeyMetadata::by_name(
            self.storage.lock().values().map(|entry| entry.metadata.clone()),
        ))
    }

    fn storage_type(&self) -> StorageType {
        StorageType::Software
    }
}

impl HsmProvider for MockProvider {
    fn initialize(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    fn generate_key_pair(&self, auth: &AuthContext, spec: &KeySpec) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        let material = KeyMaterial::generate(&self.arena, spec.algorithm)
            .map_err(|e| ProviderError::from_key(Operation::Generate, e))?;
        self.insert(&spec.name, spec.created_at, Origin::Generated, &material)
    }

    fn derive_key(
        &self,
        _auth: &AuthContext,
        _parent: &KeyHandle,
        _spec: &KeySpec,
    ) -> Result<KeyMetadata, ProviderError> {
        Err(ProviderError::Unsupported {
            operation: Operation::Derive,
            reason: "a mock derives nothing",
        })
    }

    fn export_public_key(&self, key: &KeyHandle) -> Result<PublicKey, ProviderError> {
        self.entry(key.public_key()).map(|entry| *entry.key.public_key())
    }

    fn provider_info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "mock",
            version: env!("CARGO_PKG_VERSION"),
            storage: StorageType::Software,
            algorithms: &[Algorithm::Ed25519, Algorithm::Secp256k1],
            keys: self.storage.lock().len(),
            memory_locked: self.arena.is_locked(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use super::*;
    use crate::{
        conformance,
        fixtures::{VoteFixture, arena, order},
        verify::Verifier,
    };

    #[test]
    fn the_mock_passes_the_suite_that_every_provider_passes() {
        let (arena, storage) = (arena(256), MockStorage::default());
        conformance::run(&|| Arc::new(MockProvider::open(&arena, &storage)));
    }

    #[test]
    fn each_act_of_the_script_happens_once_and_in_order() {
        let (arena, storage) = (arena(8), MockStorage::default());
        let mock = MockProvider::open(&arena, &storage);
        let key = conformance::generate(&mock, "scripted", Algorithm::Ed25519);
        let verifier = Verifier::new(key.public_key()).unwrap();
        let delay = Duration::from_millis(30);
        mock.then([
            Act::WrongSignature,
            Act::Unavailable,
            Act::Fault,
            Act::Silence,
            Act::Slow(delay),
            Act::Sign,
        ]);
        let mut height = 0;
        let mut next = || {
            height += 1;
            mock.sign(&key, order(key.public_key(), height, VoteFixture::Prevote))
        };
        assert!(
            verifier.check(next().unwrap().to_verify().unwrap()).is_err(),
            "a wrong signature is never verified"
        );
        assert_eq!(next().unwrap_err().code(), "provider_unavailable");
        assert_eq!(next().unwrap_err().code(), "provider_fault");
        assert_eq!(next().unwrap_err().code(), "provider_fault");
        let start = Instant::now();
        assert!(verifier.check(next().unwrap().to_verify().unwrap()).is_ok());
        assert!(start.elapsed() >= delay);
        assert!(verifier.check(next().unwrap().to_verify().unwrap()).is_ok());
    }
}
