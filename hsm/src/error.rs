//! What can go wrong with a provider, by whose fault it is.
//!
//! May import: the error types of `envelope`, `pkcs11`, `private_file`, `secret`. Every provider speaks this language.

use std::{error::Error, fmt};

use sigward_policies::model::algorithm::PublicKey;

use crate::{
    envelope::{KekError, SealError},
    pkcs11::TokenError,
    private_file::FileError,
    secret::SecretError,
    software::OpenKeyError,
};

/// What a provider was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Opening the backend and the keys in it.
    Initialize,
    /// Making a key pair.
    Generate,
    /// Taking in a key from outside.
    Store,
    /// Finding and opening a key.
    Load,
    /// Destroying a key.
    Delete,
    /// Listing keys.
    List,
    /// Signing for an order.
    Sign,
    /// Deriving a key from a key.
    Derive,
    /// Resealing a key of another store for this one.
    Adopt,
    /// Sealing a key into a backup.
    Backup,
    /// Taking in a key of a backup.
    Restore,
    /// Letting a key go to another signer.
    Reveal,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "initialize the provider",
            Self::Generate => "generate a key",
            Self::Store => "store a key",
            Self::Load => "load a key",
            Self::Delete => "delete a key",
            Self::List => "list keys",
            Self::Sign => "sign",
            Self::Derive => "derive a key",
            Self::Adopt => "adopt a key",
            Self::Backup => "back up a key",
            Self::Restore => "restore a key",
            Self::Reveal => "let a key go",
        })
    }
}

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The backend is not there now; the same request may succeed later.
    #[error("the provider is unavailable: {reason}")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// The provider has no such key.
    #[error("no key {public_key} in this provider")]
    NotFound {
        /// The key asked for.
        public_key: PublicKey,
    },
    /// The request is wrong, and the provider well.
    #[error("{message}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// One line of what to do.
        remedy: Option<String>,
    },
    /// This provider cannot do that, ever.
    #[error("this provider cannot {operation}: {reason}")]
    Unsupported {
        /// What was asked.
        operation: Operation,
        /// Why not.
        reason: &'static str,
    },
    /// The provider failed.
    #[error("could not {operation}")]
    Fault {
        /// What was being done.
        operation: Operation,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ProviderError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "provider_unavailable",
            Self::NotFound { .. } => "key_not_found",
            Self::Refused { code, .. } => code,
            Self::Unsupported { .. } => "unsupported",
            Self::Fault { operation, .. } => match operation {
                Operation::Initialize => "initialization_failed",
                Operation::Generate => "key_generation_failed",
                Operation::Store
                | Operation::Load
                | Operation::Delete
                | Operation::List
                | Operation::Sign
                | Operation::Derive
                | Operation::Adopt
                | Operation::Backup
                | Operation::Restore
                | Operation::Reveal => "provider_fault",
            },
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Refused { remedy, .. } => remedy.as_deref(),
            Self::Fault { source, .. } => source.downcast_ref::<TokenError>().and_then(TokenError::remedy),
            Self::Unavailable { .. } | Self::NotFound { .. } | Self::Unsupported { .. } => None,
        }
    }

    /// A refusal without a remedy.
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused {
            code,
            message: message.into(),
            remedy: None,
        }
    }

    /// A failure of ours or of the backend.
    pub(crate) fn fault(operation: Operation, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Fault {
            operation,
            source: source.into(),
        }
    }

    pub(crate) fn from_file(operation: Operation, error: FileError) -> Self {
        match error {
            FileError::Io { .. } => Self::fault(operation, error),
            refused => Self::Refused {
                code: refused.code(),
                remedy: refused.remedy(),
                message: refused.to_string(),
            },
        }
    }

    pub(crate) fn from_memory(operation: Operation, error: SecretError) -> Self {
        match error {
            SecretError::Full { .. } | SecretError::Unprotected { .. } => Self::Refused {
                code: error.code(),
                remedy: error.remedy(),
                message: error.to_string(),
            },
            broken => Self::fault(operation, broken),
        }
    }

    pub(crate) fn from_seal(operation: Operation, error: SealError) -> Self {
        match error {
            SealError::Kek(KekError::File(e)) => Self::from_file(operation, e),
            SealError::Memory(e) | SealError::Kek(KekError::Memory(e)) => Self::from_memory(operation, e),
            refused => Self::Refused {
                code: refused.code(),
                remedy: refused.remedy(),
                message: refused.to_string(),
            },
        }
    }

    pub(crate) fn from_key(operation: Operation, error: OpenKeyError) -> Self {
        match error {
            OpenKeyError::Invalid(_) => Self::refused("invalid_parameters", error.to_string()),
            OpenKeyError::Memory(e) => Self::from_memory(operation, e),
        }
    }
}
