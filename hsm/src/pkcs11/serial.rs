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

/// The second line of the file where the token seals.
const SEALS: &str = "seals";

/// The serial number.
pub(super) struct PinnedSerial {
    path: PathBuf,
    known: Mutex<Option<String>>,
}

impl PinnedSerial {
    /// What is known of the token of this folder. While no key is recorded in it, and it seals nothing, a serial binds nothing: the
    /// configuration may have named the wrong token at first.
    pub(super) fn load(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("token-serial");
        let mut known = None;
        if path.exists() {
            let bytes = private_file::read_sealed(&path, MAX_SERIAL)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut lines = text.lines();
            let serial = lines.next().unwrap_or_default().trim_end().to_owned();
            if lines.next() == Some(SEALS) || record::any(folder) {
                known = Some(serial);
            }
        }
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
        self.set(serial, false)
    }

    /// The token seals: from now on its serial binds, whether or not it has keys.
    pub(super) fn bind(&self, serial: &str) -> Result<(), TokenError> {
        self.set(serial, true)
    }

    fn set(&self, serial: &str, seals: bool) -> Result<(), TokenError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some() && !seals {
            return Ok(());
        }
        let text = match seals {
            true => format!("{serial}\n{SEALS}\n"),
            false => format!("{serial}\n"),
        };
        private_file::write(&self.path, text.as_bytes(), Existing::Replace).map_err(|error| {
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
