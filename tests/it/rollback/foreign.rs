//! What belongs to another home: its witness, its state, its daemon.

use super::assert_explained;
use super::files::copy;
use crate::support::fake_node::{Answer, Ask};
use crate::support::home::Home;
use crate::support::keys::restart_dialling;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;

fn signed(heights: std::ops::RangeInclusive<i64>) -> Scene {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(heights);
    scene.signer.kill();
    scene
}

#[test]
fn the_witness_of_another_home_is_refused() {
    let mut scene = signed(1..=3);
    let other = signed(1..=3);
    let witness = |scene: &Scene| scene.signer.home().join("state/witness");
    std::fs::copy(witness(&other), witness(&scene)).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &["witness_foreign"], "foreign witness");
}

/// The keys of this home know their store: with a state that never heard of their past they do not open.
#[test]
fn the_state_of_another_home_does_not_open_our_keys() {
    let mut scene = signed(1..=50);
    let other_home = Home::new();
    let other = Signer::init(&other_home);
    other.create_key(KEY);
    copy(&other.home().join("state"), &scene.signer.home().join("state"));
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(said.contains("foreign_store"), "{said}");
    assert!(said.contains("keys adopt"), "what to do: {said}");
    // Nor does the state of one key pass for the state of another one of that name.
    let refused = scene
        .signer
        .attempt(&["keys", "adopt", KEY, "--above", "10", "--json"]);
    assert_eq!(refused.status.code(), Some(3), "the name is another key's there");
}

#[test]
fn two_sigwards_on_one_state_are_one() {
    let mut scene = signed(1..=3);
    scene.start();
    let refused = scene.signer.attempt(&["serve"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("store_locked: ") && said.contains("never run two"),
        "{said}"
    );
    // Without its lock file too: the witness is locked as well.
    std::fs::remove_file(scene.signer.home().join("state/guard.lock")).unwrap();
    let refused = scene.signer.attempt(&["serve"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("store_locked: "), "{said}");
    // Nor does a command go behind the daemon's back when its socket is gone.
    std::fs::remove_file(scene.signer.home().join("admin.sock")).unwrap();
    for act in [
        &["keys", "create", "second"][..],
        &["state", "show"],
        &["state", "adopt", "--above", "100"],
    ] {
        let refused = scene.signer.attempt(act);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{act:?}: {said}");
        assert!(said.contains("store_locked: "), "{act:?}: {said}");
    }
    scene.sign(4..=5);
    assert!(matches!(
        scene.ask(Ask::prevote(5, 2)),
        Answer::Refused { code: 2, .. }
    ));
}
