//! How PKCS#11 writes curves and points (v3.0, 6.3), in the spellings that tokens are seen to use.
//!
//! Pure: bytes in, bytes out. What a token answers is parsed strictly; nothing here trusts it.

use sigward_policies::model::algorithm::{Algorithm, PublicKey};

/// `CKA_EC_PARAMS` for an algorithm, the preferred spelling first.
pub(super) const fn params(algorithm: Algorithm) -> &'static [&'static [u8]] {
    match algorithm {
        // OID 1.3.101.112 (RFC 8410), and PrintableString "edwards25519" as PKCS#11 v3.0 6.3.3 allows.
        Algorithm::Ed25519 => &[
            &[0x06, 0x03, 0x2b, 0x65, 0x70],
            b"\x13\x0cedwards25519",
        ],
        // OID 1.3.132.0.10 (SEC 2).
        Algorithm::Secp256k1 => &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a]],
    }
}

/// `CKA_EC_PARAMS` of P-256: OID 1.2.840.10045.3.1.7.
pub(super) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The algorithm that `CKA_EC_PARAMS` names.
pub(super) fn algorithm_of(ec_params: &[u8]) -> Option<Algorithm> {
    [Algorithm::Ed25519, Algorithm::Secp256k1]
        .into_iter()
        .find(|algorithm| params(*algorithm).contains(&ec_params))
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
            // An uncompressed point starts with 04 as well, and is no OCTET STRING of its length.
            let sec1 = octet_string(ec_point).unwrap_or(ec_point);
            let point = k256::ecdsa::VerifyingKey::from_sec1_bytes(sec1).ok()?;
            PublicKey::new(algorithm, point.to_sec1_point(true).as_bytes()).ok()
        }
    }
}

/// `CKA_EC_POINT` of a public key: the DER OCTET STRING of its 32 bytes, or of its 65 uncompressed ones.
pub(super) fn ec_point(public_key: &PublicKey) -> Vec<u8> {
    let point = match public_key.algorithm() {
        Algorithm::Ed25519 => public_key.as_bytes().to_vec(),
        Algorithm::Secp256k1 => k256::ecdsa::VerifyingKey::from_sec1_bytes(public_key.as_bytes())
            .map(|key| key.to_sec1_point(false).as_bytes().to_vec())
            .unwrap_or_default(),
    };
    let length = u8::try_from(point.len()).unwrap_or_default();
    [&[0x04, length][..], &point].concat()
}

/// The contents of a DER OCTET STRING shorter than 128 bytes that fills `der`.
fn octet_string(der: &[u8]) -> Option<&[u8]> {
    match der {
        [0x04, length, contents @ ..] if *length < 0x80 && contents.len() == usize::from(*length) => Some(contents),
        _ => None,
    }
}

/// r‖s with s in the lower half, as CometBFT and Ethereum demand: tokens give either half.
pub(super) fn low_s(signature: &[u8]) -> Option<[u8; 64]> {
    let signature = k256::ecdsa::Signature::from_slice(signature).ok()?;
    Some(signature.normalize_s().to_bytes().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn points_are_read_in_every_spelling_and_nothing_else_is() {
        let point = [7; 32];
        let wrapped = [&[0x04, 0x20][..], &point].concat();
        let bits = [&[0x03, 0x21, 0x00][..], &point].concat();
        for spelling in [&point[..], &wrapped, &bits] {
            assert_eq!(public_key(Algorithm::Ed25519, spelling).unwrap().as_bytes(), point);
        }
        for wrong in [&[][..], &point[..31], &wrapped[..33], &[&wrapped[..], &[0]].concat()] {
            assert!(public_key(Algorithm::Ed25519, wrong).is_none());
        }
    }

    #[test]
    fn curves_are_known_by_their_parameters() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1] {
            for spelling in params(algorithm) {
                assert_eq!(algorithm_of(spelling), Some(algorithm));
            }
        }
        assert_eq!(algorithm_of(P256), None, "P-256");
    }
}
