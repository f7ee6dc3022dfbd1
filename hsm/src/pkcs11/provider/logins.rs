//! How many tries of a PIN everything together spends: threads, providers, restarts, and answers that say nothing.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::fixtures::{VoteFixture, arena, order};
use crate::pkcs11::softhsm::{self, PIN, Shim};
use crate::pkcs11::{LoggedIn, PinSource};
use cryptoki::types::AuthPin;
use sigward_policies::model::algorithm::Algorithm;

fn config(folder: &std::path::Path, shim: &Shim) -> TokenConfig {
    TokenConfig {
        module: shim.module.clone(),
        ..softhsm::token(folder)
    }
}

fn pin_file(folder: &std::path::Path, name: &str, pin: &str) -> PinSource {
    let path = folder.join(name);
    crate::private_file::write(&path, pin.as_bytes(), crate::Existing::Replace).unwrap();
    PinSource::File(path)
}

fn key_of(provider: &Pkcs11Provider) -> KeyHandle {
    let spec = KeySpec {
        name: KeyName::new("val").unwrap(),
        algorithm: Algorithm::Ed25519,
        created_at: UnixSeconds(1),
    };
    let made = provider
        .generate_key_pair(&crate::conformance::operator(), &spec)
        .unwrap();
    provider.load_key(&made.public_key).unwrap()
}

fn sign(provider: &Pkcs11Provider, key: &KeyHandle, height: i64) -> Result<(), ProviderError> {
    let order = order(key.public_key(), height, VoteFixture::Prevote);
    provider.sign(key, order).map(drop)
}

#[test]
fn several_providers_with_the_same_wrong_pin_spend_one_try_together() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let mut shared = config(folder.path(), &shim);
    shared.pin = pin_file(folder.path(), "wrong", "not the pin");
    let arena = arena(64);
    let codes: Vec<_> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..6)
            .map(|n| {
                let config = TokenConfig {
                    folder: folder.path().join(format!("provider-{n}")),
                    ..shared.clone()
                };
                let arena = &arena;
                scope.spawn(move || Pkcs11Provider::open(&config, arena).err().unwrap().code())
            })
            .collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(codes, ["wrong_pin"; 6]);
    assert_eq!(shim.logins(), 1);
}

#[test]
fn a_pin_to_which_the_token_says_nothing_clear_is_tried_twice_and_then_given_up() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    shim.tell("unclear");
    for _restart in 0..5 {
        drop(Pkcs11Provider::open(&config, &arena(8)).err().unwrap());
    }
    assert_eq!(shim.logins(), 2);
    let given_up = Pkcs11Provider::open(&config, &arena(8)).err().unwrap();
    assert_eq!(given_up.code(), "pin_unusable");
    assert!(given_up.to_string().contains("C_Login"), "{given_up}");
    // The token has come to itself, and an operator says so.
    shim.tell("");
    assert_eq!(
        Pkcs11Provider::open(&config, &arena(8)).err().unwrap().code(),
        "pin_unusable"
    );
    assert_eq!(shim.logins(), 2);
    assert_eq!(log_in_once(&config, &arena(8)).unwrap().1, LoggedIn::Now);
    assert!(Pkcs11Provider::open(&config, &arena(8)).is_ok());
}

#[test]
fn a_try_that_cannot_be_written_down_is_not_made() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    // A folder where the record would be: nothing can be written there, not even by root.
    let serial = Pkcs11Provider::open(&config, &arena(8))
        .unwrap()
        .token()
        .serial
        .clone();
    let before = shim.logins();
    std::fs::create_dir(
        config
            .refused_pins
            .join(format!("refused-pin-{}", hex::encode(serial))),
    )
    .unwrap();
    let error = Pkcs11Provider::open(&config, &arena(8)).err().unwrap();
    assert_eq!(shim.logins(), before, "{error}");
}

#[test]
fn a_pin_that_was_changed_in_the_token_and_in_its_place_is_the_one_that_is_tried() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = key_of(&provider);
    sign(&provider, &key, 1).unwrap();
    let (live, _) = provider.client.connect(Access::Write, Tries::Spare).unwrap();
    let (old, new) = (AuthPin::new(PIN.into()), AuthPin::new("a-new-pin".into()));
    provider
        .client
        .within(&live, |session| Ok(session.set_pin(&old, &new)?))
        .unwrap();
    provider.client.close(live);
    drop(pin_file(folder.path(), "pin", "a-new-pin"));
    let before = shim.logins();
    shim.tell("logout");
    sign(&provider, &key, 2).unwrap();
    shim.tell("");
    sign(&provider, &key, 3).unwrap();
    assert!(shim.logins() > before, "it was logged out");
    // The same by a new place.
    provider.pin_is_at(pin_file(folder.path(), "elsewhere", "a-new-pin"));
    drop(pin_file(folder.path(), "pin", "not the pin"));
    shim.tell("logout");
    sign(&provider, &key, 4).unwrap();
    shim.tell("");
    sign(&provider, &key, 5).unwrap();
}

#[test]
fn a_token_that_drops_its_logins_and_has_another_pin_by_now_costs_one_try_and_is_shut_out_for_all() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = TokenConfig {
        sessions: 8,
        ..config(folder.path(), &shim)
    };
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = key_of(&provider);
    std::thread::scope(|scope| {
        for height in 1..=16 {
            let (provider, key) = (&provider, &key);
            scope.spawn(move || sign(provider, key, height).unwrap());
        }
    });
    drop(pin_file(folder.path(), "pin", "not the pin"));
    let before = shim.logins();
    shim.tell("logout");
    let refused = std::thread::scope(|scope| {
        let asking: Vec<_> = (17..=32)
            .map(|height| {
                let (provider, key) = (&provider, &key);
                scope.spawn(move || sign(provider, key, height))
            })
            .collect();
        asking
            .into_iter()
            .filter_map(|thread| thread.join().unwrap().err())
            .count()
    });
    assert!(refused > 0);
    assert_eq!(shim.logins(), before + 1);
    assert!(
        matches!(provider.presence(), Presence::ShutOut(_)),
        "{:?}",
        provider.presence()
    );
}

#[test]
fn a_login_that_is_there_already_says_nothing_of_another_pin() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &shim);
    let arena = arena(8);
    let provider = Pkcs11Provider::open(&config, &arena).unwrap();
    // Its session stays open, and with it the login.
    sign(&provider, &key_of(&provider), 1).unwrap();
    let before = shim.logins();
    assert_eq!(
        log_in_once(&config, &arena).unwrap().1,
        LoggedIn::BeforeWithThisPin
    );
    config.pin = pin_file(folder.path(), "wrong", "not the pin");
    assert_eq!(log_in_once(&config, &arena).unwrap().1, LoggedIn::Before);
    assert_eq!(shim.logins(), before);
}

#[test]
fn the_first_token_of_a_folder_without_keys_binds_nothing() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let first = config(folder.path(), &shim);
    drop(Pkcs11Provider::open(&first, &arena(8)).unwrap());
    let second = TokenConfig {
        token: softhsm::token(folder.path()).token,
        ..first.clone()
    };
    let provider = Pkcs11Provider::open(&second, &arena(8)).unwrap();
    let _key = key_of(&provider);
    drop(provider);
    let refused = Pkcs11Provider::open(&first, &arena(8)).err().unwrap();
    assert!(refused.to_string().contains("another token"), "{refused}");
}
