//! A token that is not there, or does not take the PIN, when sigward starts.

use std::time::Duration;

use super::IDLE;
use super::token::{PIN, Token};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::scene::{KEY, Scene};

const BACK: Duration = Duration::from_secs(90);

fn begun(home: Home, token: &Token) -> Scene {
    let signer = token.init(&home);
    signer.create_key(KEY);
    let mut scene = Scene::with(home, signer);
    scene.start();
    scene.sign(1..=2);
    scene.signer.terminate();
    scene
}

/// The chain is served, although it was not at the start.
fn assert_comes(scene: &mut Scene, heights: std::ops::RangeInclusive<i64>) {
    let dialled = scene.node.accept_unless(BACK, || false);
    assert!(
        dialled,
        "the node is dialled when the seal is back\n{}",
        scene.log()
    );
    scene.sign(heights);
    let ready = poll(BACK, || Some(()).filter(|()| scene.signer.ready().0));
    assert!(ready.is_some(), "{:?}", scene.signer.ready());
    assert_eq!(scene.signer.check("seal"), "ok");
}

#[test]
fn a_daemon_whose_token_is_away_lives_and_begins_to_sign_when_it_is_back() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let mut scene = begun(home, &token);
    token.take_away();
    assert!(!scene.start_and_wait(IDLE).unwrap(), "it lives, and dials nobody");
    assert!(scene.signer.lives());
    let (ready, said) = scene.signer.ready();
    assert!(!ready, "{said}");
    assert_eq!(scene.signer.check("seal"), "failing");
    let refused = scene.signer.attempt(&["keys", "create", "other"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("seal_unavailable"), "{said}");

    token.bring_back();
    assert_comes(&mut scene, 3..=5);
    scene.signer.create_key("other");
    // The key is in locked memory by now: the token is needed at the next start only.
    token.take_away();
    scene.sign(6..=7);
    token.bring_back();
    scene.signer.terminate();
}

#[test]
fn without_a_token_and_a_daemon_state_and_audit_are_open_and_keys_are_not() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let scene = begun(home, &token);
    token.take_away();
    scene.signer.run(&["audit", "verify"]);
    scene.signer.run(&["state", "show"]);
    scene
        .signer
        .run(&["freeze", "--all", "--reason", "the token was stolen"]);
    let shown = scene.signer.json(&["seal", "show", "--json"]);
    assert_eq!(shown["kind"], "pkcs11");
    let moved = scene
        .signer
        .attempt(&["seal", "move", "--to", "key-file", "new.key"]);
    assert!(!moved.status.success());
    let said = String::from_utf8_lossy(&moved.stderr).into_owned();
    assert!(said.contains("do not open now"), "{said}");
}

#[test]
fn a_wrong_pin_is_tried_once_however_often_it_starts_and_the_right_one_needs_no_restart() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let mut scene = begun(home, &token);
    token.set_pin("not the pin");
    for start in 0..3 {
        assert!(!scene.start_and_wait(IDLE).unwrap());
        assert_eq!(scene.signer.check("seal"), "failing");
        let log = scene.log();
        let again = log.contains("CKR_PIN_INCORRECT");
        assert_eq!(again, start == 0, "start {start}: the token is asked once\n{log}");
        assert!(start == 0 || log.contains("refused this PIN before"), "{log}");
        if start < 2 {
            scene.signer.kill();
        }
    }
    token.set_pin(PIN);
    // The token warns that a wrong PIN was tried (CKF_USER_PIN_COUNT_LOW): only an operator's word spends another try.
    scene.signer.run(&["hsm", "login", "--once", "hsm-a"]);
    assert_comes(&mut scene, 3..=4);
    scene.signer.terminate();
}

#[test]
fn a_wrapped_key_that_is_damaged_or_gone_keeps_it_from_starting() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let mut scene = begun(home, &token);
    let file = scene.signer.home().join("seal-hsm-a.wrapped");
    let good = std::fs::read_to_string(&file).unwrap();
    for (text, code) in [(Some("{}"), "seal_damaged"), (None, "file_not_found")] {
        match text {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let refused = scene.start_and_wait(IDLE).unwrap_err();
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.log.contains(code), "{}", refused.log);
        std::fs::write(&file, &good).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    scene.start();
    scene.sign(3..=4);
}
