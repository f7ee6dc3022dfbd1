//! Why there is no bundle, or nothing in it.
//!
//! May import: the error types of `private_file`, `secret`, `software`.

use crate::{error::ProviderError, private_file::FileError, secret::SecretError, software::OpenKeyError};

/// Why a bundle could not be made, read or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The magic is missing: some other file.
    #[error("not a sigward backup")]
    NotABundle,
    /// A version or suite of a later sigward.
    #[error("a backup of format version {version}, suite {suite}, which this sigward does not know")]
    Unsupported {
        /// Version of the format.
        version: u16,
        /// Cipher suite.
        suite: u16,
    },
    /// Cut short, too long, or a field outside its bounds.
    #[error("the backup is malformed: {0}")]
    Malformed(&'static str),
    /// Another passphrase or identity, or a changed byte. The two look the same by design.
    #[error("the backup does not open: another passphrase or identity, or a damaged file")]
    DoesNotOpen,
    /// It opens, and what is in it is not the private half of the public key that it is named for.
    #[error("the backup holds another key than {0} under that name")]
    WrongKey(String),
    /// The passphrase is too short, too long, or nothing but white space.
    #[error("a passphrase has {min} to {max} bytes, not all of them blanks", min = crate::envelope::MIN_PASSPHRASE, max = crate::envelope::MAX_PASSPHRASE)]
    Passphrase,
    /// What should be a data key is not 32 bytes.
    #[error("the data key has not 32 bytes")]
    DataKey,
    /// Argon2id failed.
    #[error("cannot derive a key from the passphrase: {0}")]
    Derivation(argon2::Error),
    /// No protected memory for a secret.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// The file was refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading or writing a secret stopped in the middle.
    #[error("cannot {0}")]
    Io(&'static str, #[source] std::io::Error),
    /// The provider of the key refused.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl BackupError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotABundle | Self::Unsupported { .. } | Self::Malformed(_) => "invalid_bundle",
            Self::DoesNotOpen | Self::WrongKey(_) => "bundle_does_not_open",
            Self::Passphrase => "weak_passphrase",
            Self::DataKey => "invalid_parameters",
            Self::Derivation(_) => "kek_derivation_failed",
            Self::Memory(e) => e.code(),
            Self::File(e) => e.code(),
            Self::Io(..) => "file_io",
            Self::Provider(e) => e.code(),
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NotABundle | Self::Malformed(_) => {
                Some("take another copy of the backup: this file is not one, or not whole".to_owned())
            }
            Self::Unsupported { .. } => Some("use the sigward that made it, or a later one".to_owned()),
            Self::DoesNotOpen => Some(
                "try the other passphrase or identity; if it is surely the right one, take another copy of the file".to_owned(),
            ),
            Self::WrongKey(_) => Some("take another copy of the backup, and report how this one was made".to_owned()),
            Self::Memory(e) => e.remedy(),
            Self::File(e) => e.remedy(),
            Self::Provider(e) => e.remedy().map(str::to_owned),
            Self::Passphrase | Self::DataKey | Self::Derivation(_) | Self::Io(..) => None,
        }
    }
}

impl From<OpenKeyError> for BackupError {
    fn from(error: OpenKeyError) -> Self {
        match error {
            OpenKeyError::Invalid(_) => Self::Malformed("a secret that is no private key"),
            OpenKeyError::Memory(e) => Self::Memory(e),
        }
    }
}
