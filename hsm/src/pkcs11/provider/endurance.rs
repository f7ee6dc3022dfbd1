//! Long use: ten thousand signatures, a day of logouts, many keys at once; and no session more than at the start.
#![allow(clippy::unwrap_used)]
use std::sync::mpsc::channel;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::*;
use crate::{
    conformance,
    fixtures::{VoteFixture, arena, order},
    pkcs11::softhsm::{self, Shim},
};

fn config(folder: &std::path::Path, shim: &Shim) -> TokenConfig {
    TokenConfig {
        module: shim.module.clone(),
        ..softhsm::token(folder)
    }
}

/// How many sessions the token says are open (the shim counts for SoftHSM2, which does not).
fn sessions(provider: &Pkcs11Provider) -> u64 {
    let count = provider
        .client
        .look(|context, slot| Ok(context.get_token_info(slot)?.session_count()));
    count.unwrap().unwrap()
}

/// Signs, and checks with our verifier and with AWS-LC.
fn sign(provider: &Pkcs11Provider, key: &KeyHandle, height: i64) {
    let unreleased = provider
        .sign(key, order(key.public_key(), height, VoteFixture::Prevote))
        .unwrap();
    let pairs = unreleased.to_verify().unwrap();
    if key.public_key().algorithm() == Algorithm::Ed25519 {
        let elsewhere = UnparsedPublicKey::new(&ED25519, key.public_key().as_bytes());
        for (message, signature) in pairs.pairs() {
            elsewhere.verify(message, &signature.0).unwrap();
        }
    }
    assert!(Verifier::new(key.public_key()).unwrap().check(pairs).is_ok());
}

#[test]
fn ten_thousand_signatures_leave_no_session_behind() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "many", Algorithm::Ed25519);
    (1..=100).for_each(|height| sign(&provider, &key, height));
    let before = sessions(&provider);
    assert!(
        (1..=config.sessions as u64 + 1).contains(&before),
        "{before} sessions: one a thread, and one for acts"
    );
    (101..=10_100).for_each(|height| sign(&provider, &key, height));
    // A thread may have had nothing to do before.
    assert!(
        sessions(&provider) <= config.sessions as u64 + 1,
        "{} sessions",
        sessions(&provider)
    );
}

#[test]
fn a_day_of_logouts_one_a_minute_is_not_noticed_and_leaves_no_session_behind() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "day", Algorithm::Ed25519);
    for minute in 1..=24 * 60 {
        shim.tell("logout");
        sign(&provider, &key, 2 * minute);
        shim.tell("");
        sign(&provider, &key, 2 * minute + 1);
    }
    assert_eq!(provider.presence(), Presence::Up);
    assert!(
        sessions(&provider) <= config.sessions as u64 + 1,
        "{} sessions",
        sessions(&provider)
    );
}

#[test]
fn thirty_two_keys_sign_at_once_each_for_itself() {
    const KEYS: i64 = 32;
    const EACH: i64 = 40;
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = TokenConfig {
        sessions: 8,
        ..config(folder.path(), &shim)
    };
    let provider = Pkcs11Provider::open(&config, &arena(64)).unwrap();
    let keys: Vec<_> = (0..KEYS)
        .map(|n| {
            let algorithm = if n % 4 == 0 {
                Algorithm::Secp256k1
            } else {
                Algorithm::Ed25519
            };
            conformance::generate(&provider, &format!("key-{n}"), algorithm)
        })
        .collect();
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        for key in &keys {
            let (tell, provider) = (tell.clone(), &provider);
            scope.spawn(move || {
                for height in 1..=EACH {
                    sign(provider, key, height);
                    tell.send(*key.public_key()).unwrap();
                }
            });
        }
    });
    drop(tell);
    let answers: Vec<_> = told.into_iter().collect();
    for key in &keys {
        let own = answers
            .iter()
            .filter(|answer| *answer == key.public_key())
            .count();
        assert_eq!(own, usize::try_from(EACH).unwrap());
    }
    assert!(sessions(&provider) <= 9, "{} sessions", sessions(&provider));
    drop(provider);
    let again = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    assert_eq!(again.list_keys().unwrap().len(), keys.len());
    assert!(
        sessions(&again) <= 1,
        "a provider that is closed leaves no session: {}",
        sessions(&again)
    );
}
