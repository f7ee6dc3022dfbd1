//! The one suite that every provider must pass.
//!
//! May import: `provider`, `fixtures`, `verify`. Feature `testing`; never in a release. Each case is a sentence, gets a way to
//! open the provider, and panics where the provider breaks its word. Opening twice is a restart.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test suite: it fails by panicking"
)]

use std::sync::{Arc, mpsc};

use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    caller::Caller,
    id::{ChainId, KeyName, NodeName, UnixSeconds},
    key::Origin,
};

use crate::{
    fixtures::{VoteFixture, arena, order},
    provider::{AuthContext, HsmProvider, KeyHandle, KeySpec},
    software::KeyMaterial,
    verify::{Verifier, address},
};

/// Opens the provider under test; each call is another process's view of the same keys.
pub type Open<'a> = dyn Fn() -> Arc<dyn HsmProvider> + 'a;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// Runs every case for every algorithm that the provider says it has.
///
/// # Panics
/// Where the provider breaks its word.
pub fn run(open: &Open<'_>) {
    for algorithm in open().provider_info().algorithms {
        a_generated_key_is_listed_loaded_and_exported(open, *algorithm);
        every_message_of_an_order_is_signed_and_verifies(open, *algorithm);
        an_order_for_another_key_is_refused(open, *algorithm);
        a_key_survives_a_restart(open, *algorithm);
        an_imported_key_says_so_and_signs(open, *algorithm);
        names_and_public_keys_are_taken_once(open, *algorithm);
        a_deleted_key_is_gone_for_good(open, *algorithm);
        an_unknown_key_is_not_found(open, *algorithm);
        many_threads_sign_at_once(open, *algorithm);
        a_node_manages_no_keys(open, *algorithm);
        a_derived_key_is_another_key_or_unsupported(open, *algorithm);
    }
    initializing_again_changes_nothing(open);
}

/// A caller that may manage keys.
#[must_use]
pub fn operator() -> AuthContext {
    AuthContext::new(Caller::LocalUser { uid: 0 })
}

/// Makes a key.
///
/// # Panics
/// When the provider does not.
pub fn generate(provider: &dyn HsmProvider, name: &str, algorithm: Algorithm) -> KeyHandle {
    let made = provider
        .generate_key_pair(&operator(), &spec(name, algorithm))
        .unwrap();
    provider.load_key(&made.public_key).unwrap()
}

fn spec(name: &str, algorithm: Algorithm) -> KeySpec {
    KeySpec {
        name: named(name, algorithm),
        algorithm,
        created_at: NOW,
    }
}

fn named(name: &str, algorithm: Algorithm) -> KeyName {
    KeyName::new(&format!("{name}-{algorithm}")).unwrap()
}

fn signs(provider: &dyn HsmProvider, key: &KeyHandle, height: i64) {
    let unreleased = provider
        .sign(key, order(key.public_key(), height, VoteFixture::Prevote))
        .unwrap();
    let verifier = Verifier::new(key.public_key()).unwrap();
    assert!(verifier.check(unreleased.to_verify().unwrap()).is_ok());
}

fn a_generated_key_is_listed_loaded_and_exported(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let made = provider
        .generate_key_pair(&operator(), &spec("listed", algorithm))
        .unwrap();
    assert_eq!(made.public_key.algorithm(), algorithm);
    assert_eq!(made.address, address(&made.public_key));
    assert_eq!((made.origin, made.created_at), (Origin::Generated, NOW));
    assert_eq!(made.storage, provider.storage_type());
    let listed = provider.list_keys().unwrap();
    assert_eq!(listed.iter().filter(|key| **key == made).count(), 1);
    assert!(listed.is_sorted_by(|a, b| a.name <= b.name));
    let key = provider.load_key(&made.public_key).unwrap();
    assert_eq!(*key.public_key(), made.public_key);
    assert_eq!(provider.export_public_key(&key).unwrap(), made.public_key);
}

