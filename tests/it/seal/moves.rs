//! From one seal to another, and to another wrapping key.

use std::os::unix::fs::PermissionsExt as _;

use super::token::Token;
use crate::support::home::Home;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;

/// A home with a key file, two keys, and a token that it knows.
pub(crate) fn with_key_file(home: &Home, token: &Token) -> Signer {
    let signer = token.signer(home);
    signer.make();
    token.describe(&signer);
    signer.create_key(KEY);
    signer.create_key("second");
    let passphrase = signer.home().join("passphrase");
    std::fs::write(&passphrase, "a passphrase of the tests\n").unwrap();
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    signer
}

/// `seal move`; what it printed.
fn go(signer: &Signer, kind: &str, place: &str) -> serde_json::Value {
    let place = if kind == "pkcs11" {
        place.to_owned()
    } else {
        signer.home().join(place).to_str().unwrap().to_owned()
    };
    signer.json(&["seal", "move", "--to", kind, &place, "--json"])
}

/// Every sealed key opens.
pub(crate) fn assert_opens(signer: &Signer, place: &str) {
    let shown = signer.json(&["seal", "show", "--json"]);
    let checked = signer.attempt(&["config", "check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{place}: {shown}\n{said}");
}

#[test]
fn the_seal_moves_every_way_and_what_opened_before_opens_nothing() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let signer = with_key_file(&home, &token);
    let mut scene = Scene::with(home, signer);
    let mut height = 0;
    for (kind, place) in [
        ("pkcs11", "hsm-a"),
        ("passphrase-file", "passphrase"),
        ("pkcs11", "hsm-a"),
        ("key-file", "new.key"),
        ("passphrase-file", "passphrase"),
        ("key-file", "another.key"),
    ] {
        let before = std::fs::read_to_string(scene.signer.home().join("sigward.toml")).unwrap();
        let moved = go(&scene.signer, kind, place);
        assert_eq!(
            (&moved["keys"], &moved["changed"]),
            (&2.into(), &true.into()),
            "{moved}"
        );
        assert_opens(&scene.signer, kind);
        let again = go(&scene.signer, kind, place);
        assert_eq!(again["changed"], false, "{again}");
        let shown = scene.signer.json(&["seal", "show", "--json"]);
        assert_eq!((&shown["kind"], &shown["half_way"]), (&kind.into(), &0.into()));
        scene.start();
        scene.sign(height + 1..=height + 2);
        height += 2;
        scene.signer.terminate();

        // What opened the keys before the move is still there.
        let file = scene.signer.home().join("sigward.toml");
        let now = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before).unwrap();
        let checked = scene.signer.attempt(&["config", "check"]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(checked.status.code(), Some(4), "{kind}: {said}");
        assert!(said.contains("keys.sealed"), "{said}");
        std::fs::write(&file, now).unwrap();
    }
    let audit = scene.signer.run(&["audit", "tail", "--lines", "0"]);
    assert_eq!(audit.matches("seal.move").count(), 6, "{audit}");
    scene.signer.run(&["audit", "verify"]);
}

#[test]
fn a_move_that_cannot_be_made_changes_nothing() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let signer = with_key_file(&home, &token);
    let file = signer.home().join("sigward.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let weak = signer.home().join("weak");
    std::fs::write(&weak, "short").unwrap();
    std::fs::set_permissions(&weak, std::fs::Permissions::from_mode(0o600)).unwrap();
    let weak = weak.to_str().unwrap();
    for (to, code) in [
        (["pkcs11", "hsm-b"], "provider_not_found"),
        (["passphrase-file", weak], "at least 12 bytes"),
        (["passphrase-file", "/nowhere"], "file_not_found"),
        (["credential", "sigward-seal"], "no_credentials"),
        (["paper", "drawer"], "no kind of seal"),
    ] {
        let refused = signer.attempt(&[&["seal", "move", "--to"], &to[..]].concat());
        assert!(!refused.status.success(), "{to:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(code), "{to:?}: {said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
        assert_opens(&signer, to[0]);
    }
    let refused = signer.attempt(&["seal", "rewrap"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("seal_no_token"));
    // A key that does not open now would be lost on the way.
    let keys = signer.home().join("keys");
    let broken = std::fs::read_dir(&keys)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let broken = broken
        .filter(|path| path.extension().is_some_and(|end| end == "sealed"))
        .min()
        .unwrap();
    let good = std::fs::read(&broken).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&broken, &bad).unwrap();
    let refused = signer.attempt(&["seal", "move", "--to", "pkcs11", "hsm-a"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nothing was changed"));
    std::fs::write(&broken, &good).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert_opens(&signer, "after a broken key");
}

#[test]
fn nothing_moves_under_a_running_daemon() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let signer = with_key_file(&home, &token);
    let mut scene = Scene::with(home, signer);
    scene.start();
    let refused = scene.signer.attempt(&["seal", "move", "--to", "pkcs11", "hsm-a"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("store_locked"));
    scene.sign(1..=2);
    scene.signer.terminate();
    assert_opens(&scene.signer, "afterwards");
}

#[test]
fn another_wrapping_key_takes_over() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let signer = token.init(&home);
    signer.create_key(KEY);
    let file = signer.home().join("seal-hsm-a.wrapped");
    let former = std::fs::read(&file).unwrap();
    let rewrapped = signer.json(&["seal", "rewrap", "--json"]);
    assert_eq!(rewrapped["former_destroyed"], true, "{rewrapped}");
    assert_opens(&signer, "rewrapped");
    let shown = signer.json(&["seal", "show", "--ask-token", "--json"]);
    assert_eq!(
        shown["token"]["keys_in_token"],
        serde_json::json!([rewrapped["wrapping_key"]])
    );
    assert_ne!(std::fs::read(&file).unwrap(), former);
    std::fs::write(&file, former).unwrap();
    let checked = signer.attempt(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(4), "the former file opens nothing");
}
