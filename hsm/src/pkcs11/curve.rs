//! How PKCS#11 writes curves and points (v3.0, 6.3), in the spellings that tokens are seen to use.
//!
//! Pure: bytes in, bytes out. What a token answers is parsed strictly; nothing here trusts it.

use cryptoki::{mechanism::Mechanism, object::KeyType};
use sigward_policies::model::algorithm::{Algorithm, PublicKey};

use crate::ecdsa::{Curve, EcdsaKey};

/// The curves that a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Params {
    Ed25519,
    Ecdsa(Curve),
}

impl From<Algorithm> for Params {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Secp256k1 => Self::Ecdsa(Curve::Secp256k1),
        }
    }
}

impl From<Curve> for Params {
    fn from(curve: Curve) -> Self {
        Self::Ecdsa(curve)
    }
}

impl Params {
    /// `CKA_EC_PARAMS`, the usual spelling first: the object identifier, which most tokens take, and the name as a PrintableString,
    /// which PKCS#11 v3.0, 6.3.3 allows too, and some tokens want for Edwards curves.
    pub(super) const fn spellings(self) -> &'static [&'static [u8]] {
        match self {
            Self::Ed25519 => &[
                // 1.3.101.112 (RFC 8410).
                &[0x06, 0x03, 0x2b, 0x65, 0x70],
                b"\x13\x0cedwards25519",
                // 1.3.6.1.4.1.11591.15.1, from before RFC 8410 (GnuPG, Thales Luna).
                &[0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01],
            ],
            // 1.3.132.0.10 (SEC 2).
            Self::Ecdsa(Curve::Secp256k1) => {
                &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a], b"\x13\x09secp256k1"]
            }
            // 1.2.840.10045.3.1.7 (RFC 5480).
            Self::Ecdsa(Curve::P256) => &[
                &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
                b"\x13\x09secp256r1",
            ],
        }
    }

    /// The spelling that is tried first.
    pub(super) const fn usual_spelling(self) -> &'static [u8] {
        match self.spellings() {
            [usual, ..] => usual,
            [] => &[],
        }
    }

    /// The mechanism that makes key pairs on it, and its name.
    pub(super) const fn generation(self) -> (Mechanism<'static>, &'static str) {
        match self {
            Self::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, "CKM_EC_EDWARDS_KEY_PAIR_GEN"),
            Self::Ecdsa(_) => (Mechanism::EccKeyPairGen, "CKM_EC_KEY_PAIR_GEN"),
        }
    }

    /// The type of its keys.
    pub(super) const fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 => KeyType::EC_EDWARDS,
            Self::Ecdsa(_) => KeyType::EC,
        }
    }
}

/// The algorithm that `CKA_EC_PARAMS` names; none for a curve that consensus keys are not on.
pub(super) fn algorithm_of(ec_params: &[u8]) -> Option<Algorithm> {
    [Algorithm::Ed25519, Algorithm::Secp256k1]
        .into_iter()
        .find(|algorithm| Params::from(*algorithm).spellings().contains(&ec_params))
}

/// The public key in `CKA_EC_POINT`: a DER OCTET STRING, or the bare bytes that some tokens give.
pub(super) fn public_key(algorithm: Algorithm, ec_point: &[u8]) -> Option<PublicKey> {
    match algorithm {
        Algorithm::Ed25519 => {
            let point = match ec_point {
                // A BIT STRING is what PKCS#11 v3.0 first said, and what some tokens still give.
                [0x03, 0x21, 0x00, point @ ..] => point,
                bare if bare.len() == 32 => bare,
                der => octet_string(der)?,
            };
            PublicKey::new(algorithm, point).ok()
        }
        Algorithm::Secp256k1 => {
            PublicKey::new(algorithm, &ecdsa_key(Curve::Secp256k1, ec_point)?.compressed()).ok()
        }
    }
}

/// The same for a key that signs with ECDSA.
pub(super) fn ecdsa_key(curve: Curve, ec_point: &[u8]) -> Option<EcdsaKey> {
    // An uncompressed point starts with 04 as well, and is no OCTET STRING of its length.
    let sec1 = octet_string(ec_point).unwrap_or(ec_point);
    EcdsaKey::from_sec1(curve, sec1)
}

/// `CKA_EC_POINT` of a public key: the DER OCTET STRING of its 32 bytes, or of its 65 uncompressed ones.
pub(super) fn ec_point(public_key: &PublicKey) -> Vec<u8> {
    let point = match public_key.algorithm() {
        Algorithm::Ed25519 => public_key.as_bytes().to_vec(),
        Algorithm::Secp256k1 => EcdsaKey::from_sec1(Curve::Secp256k1, public_key.as_bytes())
            .map(|key| key.uncompressed())
            .unwrap_or_default(),
    };
    let length = u8::try_from(point.len()).unwrap_or_default();
    [&[0x04, length][..], &point].concat()
}

/// The contents of a DER OCTET STRING shorter than 128 bytes that fills `der`.
fn octet_string(der: &[u8]) -> Option<&[u8]> {
    match der {
        [0x04, length, contents @ ..] if *length < 0x80 && contents.len() == usize::from(*length) => {
            Some(contents)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn points_are_read_in_every_spelling_and_nothing_else_is() {
        let point = [7; 32];
        let wrapped = [&[0x04, 0x20][..], &point].concat();
        let bits = [&[0x03, 0x21, 0x00][..], &point].concat();
        for spelling in [&point[..], &wrapped, &bits] {
            assert_eq!(
                public_key(Algorithm::Ed25519, spelling).unwrap().as_bytes(),
                point
            );
        }
        for wrong in [
            &[][..],
            &point[..31],
            &wrapped[..33],
            &[&wrapped[..], &[0]].concat(),
        ] {
            assert!(public_key(Algorithm::Ed25519, wrong).is_none());
        }
    }

    #[test]
    fn names_of_curves_are_whole_der() {
        for params in [
            Params::Ed25519,
            Params::Ecdsa(Curve::Secp256k1),
            Params::Ecdsa(Curve::P256),
        ] {
            assert_eq!(params.usual_spelling(), params.spellings()[0]);
            for spelling in params.spellings() {
                let (header, contents) = spelling.split_at(2);
                assert!(matches!(header, [0x06 | 0x13, length] if usize::from(*length) == contents.len()));
            }
        }
    }

    #[test]
    fn curves_are_known_by_their_parameters() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1] {
            for spelling in Params::from(algorithm).spellings() {
                assert_eq!(algorithm_of(spelling), Some(algorithm));
            }
        }
        for spelling in Params::Ecdsa(Curve::P256).spellings() {
            assert_eq!(algorithm_of(spelling), None, "no consensus key is on P-256");
        }
    }
}
