//! A precommit and its extension, signed by two threads at once: answered once, together or not at all.
#![allow(clippy::unwrap_used, reason = "tests")]
use std::sync::mpsc::{Receiver, channel};

use sigward_policies::proof::Unreleased;

use super::*;
use crate::{
    conformance,
    fixtures::{VoteFixture, arena, order},
    pkcs11::softhsm::{self, Shim},
};

type Answer = Result<Unreleased<Consensus>, ProviderError>;

/// A provider with as many sessions, and a key of it.
fn provider(folder: &std::path::Path, shim: &Shim, sessions: usize) -> (Pkcs11Provider, KeyHandle) {
    let config = TokenConfig {
        module: shim.module.clone(),
        deadline: Duration::from_millis(400),
        sessions,
        ..softhsm::token(folder)
    };
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "shares", Algorithm::Ed25519);
    (provider, key)
}

fn submit(provider: &Pkcs11Provider, key: &KeyHandle, height: i64, vote: VoteFixture) -> Receiver<Answer> {
    let (tell, told) = channel();
    let done = move |outcome| tell.send(outcome).unwrap();
    provider.submit(key, order(key.public_key(), height, vote), Box::new(done));
    told
}

fn answer(told: &Receiver<Answer>) -> Answer {
    told.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// Both signatures are there, and each is of its own message.
fn assert_signed(key: &KeyHandle, answer: Answer, signatures: usize) {
    let verifier = Verifier::new(key.public_key()).unwrap();
    let unreleased = answer.unwrap();
    let to_verify = unreleased.to_verify().unwrap();
    assert_eq!(to_verify.pairs().len(), signatures);
    assert!(verifier.check(to_verify).is_ok());
}

/// Nobody hangs any more.
fn wait_for_all(provider: &Pkcs11Provider) {
    while provider.hanging() > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_idle_threads_share_a_precommit_and_one_alone_signs_all_of_it() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    for (sessions, inside) in [(1, 1), (2, 2), (4, 2)] {
        let records = folder.path().join(sessions.to_string());
        std::fs::create_dir(&records).unwrap();
        let (provider, key) = provider(&records, &shim, sessions);
        shim.tell("hang");
        let told = submit(&provider, &key, 1, VoteFixture::Precommit);
        assert_eq!(answer(&told).unwrap_err().code(), "provider_unavailable");
        assert_eq!(provider.hanging(), inside, "of {sessions} sessions");
        shim.tell("");
        wait_for_all(&provider);
        assert!(told.try_recv().is_err(), "answered once");
        for height in 2..50 {
            let told = submit(&provider, &key, height, VoteFixture::Precommit);
            assert_signed(&key, answer(&told), 2);
        }
    }
}

#[test]
fn a_vote_is_not_let_out_when_its_extension_hangs_or_fails() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let (provider, key) = provider(folder.path(), &shim, 4);
    for (height, words) in [(1, "hang-short"), (3, "refuse-short")] {
        shim.tell(words);
        let precommit = submit(&provider, &key, height, VoteFixture::Precommit);
        let prevote = submit(&provider, &key, height + 1, VoteFixture::Prevote);
        assert_signed(&key, answer(&prevote), 1);
        let error = answer(&precommit).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(
            format!("{error}: {source:?}").contains("C_Sign"),
            "{words}: {error}: {source:?}"
        );
        shim.tell("");
        wait_for_all(&provider);
        assert!(precommit.try_recv().is_err(), "answered once");
    }
    assert_signed(
        &key,
        answer(&submit(&provider, &key, 5, VoteFixture::Precommit)),
        2,
    );
}

#[test]
fn shares_of_many_votes_are_never_mixed() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let (provider, key) = provider(folder.path(), &shim, 4);
    let other = conformance::generate(&provider, "other", Algorithm::Secp256k1);
    for round in 0..30 {
        // Some find two idle threads, others none: they wait, or are signed whole.
        let votes: Vec<_> = (1..=8)
            .map(|n| {
                let key = if n % 3 == 0 { &other } else { &key };
                let (vote, signatures) = match n % 4 {
                    0 => (VoteFixture::Prevote, 1),
                    _ => (VoteFixture::Precommit, 2),
                };
                (key, submit(&provider, key, round * 8 + n, vote), signatures)
            })
            .collect();
        for (key, told, signatures) in votes {
            assert_signed(key, answer(&told), signatures);
        }
    }
}
