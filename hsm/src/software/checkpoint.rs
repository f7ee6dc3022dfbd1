//! The key that signs checkpoints of the audit chain: an Ed25519 key of its own for each guard store, sealed like every other key,
//! in a folder of its own below theirs. It signs no consensus message, and no caller's bytes.
//!
//! May import: `folder`, `material`, `ed25519`, `envelope`, `private_file`.
//!
//! *Invariant:* what it signs begins with [`CHECKPOINT_DOMAIN`], which no canonical sign bytes begin with (they begin with a length).
//!
//! A key in a token would implement the same three methods over the provider's `sign`; until then the key is software, and a
//! token protects it as the seal's root (`[seal] pkcs11`).

use std::{path::Path, sync::Arc};

use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey, Signature},
    id::{KeyName, StoreId, UnixSeconds},
    key::Origin,
};

use super::{Ed25519Key, KeyMaterial, folder};
use crate::{
    envelope::{Header, MAX_SEALED, Sealed, StoreCheck},
    error::{Operation, ProviderError},
    private_file::{self, Existing},
    provider::KeyEncryptionProvider,
    secret::Arena,
    verify::{Verifier, VerifyError},
};

/// Where the key is, below the folder of sealed keys. No provider has this name, whose folder is there too.
pub(super) const FOLDER: &str = ".audit";
/// What every signed checkpoint begins with.
const CHECKPOINT_DOMAIN: &[u8] = b"sigward audit checkpoint v1\0";
const NAME: &str = "audit-checkpoints";

/// The opened key.
pub struct CheckpointKey {
    key: Ed25519Key,
    public_key: PublicKey,
}

impl CheckpointKey {
    /// Opens the key of this store, or makes it if there is none. One that is there and does not open is never replaced.
    ///
    /// # Errors
    /// The seal is away (`Unavailable`); the file is damaged or sealed with another key.
    pub fn open_or_make(
        keys: &Path,
        store: StoreId,
        arena: &Arena,
        encryption: Arc<dyn KeyEncryptionProvider>,
        now: UnixSeconds,
    ) -> Result<Self, ProviderError> {
        let folder = folder::SealedFolder {
            path: keys.join(FOLDER),
            store,
            arena: arena.clone(),
            encryption,
        };
        folder.ensure()?;
        for path in folder.files(Operation::Load)? {
            let bytes = private_file::read_sealed(&path, MAX_SEALED)
                .map_err(|error| ProviderError::from_file(Operation::Load, error))?;
            // Keys of stores that were replaced stay: their checkpoints may still be looked at.
            let of_another =
                Sealed::parse(&bytes).is_ok_and(|sealed| sealed.unchecked_header().store != store);
            if !of_another {
                let (_, material) = folder.open(&path, StoreCheck::Must(store), Operation::Load)?;
                return Self::from_material(arena, &material);
            }
        }
        let material = KeyMaterial::generate(arena, Algorithm::Ed25519)
            .map_err(|error| ProviderError::from_key(Operation::Generate, error))?;
        let name = KeyName::new(NAME).map_err(|error| ProviderError::fault(Operation::Generate, error))?;
        let header = Header {
            store,
            name,
            public_key: *material.public_key(),
            origin: Origin::Generated,
            created_at: now,
        };
        let path = folder.seal(header, &material, Existing::Keep, Operation::Generate)?;
        let (_, read_back) = folder.open(&path, StoreCheck::Must(store), Operation::Generate)?;
        Self::from_material(arena, &read_back)
    }

    /// The public half of the key of this store, by what its file says: for that the seal need not be there. `None` before it is made.
    /// What the file says is proved only when it is opened; one that was altered does not open.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn public_half(keys: &Path, store: StoreId) -> Result<Option<PublicKey>, ProviderError> {
        let path = keys.join(FOLDER);
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(None);
        }
        let files = folder::files_in(&path, Operation::Load)?;
        // The first, as that is the one which is opened.
        Ok(files.iter().find_map(|file| {
            let bytes = private_file::read_sealed(file, MAX_SEALED).ok()?;
            let sealed = Sealed::parse(&bytes).ok()?;
            let header = sealed.unchecked_header();
            (header.store == store).then_some(header.public_key)
        }))
    }

    /// The public half: what others verify checkpoints with.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs an encoded checkpoint. `None` only if the library fails, or what it made does not verify.
    #[must_use]
    pub fn sign_checkpoint(&self, encoded: &[u8]) -> Option<Signature> {
        let signature = self.key.sign(&to_sign(encoded))?;
        verify_checkpoint(&self.public_key, encoded, &signature).ok()?;
        Some(signature)
    }

    fn from_material(arena: &Arena, material: &KeyMaterial) -> Result<Self, ProviderError> {
        let key = Ed25519Key::from_seed(arena, material.secret())
            .map_err(|error| ProviderError::fault(Operation::Load, error))?;
        Ok(Self {
            key,
            public_key: *material.public_key(),
        })
    }
}

/// Checks the signature of an encoded checkpoint.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_checkpoint(key: &PublicKey, encoded: &[u8], signature: &Signature) -> Result<(), VerifyError> {
    Verifier::new(key)?.verify(&to_sign(encoded), signature)
}

fn to_sign(encoded: &[u8]) -> Vec<u8> {
    [CHECKPOINT_DOMAIN, encoded].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        envelope::Kek,
        secret::{ArenaSize, SecretBytes, Unlocked},
    };

    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

    #[test]
    fn each_store_has_one_key_and_a_file_that_does_not_open_is_never_replaced() {
        let arena = Arena::new(ArenaSize::for_keys(16), Unlocked::Allow).unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let kek = |byte: u8| {
            let raw = SecretBytes::init_with(&arena, |into| {
                // Equal bytes are no key.
                for (place, at) in into.iter_mut().zip(byte..) {
                    *place = at;
                }
            })
            .unwrap();
            Arc::new(Kek::raw(&arena, raw).unwrap())
        };
        let keys = tmp.path().join("keys");
        private_file::ensure_folder(&keys).unwrap();
        let open =
            |store, byte| CheckpointKey::open_or_make(&keys, StoreId([store; 16]), &arena, kek(byte), NOW);
        let half = |store| CheckpointKey::public_half(&keys, StoreId([store; 16])).unwrap();
        assert_eq!(half(1), None);
        let first = open(1, 7).unwrap();
        assert_eq!((half(1), half(2)), (Some(*first.public_key()), None));
        assert_eq!(open(1, 7).unwrap().public_key(), first.public_key());
        let second = open(2, 7).unwrap();
        assert_ne!(second.public_key(), first.public_key());
        assert_eq!(open(1, 7).unwrap().public_key(), first.public_key());
        assert_eq!(half(2), Some(*second.public_key()));
        assert_eq!(open(1, 8).err().unwrap().code(), "sealed_key_does_not_open");

        let signature = first.sign_checkpoint(b"x").unwrap();
        verify_checkpoint(first.public_key(), b"x", &signature).unwrap();
        verify_checkpoint(first.public_key(), b"y", &signature).unwrap_err();
        verify_checkpoint(second.public_key(), b"x", &signature).unwrap_err();
    }
}
