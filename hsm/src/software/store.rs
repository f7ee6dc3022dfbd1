//! The software provider: the keys of a folder of sealed files, opened into the arena.
//!
//! May import: everything of `software`, `envelope`, `private_file`, `provider`.
//!
//! # Invariants
//! * A file that does not open is the fault of its key alone.
//! * A public key is told to nobody before its file was read back from disk, opened, and its key passed the self-test.
//! * A key sealed for another guard store, where its watermark is, does not open here but by adoption.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use sigward_policies::{
    model::{
        algorithm::{Algorithm, PublicKey},
        id::{KeyName, StoreId, UnixSeconds},
        key::Origin,
        payload::Consensus,
    },
    proof::{ConsensusSignatures, SignOrder, Unreleased},
};

use super::{KeyMaterial, SoftwareKey, folder::SealedFolder, self_test};
use crate::{
    envelope::{Header, StoreCheck},
    error::{Operation, ProviderError},
    private_file::{self, Existing},
    provider::{
        AuthContext, Done, HsmProvider, KeyEncryptionProvider, KeyHandle, KeyMetadata, KeySpec,
        KeyStorageProvider, ProviderInfo, Sign, StorageType, same_key,
    },
    secret::Arena,
    verify::address,
};

/// Keeps keys in a folder. Signs on the caller's thread: 14 µs for Ed25519.
pub struct SoftwareProvider {
    pub(super) folder: SealedFolder,
    keys: RwLock<HashMap<PublicKey, Arc<Entry>>>,
    /// Files that did not open when the folder was last read.
    pub(super) faults: Mutex<Vec<KeyFault>>,
    /// Held by whoever changes the folder, so that a name or a public key is taken once.
    writing: Mutex<()>,
}

struct Entry {
    key: SoftwareKey,
    metadata: KeyMetadata,
}

/// A sealed file that did not open. Its key signs nothing; all others do.
#[derive(Debug, Clone)]
pub struct KeyFault {
    /// The file.
    pub path: PathBuf,
    /// The stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// One line of what to do.
    pub remedy: Option<String>,
}

impl SoftwareProvider {
    /// Opens the folder (made with mode 0700 if it is missing) and every key in it. Files that do not open are
    /// [`Self::faults`]; they do not keep the others from signing.
    ///
    /// # Errors
    /// A folder that others can enter, or that cannot be read.
    pub fn open(
        folder: &Path,
        store: StoreId,
        arena: &Arena,
        encryption: Arc<dyn KeyEncryptionProvider>,
    ) -> Result<Self, ProviderError> {
        let provider = Self {
            folder: SealedFolder {
                path: folder.to_owned(),
                store,
                arena: arena.clone(),
                encryption,
            },
            keys: RwLock::default(),
            faults: Mutex::default(),
            writing: Mutex::default(),
        };
        provider.initialize()?;
        Ok(provider)
    }

    /// The files that did not open when the folder was last read.
    #[must_use]
    pub fn faults(&self) -> Vec<KeyFault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seals, writes, reads back, opens and tries a key; only then is it one of ours.
    pub(super) fn put(
        &self,
        _writing: &MutexGuard<'_, ()>,
        header: Header,
        material: &KeyMaterial,
        existing: Existing,
        operation: Operation,
    ) -> Result<KeyMetadata, ProviderError> {
        if self
            .entries()
            .values()
            .any(|entry| entry.metadata.name == header.name)
        {
            let message = format!("a key is called {} already", header.name);
            return Err(ProviderError::refused("key_exists", message));
        }
        let path = self.folder.seal(header, material, existing, operation)?;
        match self.load(&path, operation) {
            Ok(metadata) => Ok(metadata),
            Err(error) => {
                if existing == Existing::Keep {
                    // The file is ours, new, and of no use; should it stay, the next start lists it as a fault.
                    let _ = private_file::remove(&path);
                }
                Err(error)
            }
        }
    }

    /// Opens a file of this store, tries its key, and takes it in.
    fn load(&self, path: &Path, operation: Operation) -> Result<KeyMetadata, ProviderError> {
        let (header, material) = self
            .folder
            .open(path, StoreCheck::Must(self.folder.store), operation)?;
        let algorithm = header.public_key.algorithm();
        let key = SoftwareKey::open(&self.folder.arena, algorithm, material.secret())
            .map_err(|e| ProviderError::from_key(operation, e))?;
        self_test(&key).map_err(|e| ProviderError::fault(operation, e))?;
        let metadata = KeyMetadata {
            public_key: header.public_key,
            address: address(&header.public_key),
            name: header.name,
            origin: header.origin,
            created_at: header.created_at,
            storage: StorageType::Software,
        };
        let entry = Arc::new(Entry {
            key,
            metadata: metadata.clone(),
        });
        self.keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(metadata.public_key, entry);
        Ok(metadata)
    }

    fn entry(&self, public_key: &PublicKey) -> Result<Arc<Entry>, ProviderError> {
        let found = self.entries().get(public_key).map(Arc::clone);
        found.ok_or(ProviderError::NotFound {
            public_key: *public_key,
        })
    }

