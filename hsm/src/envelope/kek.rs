//! The key-encryption key: what every sealed file of a store opens with.
//!
//! May import: `secret`, `argon`, `format`. Held by the software provider for its whole life, in the arena.
//!
//! # Invariant
//! A passphrase is stretched once per (parameters, salt), not once per file: new files reuse the salt of the first, and each
//! file still has a key of its own by its file salt. Opening 1,000 files costs one Argon2id.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    argon::{ArgonParams, SALT},
    format::{KekKind, Sealing},
};
use crate::{
    private_file::FileError,
    secret::{Arena, SecretBytes, SecretError},
};

/// Longest passphrase in bytes.
pub(crate) const MAX_PASSPHRASE: usize = 256;
/// Shortest passphrase in bytes.
pub(crate) const MIN_PASSPHRASE: usize = 12;
/// How many different (parameters, salt) of one passphrase are kept; a folder has one, or two after the cost was raised.
const MAX_DERIVED: usize = 8;

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KekError {
    /// The file it is kept in was refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// No protected memory for it.
    #[error(transparent)]
    Memory(#[from] SecretError),
    /// The passphrase is too short, or nothing but white space.
    #[error("the passphrase must have at least {MIN_PASSPHRASE} bytes")]
    WeakPassphrase,
    /// All bytes of the key are equal: a file that was never filled.
    #[error("the key-encryption key is all one byte")]
    EmptyKey,
    /// The name of a systemd credential is not a plain file name.
    #[error("not a credential name: 1 to 255 of a-z A-Z 0-9 . _ - @ :, not beginning with a dot")]
    CredentialName,
    /// `$CREDENTIALS_DIRECTORY` is missing or not an absolute path.
    #[error("$CREDENTIALS_DIRECTORY is not set: this process was started without systemd credentials")]
    NoCredentials,
    /// The file was sealed with another kind of key than the configured one.
    #[error("sealed with {sealed}, but {configured} is configured")]
    OtherKind {
        /// What the file wants.
        sealed: &'static str,
        /// What there is.
        configured: &'static str,
    },
    /// Argon2id failed.
    #[error("cannot derive a key from the passphrase: {0}")]
    Derivation(argon2::Error),
    /// It is in a token that does not answer, or that does not take our PIN.
    #[error("the keys are sealed by a token that was not opened yet: {0}")]
    Away(String),
    /// More different salts than a folder of ours has.
    #[error("more than {MAX_DERIVED} different passphrase salts in one folder")]
    TooManySalts,
}

impl KekError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(e) => e.code(),
            Self::Memory(e) => e.code(),
            Self::WeakPassphrase => "weak_passphrase",
            Self::EmptyKey => "empty_kek",
            Self::CredentialName => "invalid_credential_name",
            Self::NoCredentials => "no_credentials",
            Self::OtherKind { .. } => "kek_kind_mismatch",
            Self::Derivation(_) => "kek_derivation_failed",
            Self::Away(_) => "seal_unavailable",
            Self::TooManySalts => "too_many_salts",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::File(e) => e.remedy(),
            Self::Memory(e) => e.remedy(),
            Self::NoCredentials => Some(
                "add LoadCredential=NAME:PATH or LoadCredentialEncrypted= to the systemd unit".to_owned(),
            ),
            Self::Away(_) => {
                Some("bring the token back; a running sigward opens its keys by itself then".to_owned())
            }
            Self::EmptyKey => Some("write 32 random bytes: head -c 32 /dev/urandom".to_owned()),
            Self::WeakPassphrase
            | Self::CredentialName
            | Self::OtherKind { .. }
            | Self::Derivation(_)
            | Self::TooManySalts => None,
        }
    }
}

/// The key-encryption key of a store.
pub struct Kek {
    arena: Arena,
    secret: Secret,
}

enum Secret {
    Raw(Arc<SecretBytes<32>>),
    Passphrase {
        bytes: SecretBytes<MAX_PASSPHRASE>,
        len: usize,
        params: ArgonParams,
        derived: Mutex<Vec<(Sealing, Arc<SecretBytes<32>>)>>,
    },
}

