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
    let config = softhsm::token(folder.path());
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "away", Algorithm::Ed25519);
    let sign = |height| provider.sign(&key, order(key.public_key(), height, VoteFixture::Prevote));
    assert!(sign(1).is_ok());
    let store = softhsm::store_of(&provider);
    let hidden = store.with_extension("hidden");
    std::fs::rename(&store, &hidden).unwrap();
    for height in 2..6 {
        println!("{:?}", sign(height).map(drop));
        println!("{:?}", provider.presence());
    }
    std::thread::sleep(Duration::from_secs(1));
    println!("{:?}", sign(10).map(drop));
    std::fs::rename(&hidden, &store).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    println!("{:?}", sign(11).map(drop));
    assert!(sign(12).is_ok());
}
