//! ECDSA on secp256k1 and P-256 as it leaves a key: r‖s with the lower of the two s, and with the recovery id where that is wanted.
//!
//! May import: k256, p256. Public things only: what makes a signature is elsewhere (`software`, `pkcs11`).
//!
//! Tokens give r‖s with either s (PKCS#11 v3.0, 6.3.1). CometBFT refuses the higher one (`crypto/secp256k1`, `VerifySignature`), and
//! so does Ethereum (EIP-2). A token gives no recovery id at all; it is found by trying which of the two points gives the public
//! key.
//!
//! # Invariants
//! * Nothing with a high s is verified, and nothing with one is made.
//! * A recoverable signature was recovered, and gave the key, before it exists.

use k256::ecdsa::signature::hazmat::PrehashVerifier as _;

/// A curve for ECDSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256k1 (SEC 2): CometBFT, Ethereum.
    Secp256k1,
    /// P-256 (FIPS 186-5): audit checkpoints, TLS.
    P256,
}

/// A public key on one of the curves.
#[derive(Clone, PartialEq, Eq)]
pub struct EcdsaKey(Point);

#[derive(Clone, PartialEq, Eq)]
enum Point {
    Secp256k1(k256::ecdsa::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

/// Runs the same words with either library.
macro_rules! with {
    ($on:expr, $lib:ident, $variant:ident => $body:expr) => {
        match $on {
            Curve::Secp256k1 => {
                #[allow(unused_imports, reason = "not every use makes a point")]
                use Point::Secp256k1 as $variant;
                use k256 as $lib;
                $body
            }
            Curve::P256 => {
                #[allow(unused_imports, reason = "not every use makes a point")]
                use Point::P256 as $variant;
                use p256 as $lib;
                $body
            }
        }
    };
}

/// r‖s with s in the lower half; none for what is no signature: another size, r or s zero or not below the order.
#[must_use]
pub fn low_s(curve: Curve, signature: &[u8]) -> Option<[u8; 64]> {
    with!(curve, lib, Variant => {
        let signature = lib::ecdsa::Signature::from_slice(signature).ok()?;
        Some(signature.normalize_s().to_bytes().into())
    })
}

impl EcdsaKey {
    /// Reads a point, compressed or not (SEC 1, 2.3.4); none for what is no point of the curve.
    #[must_use]
    pub fn from_sec1(curve: Curve, bytes: &[u8]) -> Option<Self> {
        with!(curve, lib, Variant => {
            lib::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok().map(|key| Self(Variant(key)))
        })
    }

    /// The key that made a recoverable signature of `digest`; none where none did, or s is high.
    #[must_use]
    pub fn recover(curve: Curve, digest: &[u8; 32], signature: &[u8; 65]) -> Option<Self> {
        let (raw, id) = signature.split_first_chunk::<64>()?;
        let id = *id.first().filter(|id| **id <= 1)?;
        if low_s(curve, raw)? != *raw {
            return None;
        }
        with!(curve, lib, Variant => {
            let id = lib::ecdsa::RecoveryId::from_byte(id)?;
            let signature = lib::ecdsa::Signature::from_slice(raw).ok()?;
            let key = lib::ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, id).ok()?;
            Some(Self(Variant(key)))
        })
    }

    /// The curve of the key.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        match self.0 {
            Point::Secp256k1(_) => Curve::Secp256k1,
            Point::P256(_) => Curve::P256,
        }
    }

    /// The point in 33 bytes.
    #[must_use]
    pub fn compressed(&self) -> Vec<u8> {
        match &self.0 {
            Point::Secp256k1(key) => key.to_sec1_point(true).as_bytes().to_vec(),
            Point::P256(key) => key.to_sec1_point(true).as_bytes().to_vec(),
        }
    }

    /// The point in 65 bytes.
    #[must_use]
    pub fn uncompressed(&self) -> Vec<u8> {
        match &self.0 {
            Point::Secp256k1(key) => key.to_sec1_point(false).as_bytes().to_vec(),
            Point::P256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// Whether `signature` (r‖s, low s) is one of `digest`.
    #[must_use]
    pub fn verifies(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        if low_s(self.curve(), signature) != Some(*signature) {
            return false;
        }
        match &self.0 {
            Point::Secp256k1(key) => k256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            Point::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
        }
    }

    /// r‖s‖v of what a token gave: s in the lower half, v 0 or 1, the parity of the y of the nonce's point. None for what is no
    /// signature of `digest` by this key. (v would be 2 or 3 for a nonce's point whose x is not below the order: 2^-127, and
    /// Ethereum takes none.)
    #[must_use]
    pub fn recoverable(&self, digest: &[u8; 32], signature: &[u8]) -> Option<[u8; 65]> {
        let raw = low_s(self.curve(), signature)?;
        [0, 1].into_iter().find_map(|id| {
            let mut full = [id; 65];
            full.iter_mut().zip(raw).for_each(|(to, from)| *to = from);
            (Self::recover(self.curve(), digest, &full)? == *self).then_some(full)
        })
    }
}

#[cfg(test)]
mod tests;