fn every_message_of_an_order_is_signed_and_verifies(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let key = generate(&*provider, "messages", algorithm);
    let verifier = Verifier::new(key.public_key()).unwrap();
    for (vote, messages) in [(VoteFixture::Prevote, 1), (VoteFixture::Precommit, 2)] {
        let unreleased = provider.sign(&key, order(key.public_key(), 1, vote)).unwrap();
        let signatures = unreleased.to_verify().unwrap();
        assert_eq!(signatures.pairs().len(), messages);
        assert!(verifier.check(signatures).is_ok());
    }
}

fn an_order_for_another_key_is_refused(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let own = generate(&*provider, "own", algorithm);
    let other = generate(&*provider, "other", algorithm);
    let refused = provider
        .sign(&own, order(other.public_key(), 1, VoteFixture::Prevote))
        .unwrap_err();
    assert_eq!(refused.code(), "order_for_another_key");
    signs(&*provider, &own, 1);
    // A key of the other algorithm is another key too.
    let twin = match algorithm {
        Algorithm::Ed25519 => Algorithm::Secp256k1,
        Algorithm::Secp256k1 => Algorithm::Ed25519,
    };
    let twin = KeyMaterial::generate(&arena(2), twin).unwrap();
    let refused = provider
        .sign(&own, order(twin.public_key(), 1, VoteFixture::Prevote))
        .unwrap_err();
    assert_eq!(refused.code(), "order_for_another_key");
}

fn a_key_survives_a_restart(open: &Open<'_>, algorithm: Algorithm) {
    let first = open();
    let made = first
        .generate_key_pair(&operator(), &spec("restart", algorithm))
        .unwrap();
    drop(first);
    let second = open();
    assert!(second.list_keys().unwrap().contains(&made));
    signs(&*second, &second.load_key(&made.public_key).unwrap(), 1);
}

fn an_imported_key_says_so_and_signs(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let material = KeyMaterial::generate(&arena(2), algorithm).unwrap();
    let public_key = *material.public_key();
    let stored = provider
        .store_key(&operator(), &named("imported", algorithm), NOW, material)
        .unwrap();
    assert_eq!((stored.public_key, stored.origin), (public_key, Origin::Imported));
    drop(provider);
    let provider = open();
    assert!(provider.list_keys().unwrap().contains(&stored));
    signs(&*provider, &provider.load_key(&public_key).unwrap(), 1);
}

fn names_and_public_keys_are_taken_once(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    generate(&*provider, "once", algorithm);
    let before = provider.list_keys().unwrap();
    let again = provider
        .generate_key_pair(&operator(), &spec("once", algorithm))
        .unwrap_err();
    assert_eq!(again.code(), "key_exists");
    let material = KeyMaterial::generate(&arena(2), algorithm).unwrap();
    let again = provider
        .store_key(&operator(), &named("once", algorithm), NOW, material)
        .unwrap_err();
    assert_eq!(again.code(), "key_exists");
    assert_eq!(provider.list_keys().unwrap(), before);

    let (arena, secret) = (arena(4), [7; 32]);
    let material = || {
        let secret = crate::secret::SecretBytes::init_with(&arena, |into| *into = secret).unwrap();
        KeyMaterial::from_secret(&arena, algorithm, secret).unwrap()
    };
    let first = provider
        .store_key(&operator(), &named("twice-1", algorithm), NOW, material())
        .unwrap();
    let second = provider
        .store_key(&operator(), &named("twice-2", algorithm), NOW, material())
        .unwrap_err();
    assert_eq!(second.code(), "public_key_exists");
    signs(&*provider, &provider.load_key(&first.public_key).unwrap(), 1);
}

fn a_deleted_key_is_gone_for_good(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let key = generate(&*provider, "deleted", algorithm);
    provider.delete_key(&operator(), &key).unwrap();
    gone(&*provider, &key);
    drop(provider);
    gone(&*open(), &key);
}

