//! The folder of sealed files of one guard store: which file is whose, sealing into it, opening from it.
//!
//! May import: `envelope`, `private_file`, `material`. Knows nothing of signing.
//!
//! # Invariant
//! A file is called `<public key in hex>.sealed`, and opens to the secret of exactly that key or not at all.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sigward_policies::model::{
    algorithm::PublicKey,
    id::{KeyName, StoreId},
};

use super::KeyMaterial;
use crate::{
    envelope::{Header, MAX_SEALED, Sealed, StoreCheck},
    error::{Operation, ProviderError},
    private_file::{self, Existing, FileError},
    provider::KeyEncryptionProvider,
    secret::Arena,
};

const SUFFIX: &str = ".sealed";

/// A folder of mode 0700, the store its keys belong to, and what they are sealed with.
pub(super) struct SealedFolder {
    pub(super) path: PathBuf,
    pub(super) store: StoreId,
    pub(super) arena: Arena,
    pub(super) encryption: Arc<dyn KeyEncryptionProvider>,
}

impl SealedFolder {
    /// Makes the folder if it is missing; it must be ours and closed to others.
    pub(super) fn ensure(&self) -> Result<(), ProviderError> {
        private_file::ensure_folder(&self.path)
            .map_err(|e| ProviderError::from_file(Operation::Initialize, e))
    }

    /// Every sealed file of the folder, in order of name.
    pub(super) fn files(&self, operation: Operation) -> Result<Vec<PathBuf>, ProviderError> {
        files_in(&self.path, operation)
    }

    /// The file of a key.
    pub(super) fn path_of(&self, public_key: &PublicKey) -> PathBuf {
        self.path.join(hex::encode(public_key.as_bytes()) + SUFFIX)
    }

    /// The files that say they are of the key called `name`; unproved until one opens.
    pub(super) fn called(&self, name: &KeyName) -> Result<Vec<PathBuf>, ProviderError> {
        let says_so = |path: &PathBuf| {
            let bytes = private_file::read_sealed(path, MAX_SEALED).ok();
            let sealed = bytes.and_then(|bytes| Sealed::parse(&bytes).ok());
            sealed.is_some_and(|sealed| sealed.unchecked_header().name == *name)
        };
        Ok(self
            .files(Operation::Adopt)?
            .into_iter()
            .filter(says_so)
            .collect())
    }

    /// Seals a key into its file, durably.
    pub(super) fn seal(
        &self,
        header: Header,
        material: &KeyMaterial,
        existing: Existing,
        operation: Operation,
    ) -> Result<PathBuf, ProviderError> {
        let path = self.path_of(&header.public_key);
        let sealed = self
            .encryption
            .encrypt_key(header, material.secret())
            .map_err(|e| ProviderError::from_seal(operation, e))?;
        private_file::write(&path, &sealed, existing).map_err(|error| match error {
            FileError::Exists { path } => ProviderError::refused(
                "public_key_exists",
                format!("this public key is here already: {}", path.display()),
            ),
            other => ProviderError::from_file(operation, other),
        })?;
        Ok(path)
    }

    /// Opens a file; the secret must make the public key that the header and the file's name say.
    pub(super) fn open(
        &self,
        path: &Path,
        store: StoreCheck,
        operation: Operation,
    ) -> Result<(Header, KeyMaterial), ProviderError> {
        let bytes = private_file::read_sealed(path, MAX_SEALED)
            .map_err(|e| ProviderError::from_file(operation, e))?;
        let (header, secret) = self
            .encryption
            .decrypt_key(&bytes, store)
            .map_err(|e| ProviderError::from_seal(operation, e))?;
        let material = KeyMaterial::from_secret(&self.arena, header.public_key.algorithm(), secret)
            .map_err(|e| ProviderError::from_key(operation, e))?;
        if *material.public_key() != header.public_key || self.path_of(&header.public_key) != path {
            let message = format!("{} does not hold the key that it is named for", path.display());
            return Err(ProviderError::refused("sealed_key_mismatch", message));
        }
        Ok((header, material))
    }
}

/// Every sealed file of a folder, in order of name.
pub(super) fn files_in(folder: &Path, operation: Operation) -> Result<Vec<PathBuf>, ProviderError> {
    let io = |source| FileError::Io {
        operation: "list",
        path: folder.to_owned(),
        source,
    };
    let fault = |e| ProviderError::from_file(operation, io(e));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.ends_with(SUFFIX) && !name.starts_with('.'))
        {
            files.push(folder.join(entry.file_name()));
        }
    }
    files.sort_unstable();
    Ok(files)
}
