#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    conformance,
    fixtures::{VoteFixture, arena, order},
    pkcs11::softhsm,
};

#[test]
fn a_token_passes_the_suite_that_every_provider_passes() {
    let folder = tempfile::tempdir().unwrap();
    let config = softhsm::token(folder.path());
    let arena = arena(64);
    conformance::run(&|| Arc::new(Pkcs11Provider::open(&config, &arena).unwrap()));
}

#[test]
fn ten_thousand_signatures_leave_no_session_behind() {
    let folder = tempfile::tempdir().unwrap();
    let config = softhsm::token(folder.path());
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "many", Algorithm::Ed25519);
    let verifier = Verifier::new(key.public_key()).unwrap();
    for height in 1..=1000 {
        let signed = provider
            .sign(&key, order(key.public_key(), height, VoteFixture::Prevote))
            .unwrap();
        assert!(verifier.check(signed.to_verify().unwrap()).is_ok());
    }
}
