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
fn a_token_that_is_taken_away_and_brought_back_signs_again_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = softhsm::token_alone(folder.path());
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "away", Algorithm::Ed25519);
    let sign = |height| provider.sign(&key, order(key.public_key(), height, VoteFixture::Prevote));
    assert!(sign(1).is_ok());
    let store = softhsm::store_of(&provider);
    let hidden = store.with_extension("hidden");
    for time in 1..=3 {
        std::fs::rename(&store, &hidden).unwrap();
        // SoftHSM2 signs with what it has in memory until it notices; then nothing is signed, and each answer is an error.
        let mut height = time * 1000;
        let began = std::time::Instant::now();
        while sign(height).is_ok() && began.elapsed() < Duration::from_secs(5) {
            height += 1;
        }
        for more in 1..5 {
            drop(sign(height + more));
        }
        std::fs::rename(&hidden, &store).unwrap();
        // At most the keeper's next look later, and without anything else being done.
        let back = std::time::Instant::now();
        while let Err(error) = sign(height + 10) {
            assert!(
                back.elapsed() < Duration::from_secs(10),
                "{error:?}, {:?}",
                provider.presence()
            );
            std::thread::sleep(Duration::from_millis(20));
            height += 1;
        }
        assert_eq!(provider.presence(), Presence::Up);
    }
}
