//! The only way out for a private key: an imported key goes back into CometBFT's file, after it was stopped here.
//!
//! May import: `store`, `backup` (opening the sealed file), `filepv`.
//!
//! # Invariants
//! * Nobody gets bytes of a key without [`Stopped`]: the store's word that the key signs no more on any chain. The token cannot be
//!   made elsewhere, and is used up.
//! * A key that was made by a sigward never leaves in the clear, whatever its row says: the sealed file says where it is from.

use sigward_policies::{model::key::Origin, proof::Stopped};

use super::{SoftwareProvider, filepv::FileText};
use crate::{
    error::{Operation, ProviderError},
    provider::{AuthContext, KeyStorageProvider as _},
};

impl SoftwareProvider {
    /// `priv_validator_key.json` of an imported key that signs no more here.
    ///
    /// # Errors
    /// `key_not_exportable` for a key that was not imported; `key_not_found`; whatever keeps its file from opening.
    pub fn reveal(&self, auth: &AuthContext, stopped: Stopped) -> Result<FileText, ProviderError> {
        auth.may_manage()?;
        let known = self.list_keys()?;
        let found = known.iter().find(|key| key.public_key == *stopped.key());
        if found.is_some_and(|key| key.origin != Origin::Imported) {
            return Err(ProviderError::refused(
                "key_not_exportable",
                "this key was made by a sigward, and such a key never leaves in the clear",
            ));
        }
        let material = self.material(stopped.key(), Operation::Reveal)?;
        FileText::of(&self.folder.arena, &material).map_err(|e| ProviderError::fault(Operation::Reveal, e))
    }
}
