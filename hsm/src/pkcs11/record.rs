//! What sigward knows of a key in a token: a small file beside the sealed ones, without a secret.
//!
//! A key is found in its token by 16 random bytes, its `CKA_ID`, and by the token's serial: never by a handle, a label or a slot.
//!
//! # Invariants
//! * A record is durable before its key is told to anybody, and goes only when an operator destroys the key. A key that its token
//!   does not show is quarantined, not forgotten.
//! * The public key in the record is the one that was read from the token and that the self-test used.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    id::{KeyName, UnixSeconds},
    key::Origin,
};

use super::protection::Protection;
use crate::private_file::{self, Existing, FileError};

/// Largest record that is read.
const MAX_RECORD: usize = 4096;
/// What record files end with.
const SUFFIX: &str = ".pkcs11";

/// `CKA_ID` of a key of ours: 16 random bytes, or what an adopted key had.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CkaId(Vec<u8>);

impl CkaId {
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut id = vec![0; 16];
        getrandom::fill(&mut id)?;
        Ok(Self(id))
    }

    /// The id of an object that is there already.
    pub(super) const fn existing(id: Vec<u8>) -> Self {
        Self(id)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A key in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: KeyName,
    pub(super) public_key: PublicKey,
    pub(super) origin: Origin,
    pub(super) created_at: UnixSeconds,
    pub(super) serial: String,
    pub(super) id: CkaId,
    /// What was read of it when it was made or taken in; nothing in a record of the first version of a key that was brought in.
    pub(super) protection: Option<Protection>,
}

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("{cause}")]
    File { path: PathBuf, cause: FileError },
    #[error("{path} is no record of a key in a token: {what}")]
    Damaged { path: PathBuf, what: String },
}

impl RecordError {
    /// The file that it is about.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Damaged { path, .. } => path,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    name: String,
    algorithm: String,
    public_key: String,
    origin: String,
    created_at: i64,
    token_serial: String,
    cka_id: String,
    /// Since version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protection: Option<Protection>,
}

impl Record {
    /// Writes the record; a record of the same public key refuses.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let written = Written {
            version: 2,
            name: self.name.to_string(),
            algorithm: self.public_key.algorithm().as_str().to_owned(),
            public_key: hex::encode(self.public_key.as_bytes()),
            origin: self.origin.as_str().to_owned(),
            created_at: self.created_at.0,
            token_serial: self.serial.clone(),
            cka_id: hex::encode(self.id.as_bytes()),
            protection: self.protection,
        };
        let mut text = serde_json::to_vec_pretty(&written).unwrap_or_default();
        text.push(b'\n');
        private_file::write(&self.path(folder), &text, Existing::Keep)
    }

    /// Removes the record; durable.
    pub(super) fn remove(&self, folder: &Path) -> Result<(), FileError> {
        private_file::remove(&self.path(folder))
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}{SUFFIX}", hex::encode(self.public_key.as_bytes())))
    }

    fn read(path: &Path) -> Result<Self, RecordError> {
        let bytes = private_file::read_sealed(path, MAX_RECORD).map_err(|cause| RecordError::File {
            path: path.to_owned(),
            cause,
        })?;
        let damaged = |what: String| RecordError::Damaged {
            path: path.to_owned(),
            what,
        };
        let written: Written = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if !matches!(written.version, 1 | 2) {
            return Err(damaged(format!("version {} is unknown", written.version)));
        }
        let algorithm = Algorithm::parse(&written.algorithm).map_err(|error| damaged(error.to_string()))?;
        let key = hex::decode(&written.public_key).map_err(|error| damaged(error.to_string()))?;
        let origin = match written.origin.as_str() {
            "generated" => Origin::Generated,
            "imported" => Origin::Imported,
            "restored" => Origin::Restored,
            other => return Err(damaged(format!("origin {other:?} is unknown"))),
        };
        Ok(Self {
            name: KeyName::new(&written.name).map_err(|error| damaged(error.to_string()))?,
            public_key: PublicKey::new(algorithm, &key).map_err(|error| damaged(error.to_string()))?,
            origin,
            created_at: UnixSeconds(written.created_at),
            serial: written.token_serial,
            id: match hex::decode(&written.cka_id) {
                Ok(id) if !id.is_empty() => CkaId(id),
                _ => return Err(damaged("cka_id is no hex".to_owned())),
            },
            protection: match (written.version, origin) {
                // What is made in a token was always read back, and refused unless it is confined.
                (1, Origin::Generated) => Some(Protection::CONFINED),
                _ => written.protection,
            },
        })
    }
}

/// Whether a folder has a record, readable or not.
pub(super) fn any(folder: &Path) -> bool {
    let is_record = |name: std::ffi::OsString| name.to_string_lossy().ends_with(SUFFIX);
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| is_record(entry.file_name())))
}

/// Every record of a folder, and the files that are none.
pub(super) fn read_all(folder: &Path) -> Result<(Vec<Record>, Vec<RecordError>), FileError> {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(FileError::io("list", folder))? {
        let path = entry.map_err(FileError::io("list", folder))?.path();
        let is_record = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.ends_with(SUFFIX) && !name.starts_with('.'));
        if is_record {
            match Record::read(&path) {
                Ok(record) => records.push(record),
                Err(error) => errors.push(error),
            }
        }
    }
    Ok((records, errors))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As version 1 wrote it.
    fn first_version(origin: &str) -> String {
        format!(
            "{{\"version\": 1, \"name\": \"old\", \"algorithm\": \"ed25519\", \"public_key\": \"{}\", \"origin\": \"{origin}\", \
             \"created_at\": 7, \"token_serial\": \"abc\", \"cka_id\": \"01\"}}",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        )
    }

    #[test]
    fn records_of_the_first_version_are_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.pkcs11");
        for (origin, protection) in [
            ("generated", Some(Protection::CONFINED)),
            ("imported", None),
            ("restored", None),
        ] {
            std::fs::write(&path, first_version(origin)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let record = Record::read(&path).unwrap();
            assert_eq!(record.protection, protection, "{origin}");
            let again = tempfile::tempdir().unwrap();
            record.write(again.path()).unwrap();
            assert_eq!(
                read_all(again.path()).unwrap().0,
                [record],
                "version 2 says the same"
            );
        }
    }
}
