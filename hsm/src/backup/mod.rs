//! Backups: the keys of a store in one encrypted file that opens without the store, and without this machine.
//!
//! * `format`: what the bytes are; a pure, strict parser of untrusted bytes.
//! * `seal`: sealing keys into a bundle, and getting them out again.
//! * `data_key`: the 32 bytes that a bundle opens with: derived from a `passphrase`, or wrapped by a tool outside (age).
//! * `file`: a bundle on disk: written, synced and read back before it has its name.
//!
//! May import: `envelope` (Argon2id and its bounds), `private_file`, `secret`, `software::KeyMaterial`, `policies` vocabulary.
//!
//! # Invariants
//! * Everything that a bundle says in the clear is authenticated; one flipped bit anywhere, and no key comes out.
//! * **A bundle never restores a watermark.** It says how far a key had come when it was made, as a lower bound that a restore may not
//!   go below: what was signed since, it cannot know.
//! * A parser never allocates or computes more than its fixed limits, whatever the file says.

mod data_key;
mod error;
mod file;
mod format;
mod passphrase;
mod seal;

pub use data_key::DataKey;
pub use error::BackupError;
pub use file::{BundleDraft, read};
pub use format::{
    AtLeast, ChainNote, KeyNote, Lock, MAX_BUNDLE, MAX_CONFIG, MAX_KEYS, MAX_WRAPPED, Manifest,
};
pub use passphrase::Passphrase;
pub use seal::{Bundle, RecoveredKey, seal, verify_backup};

use crate::{
    error::ProviderError,
    provider::{AuthContext, KeyMetadata, KeyStorageProvider},
};

/// A provider whose keys can be put into a bundle.
pub trait BackupProvider: KeyStorageProvider {
    /// Seals the keys that `manifest` lists under `data_key`; the bytes of the bundle.
    ///
    /// # Errors
    /// [`BackupError`]; `key_not_found` for a key that the provider does not have.
    fn backup(
        &self,
        auth: &AuthContext,
        manifest: &Manifest,
        data_key: &DataKey,
    ) -> Result<Vec<u8>, BackupError>;
}

/// A provider that takes in keys of a bundle.
pub trait RecoveryProvider: KeyStorageProvider {
    /// Takes in a recovered key; durable, read back and tested when it returns. It is never again one that was generated here.
    ///
    /// # Errors
    /// As for [`KeyStorageProvider::store_key`].
    fn recover_key(&self, auth: &AuthContext, key: RecoveredKey) -> Result<KeyMetadata, ProviderError>;
}

#[cfg(test)]
mod tests;
