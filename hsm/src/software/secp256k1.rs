//! A secp256k1 key in software: ECDSA over SHA-256 with the deterministic nonce of RFC 6979, low s, 64 bytes r‖s.
//!
//! May import: `secret`, k256. The shape is CometBFT's (`crypto/secp256k1/secp256k1.go`, `Sign`).

use k256::ecdsa::{Signature as Ecdsa, SigningKey, signature::Signer as _};
use sigward_policies::{
    decision::Refusal,
    model::algorithm::{Algorithm, PublicKey, Signature},
};

use crate::secret::{Arena, Placed, SecretBytes, SecretError, scrubbed_deep};

/// The key object of the library, in a slot.
pub(crate) struct Secp256k1Key {
    key: Placed<SigningKey>,
}

/// Why a scalar could not be opened.
pub(crate) enum OpenError {
    /// Zero, or not below the order of the group.
    NotAScalar,
    /// No memory for it.
    Memory(SecretError),
}

impl From<SecretError> for OpenError {
    fn from(error: SecretError) -> Self {
        Self::Memory(error)
    }
}

impl Secp256k1Key {
    /// Opens the key of a 32-byte big-endian scalar.
    pub(crate) fn from_scalar(arena: &Arena, scalar: &SecretBytes<32>) -> Result<Self, OpenError> {
        let key =
            arena.place(|| SigningKey::from_slice(scalar.expose()).map_err(|_| OpenError::NotAScalar))?;
        Ok(Self { key })
    }

    /// The public key, 33 bytes, compressed.
    pub(crate) fn public_key(&self) -> Result<PublicKey, Refusal> {
        let point = self.key.get().verifying_key().to_sec1_point(true);
        PublicKey::new(Algorithm::Secp256k1, point.as_bytes())
    }

    /// Signs the SHA-256 of `message`. `None` only if the library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        let signature: Ecdsa = scrubbed_deep(|| self.key.get().try_sign(message).ok())?;
        // The library normalises already for this curve; a second look costs nothing and a high s is refused by nodes.
        Some(Signature(signature.normalize_s().to_bytes().into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{
        secret::{ArenaSize, Unlocked},
        verify::Verifier,
    };

    fn key(arena: &Arena, scalar: &str) -> Secp256k1Key {
        let scalar =
            SecretBytes::<32>::init_with(arena, |b| hex::decode_to_slice(scalar, b).unwrap()).unwrap();
        Secp256k1Key::from_scalar(arena, &scalar).ok().unwrap()
    }

    #[test]
    fn the_nonce_is_that_of_rfc_6979() {
        // Vectors for secp256k1 with SHA-256 that Bitcoin implementations share (trezor-crypto, python-ecdsa): d = 1, and d = n - 1.
        let arena = Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap();
        let one = key(
            &arena,
            "0000000000000000000000000000000000000000000000000000000000000001",
        );
        let signed = one.sign(b"Satoshi Nakamoto").unwrap();
        assert_eq!(
            hex::encode(signed.0),
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
        );
        let last = key(
            &arena,
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
        );
        let signed = last.sign(b"Satoshi Nakamoto").unwrap();
        assert_eq!(
            hex::encode(signed.0),
            "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d06b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5"
        );
    }

    #[test]
    fn every_signature_has_a_low_s_and_verifies() {
        let arena = Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap();
        let key = key(
            &arena,
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        );
        let verifier = Verifier::new(&key.public_key().unwrap()).unwrap();
        for n in 0u32..200 {
            let message = n.to_be_bytes();
            let signature = key.sign(&message).unwrap();
            assert!(signature.0[32] < 0x80);
            verifier.verify(&message, &signature).unwrap();
        }
    }

    #[test]
    fn zero_and_the_group_order_are_no_keys() {
        let arena = Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap();
        for scalar in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ] {
            let scalar =
                SecretBytes::<32>::init_with(&arena, |b| hex::decode_to_slice(scalar, b).unwrap()).unwrap();
            assert!(matches!(
                Secp256k1Key::from_scalar(&arena, &scalar),
                Err(OpenError::NotAScalar)
            ));
        }
        assert_eq!(arena.free_key_slots(), 24, "a failed opening gives its slot back");
    }
}
