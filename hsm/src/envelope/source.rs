//! Where the key-encryption key is read from: a key file, a passphrase file, a systemd credential.
//!
//! May import: `kek`, `private_file`, `secret`.
//!
//! # Invariant
//! The bytes go from the kernel straight into the arena; no buffer in between.

use std::path::{Path, PathBuf};

use super::{
    argon::ArgonParams,
    kek::{Kek, KekError, MAX_PASSPHRASE},
};
use crate::{
    private_file::{self, Existing, Trust},
    secret::{Arena, SecretBytes},
};

/// Where the configuration says that the key-encryption key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KekSource {
    /// A file of exactly 32 bytes, mode 0600 or 0400, ours.
    KeyFile(PathBuf),
    /// A file with a passphrase of 12 to 256 bytes (one line ending at its end is not part of it), same mode.
    PassphraseFile {
        /// The file.
        path: PathBuf,
        /// The cost for files sealed from now on.
        params: ArgonParams,
    },
    /// `$CREDENTIALS_DIRECTORY/NAME` of exactly 32 bytes (systemd.exec(5), `LoadCredential=`).
    Credential {
        /// The name of the credential.
        name: String,
        /// The value of `$CREDENTIALS_DIRECTORY`, or none where it is not set; the environment is the caller's to read.
        directory: Option<PathBuf>,
    },
}

impl KekSource {
    /// Reads the key into the arena.
    ///
    /// # Errors
    /// [`KekError`]: a file that is missing, readable by others or of another size; a weak passphrase; no credential.
    pub fn read(&self, arena: &Arena) -> Result<Kek, KekError> {
        match self {
            Self::KeyFile(path) => key_file(arena, path, Trust::OwnerOnly),
            Self::PassphraseFile { path, params } => passphrase_file(arena, path, *params),
            Self::Credential { name, directory } => {
                if !is_credential_name(name) {
                    return Err(KekError::CredentialName);
                }
                let directory = directory
                    .as_ref()
                    .filter(|d| d.is_absolute())
                    .ok_or(KekError::NoCredentials)?;
                key_file(arena, &directory.join(name), Trust::ServiceManager)
            }
        }
    }

    /// Writes a new key file of 32 random bytes, mode 0600; an existing one is never touched.
    ///
    /// # Errors
    /// [`KekError::File`] with code `file_exists`, or what the system said.
    pub fn create_key_file(arena: &Arena, path: &Path) -> Result<(), KekError> {
        let key = SecretBytes::<32>::random(arena)?;
        private_file::write(path, key.expose(), Existing::Keep)?;
        Ok(())
    }
}

fn key_file(arena: &Arena, path: &Path, trust: Trust) -> Result<Kek, KekError> {
    let key = SecretBytes::<32>::try_init_with(arena, |into| {
        private_file::read_exactly(path, trust, into).map_err(KekError::from)
    })?;
    Kek::raw(arena, key)
}

fn passphrase_file(arena: &Arena, path: &Path, params: ArgonParams) -> Result<Kek, KekError> {
    let mut len = 0;
    let bytes = SecretBytes::<MAX_PASSPHRASE>::try_init_with(arena, |into| {
        len = private_file::read_up_to(path, Trust::OwnerOnly, into)?;
        let text = into.get(..len).unwrap_or_default();
        // Editors and echo end a file with a line feed.
        let text = text
            .strip_suffix(b"\n")
            .map_or(text, |t| t.strip_suffix(b"\r").unwrap_or(t));
        len = text.len();
        Ok::<_, KekError>(())
    })?;
    Kek::passphrase(arena, bytes, len, params)
}

/// systemd takes any file name; ours are plain, so that a name can never leave the folder.
fn is_credential_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@' | b':');
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}
