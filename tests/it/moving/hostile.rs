//! Files that are wrong, or worse: each has a stable error, and leaves nothing behind.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{nothing_is_there, refused, write_private};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

const CHAIN: &str = "[[chain]]\nid = \"c-1\"\nkey_format = { type = \"hex\" }\nstate_file = \"s.json\"\n";
const SOFTSIGN: &str = "[[providers.softsign]]\nchain_ids = [\"c-1\"]\npath = \"k\"\n";
const STATE: &str = r#"{"height":"10","round":"1","step":2,"block_id":null}"#;

fn seed() -> String {
    BASE64_STANDARD.encode([5; 32])
}

#[test]
fn every_wrong_file_of_tmkms_has_its_error() {
    let good = format!("{CHAIN}{SOFTSIGN}");
    let twice = format!("{CHAIN}{CHAIN}{SOFTSIGN}{}", SOFTSIGN.replace("\"k\"", "\"k2\""));
    let yubihsm = format!(
        "{CHAIN}[[providers.yubihsm]]\nadapter = {{ type = \"usb\" }}\nauth = {{ key = 1, password = \"p\" }}\n"
    );
    let long_key = "A".repeat(5000);
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        ("not TOML", "[[chain", STATE, &seed(), "invalid_foreign_file"),
        ("nothing in it", "", STATE, &seed(), "not_movable"),
        (
            "a chain id that none has",
            &good.replace("c-1", "a b"),
            STATE,
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a key for a chain that is not there",
            SOFTSIGN,
            STATE,
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "two keys for a chain",
            &twice,
            STATE,
            &seed(),
            "invalid_foreign_file",
        ),
        ("a key in a token", &yubihsm, STATE, &seed(), "not_movable"),
        (
            "a chain that is a number",
            &good.replace("\"c-1\"", "[7]"),
            STATE,
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a state that is empty",
            &good,
            "",
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a state of step 3",
            &good,
            &STATE.replace(":2,", ":3,"),
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a negative height",
            &good,
            &STATE.replace("10", "-10"),
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a height beyond all",
            &good,
            &STATE.replace("10", "9223372036854775807"),
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a state with more fields",
            &good,
            &STATE.replace("{", "{\"x\":1,"),
            &seed(),
            "invalid_foreign_file",
        ),
        (
            "a state that says never",
            &good,
            &STATE.replace("10", "0"),
            &seed(),
            "beginning_required",
        ),
        ("a key that is none", &good, STATE, "hello", "invalid_key_file"),
        (
            "an expanded key",
            &good,
            STATE,
            &BASE64_STANDARD.encode([5; 64]),
            "invalid_key_file",
        ),
        ("a key without end", &good, STATE, &long_key, "invalid_key_file"),
    ];
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    let folder = home.path("tmkms");
    let path = folder.to_str().unwrap();
    let base = ["--from", "tmkms", path, "--ignore-running", "--apply"];
    for (what, config, state, key, code) in cases {
        write_private(&folder.join("tmkms.toml"), config);
        write_private(&folder.join("s.json"), state);
        write_private(&folder.join("k"), key);
        write_private(&folder.join("k2"), &BASE64_STANDARD.encode([6; 32]));
        let said = refused(&signer, 3, code, &base);
        assert!(!said.contains(&seed()), "{what}: no secret is printed: {said}");
        assert!(nothing_is_there(&signer), "{what}");
    }

    // Files that are none, or that others can read.
    write_private(&folder.join("tmkms.toml"), &good);
    write_private(&folder.join("s.json"), STATE);
    write_private(&folder.join("k"), &seed());
    use std::os::unix::fs::PermissionsExt as _;
    let mode =
        |mode| std::fs::set_permissions(folder.join("k"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    refused(&signer, 3, "invalid_key_file", &base);
    mode(0o600);
    std::fs::remove_file(folder.join("s.json")).unwrap();
    std::fs::create_dir(folder.join("s.json")).unwrap();
    refused(&signer, 3, "invalid_foreign_file", &base);
    std::fs::remove_dir(folder.join("s.json")).unwrap();
    refused(&signer, 3, "beginning_required", &base);
    let above = |text| [&base[..], &["--above", text]].concat();
    refused(&signer, 3, "invalid_height", &above("c-1=0"));
    let unknown = [&above("c-1=5")[..], &["--above", "c-2=5"]].concat();
    refused(&signer, 3, "invalid_parameters", &unknown);
    refused(&signer, 3, "invalid_parameters", &above("5"));
    let odd = [&base[..], &["--node", "tcp://127.0.0.1:1", "--rpc", "ftp://x"]].concat();
    write_private(&folder.join("s.json"), STATE);
    refused(&signer, 1, "rpc_invalid_url", &odd);
    assert!(nothing_is_there(&signer));
}

#[test]
fn every_wrong_file_of_a_node_has_its_error() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    let (key, state) = (home.path("k.json"), home.path("s.json"));
    write_private(&key, "");
    KeyFile::of_seed([7; 32]).write(&key);
    let paths = [key.to_str().unwrap(), state.to_str().unwrap()];
    let base = [
        "--from", "cometbft", paths[0], paths[1], "--chain", "c-1", "--apply",
    ];
    for (json, code) in [
        ("", "invalid_state_file"),
        ("{}", "invalid_state_file"),
        (
            r#"{"height":"5","round":0,"step":3,"signature":"AA=="}"#,
            "invalid_state_file",
        ),
        (r#"{"height":"5","round":-1,"step":3}"#, "invalid_state_file"),
        (r#"{"height":"0","round":0,"step":0}"#, "beginning_required"),
    ] {
        write_private(&state, json);
        refused(&signer, 3, code, &base);
    }
    refused(
        &signer,
        3,
        "invalid_foreign_file",
        &["--from", "cometbft", paths[0], paths[1], "--apply"],
    );
    refused(
        &signer,
        3,
        "invalid_foreign_file",
        &["--from", "cometbft", paths[0], "--apply"],
    );
    assert!(nothing_is_there(&signer));

    // A folder that is no home, and not empty either, is not made one.
    std::fs::create_dir(signer.home()).unwrap();
    std::fs::write(signer.home().join("mine"), "x").unwrap();
    write_private(&state, r#"{"height":"5","round":0,"step":3}"#);
    refused(&signer, 1, "has files and no sigward.toml", &base);
    std::fs::remove_file(signer.home().join("mine")).unwrap();
    // An empty one is.
    super::imported(&signer, &base);
    signer.run(&["config", "check"]);
}
