//! Keys of the software provider into a backup, and out of one.
//!
//! May import: `backup`, `store`, `folder`.

use sigward_policies::model::algorithm::PublicKey;

use super::{KeyMaterial, SoftwareProvider};
use crate::{
    backup::{BackupError, BackupProvider, DataKey, Manifest, RecoveredKey, RecoveryProvider, seal},
    envelope::{Header, StoreCheck},
    error::{Operation, ProviderError},
    private_file::Existing,
    provider::{AuthContext, KeyMetadata, KeyStorageProvider as _},
};

impl SoftwareProvider {
    /// The secret of a key of ours, from its sealed file.
    pub(super) fn material(
        &self,
        public_key: &PublicKey,
        operation: Operation,
    ) -> Result<KeyMaterial, ProviderError> {
        self.load_key(public_key)?;
        let path = self.folder.path_of(public_key);
        let (_, material) = self
            .folder
            .open(&path, StoreCheck::Must(self.folder.store), operation)?;
        Ok(material)
    }
}

impl BackupProvider for SoftwareProvider {
    fn backup(
        &self,
        auth: &AuthContext,
        manifest: &Manifest,
        data_key: &DataKey,
    ) -> Result<Vec<u8>, BackupError> {
        auth.may_manage()?;
        seal(&self.folder.arena, data_key, manifest, |public_key| {
            Ok(self.material(public_key, Operation::Backup)?)
        })
    }
}

impl RecoveryProvider for SoftwareProvider {
    fn recover_key(&self, auth: &AuthContext, key: RecoveredKey) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        let writing = self.lock_for_writing();
        let header = Header {
            store: self.folder.store,
            name: key.note.name,
            public_key: *key.material.public_key(),
            origin: key.note.origin.elsewhere(),
            created_at: key.note.created_at,
        };
        self.put(
            &writing,
            header,
            &key.material,
            Existing::Keep,
            Operation::Restore,
        )
    }
}
