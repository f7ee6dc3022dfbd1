//! Which token this provider was first used with: its serial number, kept in a file.
//!
//! A token of the same label with another serial is another token: its keys are others, and a key made there would be lost with it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    error::{Kind, TokenError},
    record,
};
use crate::private_file::{self, Existing, FileError};

/// PKCS#11 gives 16 bytes; cryptoki drops the padding.
const MAX_SERIAL: usize = 64;

/// The serial number, once known for ever.
pub(super) struct PinnedSerial {
    path: PathBuf,
    known: Mutex<Option<String>>,
}

impl PinnedSerial {
    /// What is known of the token of this folder. While no key is recorded in it, a serial binds nothing: the configuration may have
    /// named the wrong token at first.
    pub(super) fn load(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("token-serial");
        let known = if path.exists() && record::any(folder) {
            let bytes = private_file::read_sealed(&path, MAX_SERIAL)?;
            Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        } else {
            None
        };
        Ok(Self {
            path,
            known: Mutex::new(known),
        })
    }

    pub(super) fn known(&self) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the serial of the first token that was logged in to.
    pub(super) fn pin(&self, serial: &str) -> Result<(), TokenError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some() {
            return Ok(());
        }
        private_file::write(&self.path, serial.as_bytes(), Existing::Replace).map_err(|error| {
            TokenError::new(
                Kind::Failed,
                format!("cannot remember the token's serial: {error}"),
                "make room, or mend the permissions of the folder",
            )
        })?;
        *known = Some(serial.to_owned());
        Ok(())
    }
}
