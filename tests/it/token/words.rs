//! What an operator reads: of tokens, of what one can do, and of what is wrong.

use serde_json::Value;

use super::softhsm::{ID, PIN, Token, module};
use crate::support::home::Home;
use crate::support::signer::Signer;

#[test]
fn a_probe_says_what_the_token_can_do_with_and_without_a_configuration() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    let configured = signer.json(&["hsm", "probe", "--rounds", "3", "--json"]);
    let purposes = configured["findings"].as_array().unwrap();
    assert_eq!(purposes.len(), 4, "{configured}");
    assert_eq!(purposes[0]["verdict"], "in_hardware");
    assert!(purposes[0]["p50_us"].as_f64().unwrap() > 0.0);
    let text = signer.run(&["hsm", "probe", "--rounds", "3", "--provider", ID]);
    assert!(
        text.contains("yes, the key never leaves it") && text.contains("CKM_EDDSA"),
        "{text}"
    );
    // Nothing of it is left in the token.
    assert_eq!(token.pkcs11_tool(&["--list-objects"]).trim(), "");

    let mut bare = Signer::not_yet(&home);
    bare.environment("SOFTHSM2_CONF", &home.path("softhsm2.conf"));
    let pin = signer.home().join("hsm-a.pin");
    let module = module();
    let given = [
        "hsm",
        "probe",
        "--module",
        module.to_str().unwrap(),
        "--token-label",
        "validators",
        "--pin-file",
        pin.to_str().unwrap(),
        "--rounds",
        "3",
        "--json",
    ];
    let found: Value = bare.json(&given);
    assert_eq!(found["token"]["serial"], configured["token"]["serial"]);
}

#[test]
fn what_is_wrong_is_said_with_the_c_function_and_what_to_do() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    token.take_away();
    let away = signer.attempt(&["keys", "create", "k", "--provider", ID]);
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert_eq!(away.status.code(), Some(1), "{said}");
    assert!(
        said.contains("C_GetSlotList") && said.contains("sigward hsm probe"),
        "{said}"
    );
    let listed = signer.json(&["hsm", "list", "--json"]);
    assert_eq!(
        (&listed[0]["up"], &listed[0]["code"]),
        (&Value::Bool(false), &"provider_unavailable".into())
    );
    token.bring_back();

    let unknown = signer.attempt(&["keys", "create", "k", "--provider", "hsm-b"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(3), "{said}");
    assert!(said.contains("provider_not_found") && said.contains(ID), "{said}");

    signer.configure(|config| {
        let provider = config["provider"][0].as_table_mut().unwrap();
        let pkcs11 = provider["pkcs11"].as_table_mut().unwrap();
        pkcs11.insert("module".to_owned(), "/nowhere/module.so".into());
    });
    let lost = signer.attempt(&["hsm", "probe"]);
    let said = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert_eq!(lost.status.code(), Some(4), "{said}");
    assert!(
        said.contains("/nowhere/module.so") && !said.contains(PIN),
        "{said}"
    );
}
