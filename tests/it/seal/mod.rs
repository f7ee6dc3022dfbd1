//! The token as root: what a stolen disk is worth, a token that is away, and the way from one seal to another.

mod away;
pub(crate) mod moves;
pub(crate) mod token;

use std::path::Path;
use std::time::Duration;

use crate::support::home::Home;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;
use token::Token;

/// How long a chain is waited for that must not be served.
const IDLE: Duration = Duration::from_secs(4);

#[test]
fn a_disk_whose_root_is_a_token_signs_with_it_and_opens_nothing_without() {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let signer = token.init(&home);
    assert!(
        !signer.home().join("seal.key").exists(),
        "no key file ever existed"
    );
    signer.create_key(KEY);
    let shown = signer.json(&["seal", "show", "--ask-token", "--json"]);
    assert_eq!(shown["kind"], "pkcs11");
    assert_eq!(shown["keys"], 1);
    assert_eq!(shown["token"]["keys_in_token"].as_array().unwrap().len(), 1);
    assert_eq!(shown["token"]["keys_in_token"][0], shown["token"]["wrapping_key"]);
    signer.run(&["config", "check"]);
    let mut scene = Scene::with(home, signer);
    scene.start();
    scene.sign(1..=3);
    assert_eq!(scene.signer.check("seal"), "ok");
    scene.signer.terminate();

    // The thief has the disk and a token of the same label and PIN, and not the token.
    let thiefs = Token::new(&scene.home, "thief");
    let stolen = thiefs.found_by(Signer::named(&scene.home, "stolen"));
    copy(scene.signer.home(), stolen.home());
    scene.signer = stolen;
    let mut scene = scene.forget();
    assert!(
        !scene.start_and_wait(IDLE).unwrap(),
        "nothing is signed: the node is not even dialled"
    );
    scene.signer.kill();
    let checked = scene.signer.attempt(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(4));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("it is another token"), "{said}");
    // Told to forget which token it was, it still finds no key there.
    std::fs::remove_file(scene.signer.home().join("keys/hsm-a/token-serial")).unwrap();
    let refused = scene.start_and_wait(IDLE).unwrap_err();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.log.contains("other_token"), "{}", refused.log);
}

/// The thief runs it elsewhere; the port of the admin socket and of health is its own.
fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
}
