//! Taking over a key of another guard store (`sigward keys adopt NAME --above HEIGHT`).
//!
//! May import: `store`, `folder`.
//!
//! # Invariants
//! * A foreign key cannot sign: it becomes one of ours only by [`SoftwareProvider::adopt`], and its caller has put a watermark
//!   on disk before that.
//! * An adopted key is `restored` or `imported` for ever: what it signed elsewhere is not known here, so it can never count as fresh.

use std::sync::PoisonError;

use sigward_policies::model::{
    algorithm::PublicKey,
    id::{KeyName, StoreId},
    key::Origin,
};

use super::{KeyMaterial, SoftwareProvider};
use crate::{
    envelope::{Header, StoreCheck},
    error::{Operation, ProviderError},
    private_file::Existing,
    provider::{AuthContext, KeyMetadata},
};

/// A genuine key of another guard store, opened in order to be adopted. It cannot sign.
pub struct ForeignKey {
    header: Header,
    material: KeyMaterial,
}

impl ForeignKey {
    /// The key, whose watermark the caller sets before it adopts.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.header.public_key
    }

    /// The store that it belongs to so far.
    #[must_use]
    pub const fn store(&self) -> StoreId {
        self.header.store
    }

    /// Where it will be said to come from.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.header.origin.elsewhere()
    }

    /// What people call it.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.header.name
    }
}

impl SoftwareProvider {
    /// Opens the key called `name` that belongs to another guard store, for adoption.
    ///
    /// # Errors
    /// `key_name_not_found`; `key_not_foreign`; whatever keeps the file from opening.
    pub fn foreign(&self, name: &KeyName) -> Result<ForeignKey, ProviderError> {
        let mut last = None;
        for path in self.folder.called(name)? {
            match self.folder.open(&path, StoreCheck::Adopting, Operation::Adopt) {
                Ok((header, _)) if header.store == self.folder.store => {
                    last = Some(ProviderError::refused(
                        "key_not_foreign",
                        format!("{name} belongs to this store already"),
                    ));
                }
                Ok((header, material)) => return Ok(ForeignKey { header, material }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            ProviderError::refused("key_name_not_found", format!("no sealed key is called {name}"))
        }))
    }

    /// Seals a foreign key for this store, in place of its old file; from then on it signs here. The caller has put its
    /// watermark on disk before. It is
    /// never again one that was generated here: what it signed elsewhere is not known here.
    ///
    /// # Errors
    /// As for [`crate::provider::KeyStorageProvider::store_key`].
    pub fn adopt(&self, auth: &AuthContext, key: ForeignKey) -> Result<KeyMetadata, ProviderError> {
        auth.may_manage()?;
        let writing = self.lock_for_writing();
        let header = Header {
            store: self.folder.store,
            origin: key.header.origin.elsewhere(),
            ..key.header
        };
        let metadata = self.put(
            &writing,
            header,
            &key.material,
            Existing::Replace,
            Operation::Adopt,
        )?;
        let path = self.folder.path_of(&metadata.public_key);
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|fault| fault.path != path);
        Ok(metadata)
    }
}