impl Kek {
    pub(crate) fn raw(arena: &Arena, key: SecretBytes<32>) -> Result<Self, KekError> {
        let [first, rest @ ..] = key.expose();
        if rest.iter().all(|b| b == first) {
            return Err(KekError::EmptyKey);
        }
        Ok(Self {
            arena: arena.clone(),
            secret: Secret::Raw(Arc::new(key)),
        })
    }

    /// `params` is the cost of files sealed from now on; files sealed before carry their own.
    pub(super) fn passphrase(
        arena: &Arena,
        bytes: SecretBytes<MAX_PASSPHRASE>,
        len: usize,
        params: ArgonParams,
    ) -> Result<Self, KekError> {
        let text = bytes.expose().get(..len).unwrap_or_default();
        if len < MIN_PASSPHRASE || text.iter().all(u8::is_ascii_whitespace) {
            return Err(KekError::WeakPassphrase);
        }
        let secret = Secret::Passphrase {
            bytes,
            len,
            params,
            derived: Mutex::new(Vec::new()),
        };
        Ok(Self {
            arena: arena.clone(),
            secret,
        })
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> KekKind {
        match self.secret {
            Secret::Raw(_) => KekKind::Raw,
            Secret::Passphrase { .. } => KekKind::Passphrase,
        }
    }

    /// The 32 bytes of a raw key; none of a passphrase.
    #[cfg(test)]
    pub(crate) fn raw_key(&self) -> Option<Arc<SecretBytes<32>>> {
        match &self.secret {
            Secret::Raw(key) => Some(Arc::clone(key)),
            Secret::Passphrase { .. } => None,
        }
    }

    /// The arena that secrets opened with it go to.
    pub(crate) const fn arena(&self) -> &Arena {
        &self.arena
    }

    /// How a new file is to be sealed: the salt in use, or a new one.
    pub(super) fn sealing(&self) -> Result<Sealing, KekError> {
        let (cost, derived) = match &self.secret {
            Secret::Raw(_) => return Ok(Sealing::Raw),
            Secret::Passphrase { params, derived, .. } => (params, derived),
        };
        let known = derived.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = known
            .iter()
            .map(|(sealing, _)| *sealing)
            .find(|sealing| matches!(sealing, Sealing::Argon2id { params, .. } if params == cost));
        if let Some(sealing) = in_use {
            return Ok(sealing);
        }
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(SecretError::Random)?;
        Ok(Sealing::Argon2id { params: *cost, salt })
    }

    /// The 32 bytes for a file that was sealed so. The first use of a salt takes an Argon2id.
    pub(super) fn key_for(&self, sealing: &Sealing) -> Result<Arc<SecretBytes<32>>, KekError> {
        match (&self.secret, sealing) {
            (Secret::Raw(key), Sealing::Raw) => Ok(Arc::clone(key)),
            (
                Secret::Passphrase {
                    bytes, len, derived, ..
                },
                Sealing::Argon2id { params, salt },
            ) => {
                // Held while deriving, so that two readers of one salt do not both spend the memory.
                let mut known = derived.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, key)) = known.iter().find(|(of, _)| of == sealing) {
                    return Ok(Arc::clone(key));
                }
                if known.len() >= MAX_DERIVED {
                    return Err(KekError::TooManySalts);
                }
                let text = bytes.expose().get(..*len).unwrap_or_default();
                let key = SecretBytes::try_init_with(&self.arena, |into| {
                    params.derive(text, salt, into).map_err(KekError::Derivation)
                })?;
                let key = Arc::new(key);
                known.push((*sealing, Arc::clone(&key)));
                Ok(key)
            }
            (Secret::Raw(_), Sealing::Argon2id { .. }) => Err(KekError::OtherKind {
                sealed: "a passphrase",
                configured: "a key file or credential",
            }),
            (Secret::Passphrase { .. }, Sealing::Raw) => Err(KekError::OtherKind {
                sealed: "a key file or credential",
                configured: "a passphrase",
            }),
        }
    }
}