    fn entries(&self) -> std::sync::RwLockReadGuard<'_, HashMap<PublicKey, Arc<Entry>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_for_writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign_order(
        &self,
        handle: &KeyHandle,
        order: SignOrder<Consensus>,
    ) -> Result<Unreleased<Consensus>, ProviderError> {
        same_key(handle, &order)?;
        let entry = self.entry(handle.public_key())?;
        sign_with(&entry.key, order)
    }
}

/// Signs every message of an order, and only those.
pub(crate) fn sign_with(
    key: &SoftwareKey,
    order: SignOrder<Consensus>,
) -> Result<Unreleased<Consensus>, ProviderError> {
    let sign = |message: &Arc<[u8]>| {
        key.sign(message)
            .ok_or_else(|| ProviderError::fault(Operation::Sign, "the signing library failed"))
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

impl Sign<Consensus> for SoftwareProvider {
    fn submit(&self, key: &KeyHandle, order: SignOrder<Consensus>, done: Done<Consensus>) {
        done(self.sign_order(key, order));
    }
}

impl KeyStorageProvider for SoftwareProvider {
    fn store_key(
        &self,
        auth: &AuthContext,
        name: &KeyName,
        created_at: UnixSeconds,
        material: KeyMaterial,
    ) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        let writing = self.lock_for_writing();
        let header = Header {
            store: self.folder.store,
            name: name.clone(),
            public_key: *material.public_key(),
            origin: Origin::Imported,
            created_at,
        };
        self.put(&writing, header, &material, Existing::Keep, Operation::Store)
    }

    fn load_key(&self, public_key: &PublicKey) -> Result<KeyHandle, ProviderError> {
        self.entry(public_key)
            .map(|entry| KeyHandle::new(entry.metadata.public_key))
    }

    fn delete_key(&self, auth: &AuthContext, key: &KeyHandle) -> Result<(), ProviderError> {
        auth.may_manage()?;
        let _writing = self.lock_for_writing();
        self.entry(key.public_key())?;
        // It stops signing first: should the removal fail, the next start still finds the file.
        self.keys
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key.public_key());
        private_file::remove(&self.folder.path_of(key.public_key()))
            .map_err(|e| ProviderError::from_file(Operation::Delete, e))
    }

    fn list_keys(&self) -> Result<Vec<KeyMetadata>, ProviderError> {
        Ok(KeyMetadata::by_name(
            self.entries().values().map(|entry| entry.metadata.clone()),
        ))
    }

    fn storage_type(&self) -> StorageType {
        StorageType::Software
    }
}

impl HsmProvider for SoftwareProvider {
    fn initialize(&self) -> Result<(), ProviderError> {
        let _writing = self.lock_for_writing();
        self.folder.ensure()?;
        let open: HashSet<PathBuf> = self
            .entries()
            .keys()
            .map(|public_key| self.folder.path_of(public_key))
            .collect();
        let mut faults = Vec::new();
        let files = self.folder.files(Operation::Initialize)?;
        for path in files.into_iter().filter(|path| !open.contains(path)) {
            if let Err(error) = self.load(&path, Operation::Load) {
                faults.push(KeyFault {
                    path,
                    code: error.code(),
                    message: error.to_string(),
                    remedy: error.remedy().map(str::to_owned),
                });
            }
        }
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        Ok(())
    }

    fn generate_key_pair(&self, auth: &AuthContext, spec: &KeySpec) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        let writing = self.lock_for_writing();
        let material = KeyMaterial::generate(&self.folder.arena, spec.algorithm)
            .map_err(|e| ProviderError::from_key(Operation::Generate, e))?;
        let header = Header {
            store: self.folder.store,
            name: spec.name.clone(),
            public_key: *material.public_key(),
            origin: Origin::Generated,
            created_at: spec.created_at,
        };
        self.put(&writing, header, &material, Existing::Keep, Operation::Generate)
    }

    fn sign(
        &self,
        key: &KeyHandle,
        order: SignOrder<Consensus>,
    ) -> Result<Unreleased<Consensus>, ProviderError> {
        // Nothing to wait for: no channel in between.
        self.sign_order(key, order)
    }

    fn derive_key(
        &self,
        _auth: &AuthContext,
        _parent: &KeyHandle,
        _spec: &KeySpec,
    ) -> Result<KeyMetadata, ProviderError> {
        Err(ProviderError::Unsupported {
            operation: Operation::Derive,
            reason: "consensus keys are drawn at random, one by one",
        })
    }

    fn export_public_key(&self, key: &KeyHandle) -> Result<PublicKey, ProviderError> {
        self.entry(key.public_key()).map(|entry| *entry.key.public_key())
    }

    fn provider_info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "software",
            version: env!("CARGO_PKG_VERSION"),
            storage: StorageType::Software,
            algorithms: &[Algorithm::Ed25519, Algorithm::Secp256k1],
            keys: self.entries().len(),
            memory_locked: self.folder.arena.is_locked(),
        }
    }
}

#[cfg(test)]
mod tests;
