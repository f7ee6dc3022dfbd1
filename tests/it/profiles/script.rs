//! `scripts/softhsm-token.sh`: a token that sigward and OpenSC find, made once, its PINs told to nobody.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::{profiles, root};
use crate::support::home::Home;

fn script(arguments: &[&str]) -> Output {
    Command::new(root().join("scripts/softhsm-token.sh"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pkcs11_tool(token: &Path, module: &str, arguments: &[&str]) -> String {
    let output = Command::new("pkcs11-tool")
        .env("SOFTHSM2_CONF", token.join("softhsm2.conf"))
        .args(["--module", module])
        .args(arguments)
        .output()
        .expect("OpenSC is needed: apt-get install opensc");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_token_is_made_once_and_its_section_is_printed_each_time() {
    let home = Home::new();
    let folder = home.path("token");
    let arguments = ["--label", "fleet-a", "--id", "hsm-a", folder.to_str().unwrap()];
    let made = script(&arguments);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let section: toml::Table = text(&made.stdout).parse().unwrap();
    let provider = &section["provider"][0];
    assert_eq!(provider["id"].as_str(), Some("hsm-a"));
    assert_eq!(provider["pkcs11"]["token_label"].as_str(), Some("fleet-a"));
    let module = provider["pkcs11"]["module"].as_str().unwrap();
    for pin in ["user.pin", "so.pin"] {
        let file = folder.join(pin);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{pin}");
        let secret = std::fs::read_to_string(&file).unwrap();
        assert!(secret.len() >= 32);
        let said = text(&made.stdout) + &text(&made.stderr);
        assert!(!said.contains(&secret), "{pin} is told");
    }
    let pin = std::fs::read_to_string(folder.join("user.pin")).unwrap();
    let before = pkcs11_tool(&folder, module, &["-L"]);
    assert!(before.contains("fleet-a"), "{before}");
    // The PIN is the token's: logging in succeeds.
    pkcs11_tool(
        &folder,
        module,
        &["--token-label", "fleet-a", "--login", "--pin", &pin, "-O"],
    );

    let again = script(&arguments);
    assert!(again.status.success());
    assert_eq!(again.stdout, made.stdout);
    assert_eq!(
        pkcs11_tool(&folder, module, &["-L"]),
        before,
        "nothing was made anew"
    );

    std::fs::remove_file(folder.join("user.pin")).unwrap();
    let lost = script(&arguments);
    assert_eq!(lost.status.code(), Some(1));
    assert!(text(&lost.stderr).contains("without the PIN the keys are lost"));
    assert_eq!(pkcs11_tool(&folder, module, &["-L"]), before, "the token stays");
}

#[test]
fn a_run_that_was_cut_off_is_finished_by_the_next() {
    let home = Home::new();
    let folder = home.path("token");
    std::fs::create_dir_all(folder.join("tokens")).unwrap();
    // Killed between the files and the token.
    std::fs::write(folder.join("user.pin"), "12345678").unwrap();
    std::fs::write(folder.join(".so.pin.new"), "half").unwrap();
    let made = script(&[folder.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(
        std::fs::read_to_string(folder.join("user.pin")).unwrap(),
        "12345678"
    );
}

#[test]
fn wrong_usage_makes_nothing() {
    let home = Home::new();
    let folder = home.path("token");
    let folder = folder.to_str().unwrap();
    for wrong in [
        &[][..],
        &["--label", "two words", folder],
        &["--id", "software", folder],
        &["--pin", "1234", folder],
        &[folder, "another"],
        &["--label"],
    ] {
        assert_eq!(script(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(!Path::new(folder).exists());
    let help = script(&["--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("Usage:"));
}

#[test]
fn the_profile_of_softhsm_agrees_with_the_one_that_is_installed() {
    let home = Home::new();
    let folder = home.path("token");
    assert!(script(&[folder.to_str().unwrap()]).status.success());
    let profile = &profiles()["softhsm2.toml"];
    let module = profile.provider[0]["pkcs11"]["module"].as_str().unwrap();
    let listed = pkcs11_tool(&folder, module, &["--token-label", "validators", "-M"]);
    let offers = |mechanism: &str| {
        // What OpenSC calls this one.
        let name = match mechanism {
            "CKM_EC_KEY_PAIR_GEN" => "ECDSA-KEY-PAIR-GEN".to_owned(),
            other => other.strip_prefix("CKM_").unwrap().replace('_', "-"),
        };
        listed
            .lines()
            .any(|line| line.trim().split(',').next() == Some(&name))
    };
    let mechanisms = profile.mechanisms.as_ref().unwrap();
    for mechanism in &mechanisms.offered {
        assert!(offers(mechanism), "{mechanism} is not offered:\n{listed}");
    }
    for mechanism in &mechanisms.missing {
        assert!(!offers(mechanism), "{mechanism} is offered:\n{listed}");
    }
}
