//! A wrong PIN is tried once: not again by any number of starts, and again when another one is in its place or an operator says so.

use super::softhsm::{ID, PIN, Token, write_pin};
use super::staying::{Two, good, says};
use crate::support::home::Home;
use crate::support::scene::KEY;
use crate::support::signer::Signer;

#[test]
fn a_wrong_pin_is_tried_once_across_restarts_and_the_right_one_needs_none() {
    let mut two = Two::new();
    write_pin(&two.scene.signer, "not-the-pin");
    two.scene.signer.start();
    two.accept_software();
    two.software_signs(1);
    let report = two.wait_for_check(|report| says(report, "C_Login"));
    assert!(says(&report, "CKR_PIN_INCORRECT"), "{report}");
    for restart in 0..3 {
        two.scene.signer.kill();
        two.scene.signer.start();
        two.accept_software();
        two.software_signs(10 + restart);
        // Its own memory answers, before the token hears of it.
        let report = two.wait_for_check(|report| says(report, "refused this PIN before"));
        assert!(
            report["what_to_do"]
                .as_str()
                .unwrap()
                .contains("hsm login --once"),
            "{report}"
        );
    }
    // SoftHSM2 says after a wrong PIN that few tries are left: the right one is not risked either without a word.
    write_pin(&two.scene.signer, PIN);
    two.wait_for_check(|report| says(report, "few tries are left"));
    let said = two.scene.signer.json(&["hsm", "login", "--once", ID, "--json"]);
    assert_eq!(said["pin"], "accepted", "{said}");
    two.wait_for_check(good);
    assert!(
        two.scene
            .node
            .accept_unless(std::time::Duration::from_secs(60), || false)
    );
    two.scene.sign(1..=3);
    let audit = two.scene.signer.run(&["audit", "tail"]);
    assert!(audit.contains("provider.login"), "{audit}");
    two.finish();
}

#[test]
fn another_programs_typo_is_warned_of_while_it_costs_nothing_yet() {
    let mut two = Two::new();
    two.start();
    two.scene.sign(1..=3);
    two.token.is_given_a_wrong_pin();
    let report = two.wait_for_check(|report| says(report, "few tries are left"));
    assert!(says(&report, "pin_tries_low"), "{report}");
    assert_eq!(report["required"], false, "it signs as yet: {report}");
    two.scene.sign(4..=6);
    let list = two.scene.signer.run(&["hsm", "list"]);
    assert!(list.contains("up") && list.contains("pin_tries_low"), "{list}");
    // A login with the right PIN clears the count.
    two.token.pkcs11_tool(&["--list-objects"]);
    two.wait_for_check(good);
    two.finish();
}

#[test]
fn a_pin_that_is_missing_is_taken_when_it_is_there() {
    let mut two = Two::new();
    let pin = two.scene.signer.home().join("hsm-a.pin");
    std::fs::remove_file(&pin).unwrap();
    two.scene.signer.start();
    two.accept_software();
    two.wait_for_check(|report| says(report, "cannot read the PIN"));
    write_pin(&two.scene.signer, PIN);
    two.wait_for_check(good);
    assert!(
        two.scene
            .node
            .accept_unless(std::time::Duration::from_secs(60), || false)
    );
    two.scene.sign(1..=3);
    two.finish();
}

#[test]
fn a_pin_that_is_refused_reaches_the_operator_by_its_own_code() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let _token = Token::given_to(&home, &mut signer);
    write_pin(&signer, "not-the-pin");
    let login = signer.attempt(&["hsm", "login", "--once", ID]);
    let said = String::from_utf8_lossy(&login.stderr).into_owned();
    assert_eq!(login.status.code(), Some(3), "{said}");
    assert!(
        said.contains("wrong_pin: ") && !said.contains("invalid_parameters"),
        "{said}"
    );
    let made = signer.attempt(&["keys", "create", KEY, "--provider", ID]);
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert_eq!(made.status.code(), Some(3), "{said}");
    assert!(
        said.contains("wrong_pin: ") || said.contains("pin_unusable: "),
        "{said}"
    );
}