fn an_unknown_key_is_not_found(open: &Open<'_>, algorithm: Algorithm) {
    let stranger = KeyMaterial::generate(&arena(2), algorithm).unwrap();
    gone(&*open(), &KeyHandle::new(*stranger.public_key()));
}

fn gone(provider: &dyn HsmProvider, key: &KeyHandle) {
    let public_key: &PublicKey = key.public_key();
    assert_eq!(provider.load_key(public_key).unwrap_err().code(), "key_not_found");
    assert_eq!(
        provider.export_public_key(key).unwrap_err().code(),
        "key_not_found"
    );
    assert_eq!(
        provider.delete_key(&operator(), key).unwrap_err().code(),
        "key_not_found"
    );
    let refused = provider
        .sign(key, order(public_key, 1, VoteFixture::Prevote))
        .unwrap_err();
    assert_eq!(refused.code(), "key_not_found");
    assert!(
        provider
            .list_keys()
            .unwrap()
            .iter()
            .all(|listed| listed.public_key != *public_key)
    );
}

fn many_threads_sign_at_once(open: &Open<'_>, algorithm: Algorithm) {
    const THREADS: i64 = 8;
    const EACH: i64 = 25;
    let provider = open();
    let keys = ["shared-1", "shared-2"].map(|name| generate(&*provider, name, algorithm));
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (provider, keys, tell) = (&provider, &keys, tell.clone());
            scope.spawn(move || {
                for n in 0..EACH {
                    for key in keys {
                        let (tell, public_key) = (tell.clone(), *key.public_key());
                        let order = order(&public_key, 1 + thread * EACH + n, VoteFixture::Precommit);
                        let done = move |outcome| tell.send((public_key, outcome)).unwrap();
                        provider.submit(key, order, Box::new(done));
                    }
                }
            });
        }
    });
    drop(tell);
    let verifiers = keys
        .each_ref()
        .map(|key| Verifier::new(key.public_key()).unwrap());
    let mut answers = 0;
    for (public_key, outcome) in hear {
        let verifier = verifiers.iter().find(|v| *v.public_key() == public_key).unwrap();
        assert!(verifier.check(outcome.unwrap().to_verify().unwrap()).is_ok());
        answers += 1;
    }
    assert_eq!(answers, THREADS * EACH * 2, "each order is answered exactly once");
}

fn a_node_manages_no_keys(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let node = AuthContext::new(Caller::Node {
        chain: ChainId::new("conformance-1").unwrap(),
        node: NodeName::new("node").unwrap(),
    });
    let key = generate(&*provider, "kept", algorithm);
    let material = KeyMaterial::generate(&arena(2), algorithm).unwrap();
    let refused = [
        provider
            .generate_key_pair(&node, &spec("node-made", algorithm))
            .unwrap_err(),
        provider
            .store_key(&node, &named("node-stored", algorithm), NOW, material)
            .unwrap_err(),
        provider.delete_key(&node, &key).unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.code() == "not_permitted"));
    signs(&*provider, &key, 1);
}

fn a_derived_key_is_another_key_or_unsupported(open: &Open<'_>, algorithm: Algorithm) {
    let provider = open();
    let parent = generate(&*provider, "parent", algorithm);
    match provider.derive_key(&operator(), &parent, &spec("derived", algorithm)) {
        Ok(child) => assert_ne!(child.public_key, *parent.public_key()),
        Err(error) => assert_eq!(error.code(), "unsupported"),
    }
}

fn initializing_again_changes_nothing(open: &Open<'_>) {
    let provider = open();
    let before = provider.list_keys().unwrap();
    provider.initialize().unwrap();
    provider.initialize().unwrap();
    assert_eq!(provider.list_keys().unwrap(), before);
    assert_eq!(provider.provider_info().keys, before.len());
}
