//! Public keys at work: checking signatures and deriving addresses. Nothing here is secret.
//!
//! May import: `policies` vocabulary, ed25519-dalek, k256, sha2, ripemd. Used by everything that must not release an
//! unchecked signature.
//!
//! # Invariants
//! * Ed25519 is verified strictly (RFC 8032 5.1.7, no small-order points, canonical encodings): what passes here passes every
//!   verifier of a chain, CometBFT's ZIP-215 one included.
//! * secp256k1 accepts low s only, as CometBFT does (`crypto/secp256k1/secp256k1.go`, `VerifySignature`).

use k256::{ecdsa::signature::Verifier as _, elliptic_curve::scalar::IsHigh as _};
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};
use sigward_policies::{
    model::algorithm::{Address, Algorithm, PublicKey, Signature},
    proof::{ToVerify, Verified},
};

/// Why a public key or a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The bytes are no usable point of the curve: off the curve, not canonical, or of small order.
    #[error("the public key is not a valid {0} key")]
    InvalidPublicKey(Algorithm),
    /// The signature does not verify.
    #[error("the signature does not verify with the public key")]
    InvalidSignature,
    /// The signatures are said to be of another key than this verifier's.
    #[error("the signatures are of another key than the one they were to be checked with")]
    OtherKey,
    /// There was nothing to check; nothing may leave on the strength of that.
    #[error("no signature to check")]
    Nothing,
}

impl VerifyError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidPublicKey(_) => "invalid_public_key",
            Self::InvalidSignature | Self::OtherKey | Self::Nothing => "verification_failed",
        }
    }
}

/// A public key made ready: decompressed once, used for every signature of that key. Cheap to share, no secrets.
pub struct Verifier {
    public_key: PublicKey,
    point: Point,
}

enum Point {
    Ed25519(ed25519_dalek::VerifyingKey),
    Secp256k1(k256::ecdsa::VerifyingKey),
}

impl Verifier {
    /// Decompresses the key.
    ///
    /// # Errors
    /// [`VerifyError::InvalidPublicKey`] for bytes that are no point, a second encoding of one, or a point of small order.
    pub fn new(public_key: &PublicKey) -> Result<Self, VerifyError> {
        let algorithm = public_key.algorithm();
        let bad = VerifyError::InvalidPublicKey(algorithm);
        let bytes = public_key.as_bytes();
        let point = match algorithm {
            Algorithm::Ed25519 => {
                let bytes: &[u8; 32] = bytes.try_into().map_err(|_| bad)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| bad)?;
                // dalek keeps the bytes it was given, so compressing anew shows whether they were the canonical ones.
                let canonical = key.to_edwards().compress().to_bytes() == *bytes;
                if key.is_weak() || !canonical {
                    return Err(bad);
                }
                Point::Ed25519(key)
            }
            Algorithm::Secp256k1 => {
                // SEC 1 also knows tags 04 (uncompressed), 05; CometBFT keys are compressed.
                if !matches!(bytes.first(), Some(2 | 3)) {
                    return Err(bad);
                }
                Point::Secp256k1(k256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map_err(|_| bad)?)
            }
        };
        Ok(Self {
            public_key: *public_key,
            point,
        })
    }

    /// The key this verifies for.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Checks a signature over `message`.
    ///
    /// # Errors
    /// [`VerifyError::InvalidSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), VerifyError> {
        let bad = VerifyError::InvalidSignature;
        match &self.point {
            Point::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
                key.verify_strict(message, &signature).map_err(|_| bad)
            }
            Point::Secp256k1(key) => {
                let signature = k256::ecdsa::Signature::from_slice(&signature.0).map_err(|_| bad)?;
                if signature.s().is_high().into() {
                    return Err(bad);
                }
                key.verify(message, &signature).map_err(|_| bad)
            }
        }
    }
}

impl Verifier {
    /// Checks every signature of a request and turns them into the proof that they verify. The one place that asserts it.
    ///
    /// # Errors
    /// [`VerifyError`]: a signature that does not verify, another key's signatures, or none at all.
    pub fn check(&self, signatures: ToVerify) -> Result<Verified, VerifyError> {
        if signatures.public_key() != &self.public_key {
            return Err(VerifyError::OtherKey);
        }
        if signatures.pairs().is_empty() {
            return Err(VerifyError::Nothing);
        }
        for (message, signature) in signatures.pairs() {
            self.verify(message, signature)?;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the reviewed place: every pair was checked above"
        )]
        Ok(Verified::asserted_by_verifier(signatures))
    }
}

/// The address of a consensus key, 20 bytes: Ed25519 SHA-256 of the key, truncated (`crypto/tmhash`, `SumTruncated`);
/// secp256k1 RIPEMD-160 of SHA-256 of the compressed key (`crypto/secp256k1`, `Address`).
#[must_use]
pub fn address(public_key: &PublicKey) -> Address {
    let sha = Sha256::digest(public_key.as_bytes());
    let mut address = [0; 20];
    match public_key.algorithm() {
        Algorithm::Ed25519 => address.iter_mut().zip(sha).for_each(|(to, from)| *to = from),
        Algorithm::Secp256k1 => address = Ripemd160::digest(sha).into(),
    }
    Address(address)
}

#[cfg(test)]
mod tests;
