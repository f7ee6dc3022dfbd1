//! The data key: the 32 bytes that a bundle opens with. Drawn for one bundle, or derived from a passphrase and the bundle's salt.
//!
//! May import: `envelope` (Argon2id), `passphrase`, `secret`.

use std::io::{Read, Write};

use super::{BackupError, Passphrase};
use crate::{
    envelope::{ArgonParams, SALT},
    secret::{Arena, SecretBytes, SecretError},
};

/// The key of one bundle.
///
/// Who may hold it: the command line that makes or opens a bundle, and the service that seals under it, each for as long as that
/// takes. It opens nothing else.
pub struct DataKey {
    bytes: SecretBytes<32>,
}

impl DataKey {
    /// Draws a new one.
    ///
    /// # Errors
    /// [`BackupError::Memory`].
    pub fn random(arena: &Arena) -> Result<Self, BackupError> {
        Ok(Self {
            bytes: SecretBytes::random(arena)?,
        })
    }

    /// A salt for [`Self::derive`].
    ///
    /// # Errors
    /// [`BackupError::Memory`].
    pub fn salt() -> Result<[u8; SALT], BackupError> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(SecretError::Random)?;
        Ok(salt)
    }

    /// Derives one from a passphrase. Takes up to seconds, and the memory that `params` says.
    ///
    /// # Errors
    /// [`BackupError::Derivation`], [`BackupError::Memory`].
    pub fn derive(
        arena: &Arena,
        passphrase: &Passphrase,
        params: ArgonParams,
        salt: &[u8; SALT],
    ) -> Result<Self, BackupError> {
        let bytes = SecretBytes::try_init_with(arena, |into| {
            params
                .derive(passphrase.text(), salt, into)
                .map_err(BackupError::Derivation)
        })?;
        Ok(Self { bytes })
    }

    /// Takes one as it came over the admin socket; what the caller's buffer holds is the caller's to overwrite.
    ///
    /// # Errors
    /// [`BackupError::DataKey`], [`BackupError::Memory`].
    pub fn from_slice(arena: &Arena, bytes: &[u8]) -> Result<Self, BackupError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| BackupError::DataKey)?;
        let bytes = SecretBytes::init_with(arena, |into| *into = *bytes)?;
        Ok(Self { bytes })
    }

    /// Reads exactly 32 bytes to the end of a pipe, straight into the arena.
    ///
    /// # Errors
    /// [`BackupError::Io`]; [`BackupError::DataKey`] for more or fewer.
    pub fn read_from(arena: &Arena, from: &mut impl Read) -> Result<Self, BackupError> {
        let wrong = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => BackupError::DataKey,
            _ => BackupError::Io("read the data key", e),
        };
        let bytes = SecretBytes::try_init_with(arena, |into: &mut [u8; 32]| {
            from.read_exact(into).map_err(wrong)?;
            match from.read(&mut [0]).map_err(wrong)? {
                0 => Ok(()),
                _ => Err(BackupError::DataKey),
            }
        })?;
        Ok(Self { bytes })
    }

    /// Writes it to whoever wraps it: the standard input of `age`.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn dangerous_write_to(&self, into: &mut impl Write) -> Result<(), BackupError> {
        into.write_all(self.bytes.expose())
            .and_then(|()| into.flush())
            .map_err(|e| BackupError::Io("hand over the data key", e))
    }

    /// A copy for a request over the admin socket, which is made of ordinary memory; overwrite it after use.
    #[must_use]
    pub fn dangerous_copy(&self) -> Vec<u8> {
        self.bytes.expose().to_vec()
    }

    pub(super) const fn secret(&self) -> &SecretBytes<32> {
        &self.bytes
    }
}
