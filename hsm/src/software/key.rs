//! One key of either algorithm, so that the code above does not care which.
//!
//! May import: `secret`, `ed25519`, `secp256k1`.

use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};

use super::{
    ed25519::Ed25519Key,
    secp256k1::{OpenError, Secp256k1Key},
};
use crate::secret::{Arena, SecretBytes, SecretError};

/// An opened private key. Only an order and the package's own self-test make it sign.
pub(crate) struct SoftwareKey {
    public_key: PublicKey,
    secret: Secret,
}

enum Secret {
    Ed25519(Ed25519Key),
    Secp256k1(Secp256k1Key),
}

/// Why 32 bytes could not be opened as a private key.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeyError {
    /// The bytes are no private key of that algorithm (secp256k1: zero, or not below the group order).
    #[error("the bytes are not a valid {0} private key")]
    Invalid(Algorithm),
    /// No protected memory for it.
    #[error("no memory for the key")]
    Memory(#[from] SecretError),
}

impl SoftwareKey {
    /// Opens a 32-byte secret: the Ed25519 seed, or the big-endian secp256k1 scalar.
    pub(crate) fn open(
        arena: &Arena,
        algorithm: Algorithm,
        secret: &SecretBytes<32>,
    ) -> Result<Self, OpenKeyError> {
        let invalid = || OpenKeyError::Invalid(algorithm);
        let (secret, public_key) = match algorithm {
            Algorithm::Ed25519 => {
                let key = Ed25519Key::from_seed(arena, secret)?;
                let public_key = key.public_key();
                (Secret::Ed25519(key), public_key)
            }
            Algorithm::Secp256k1 => {
                let key = Secp256k1Key::from_scalar(arena, secret).map_err(|e| match e {
                    OpenError::NotAScalar => invalid(),
                    OpenError::Memory(e) => e.into(),
                })?;
                let public_key = key.public_key();
                (Secret::Secp256k1(key), public_key)
            }
        };
        Ok(Self {
            public_key: public_key.map_err(|_| invalid())?,
            secret,
        })
    }

    /// The public half, computed from the secret one.
    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs `message` as a consensus key of this algorithm does. `None` only if the library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        match &self.secret {
            Secret::Ed25519(key) => key.sign(message),
            Secret::Secp256k1(key) => key.sign(message),
        }
    }
}
