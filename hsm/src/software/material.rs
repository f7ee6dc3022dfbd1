//! A private key on its way into a provider: drawn at random, or read from a file of another signer.
//!
//! May import: `key`, `secret`.
//!
//! # Invariant
//! The public key is the one that the secret makes; no caller ever supplies it.

use sigward_policies::model::algorithm::{Algorithm, PublicKey};

use super::key::{OpenKeyError, SoftwareKey};
use crate::secret::{Arena, SecretBytes};

/// A private key that no provider has yet. Nobody can look at it; a provider takes it by value.
pub struct KeyMaterial {
    secret: SecretBytes<32>,
    public_key: PublicKey,
}

impl KeyMaterial {
    /// Draws a new key: every 32 bytes are an Ed25519 seed, all but one in 2^128 a secp256k1 scalar.
    ///
    /// # Errors
    /// [`OpenKeyError::Memory`].
    pub fn generate(arena: &Arena, algorithm: Algorithm) -> Result<Self, OpenKeyError> {
        let drawn = SecretBytes::random(arena)?;
        match Self::from_secret(arena, algorithm, drawn) {
            Err(OpenKeyError::Invalid(_)) => Self::from_secret(arena, algorithm, SecretBytes::random(arena)?),
            outcome => outcome,
        }
    }

    /// Takes a 32-byte Ed25519 seed or a big-endian secp256k1 scalar.
    pub(crate) fn from_secret(
        arena: &Arena,
        algorithm: Algorithm,
        secret: SecretBytes<32>,
    ) -> Result<Self, OpenKeyError> {
        let public_key = *SoftwareKey::open(arena, algorithm, &secret)?.public_key();
        Ok(Self { secret, public_key })
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    pub(crate) const fn secret(&self) -> &SecretBytes<32> {
        &self.secret
    }
}
