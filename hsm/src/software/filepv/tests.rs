//! Key files, good and bad.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::secret::{ArenaSize, Unlocked};

/// The key of RFC 8032 TEST 1 in CometBFT's file.
const ED25519: &str = r#"{
  "address": "21FE31DFA154A261626BF854046FD2271B7BED4B",
  "pub_key": {
    "type": "tendermint/PubKeyEd25519",
    "value": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
  },
  "priv_key": {
    "type": "tendermint/PrivKeyEd25519",
    "value": "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
  }
}"#;

fn arena() -> Arena {
    Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap()
}

fn code(json: &str) -> Option<&'static str> {
    parse(&arena(), json.as_bytes()).err().map(|e| e.code())
}

#[test]
fn the_file_of_a_node_is_read_and_comes_out_byte_for_byte() {
    let arena = arena();
    let material = parse(&arena, ED25519.as_bytes()).unwrap();
    assert_eq!(
        address(material.public_key()).to_string(),
        "21FE31DFA154A261626BF854046FD2271B7BED4B"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("priv_validator_key.json");
    dangerous_write(&arena, &path, &material).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), ED25519);
    assert_eq!(
        dangerous_write(&arena, &path, &material).unwrap_err().code(),
        "file_exists"
    );
    assert_eq!(read(&arena, &path).unwrap().public_key(), material.public_key());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(read(&arena, &path).err().unwrap().code(), "file_permissions");
}

#[test]
fn secp256k1_files_make_the_round_trip() {
    let arena = arena();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    let material = KeyMaterial::generate(&arena, Algorithm::Secp256k1).unwrap();
    dangerous_write(&arena, &path, &material).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("tendermint/PrivKeySecp256k1")
            && text.contains(&address(material.public_key()).to_string())
    );
    assert_eq!(read(&arena, &path).unwrap().public_key(), material.public_key());
}

#[test]
fn a_foreign_public_half_is_never_believed() {
    let other = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    let own = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert_eq!(code(&ED25519.replace(own, other)), Some("invalid_key_file"));
    assert_eq!(
        code(&ED25519.replace("21FE31DF", "21FE31DE")),
        Some("invalid_key_file")
    );
    assert_eq!(
        code(&ED25519.replace("21FE31DF", "21fe31df")),
        Some("invalid_key_file")
    );
    // The seed of TEST 1 with the public half of TEST 2: the file that RUSTSEC-2022-0093 is about.
    let mixed = [
        hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap(),
        hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap(),
    ];
    let own = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    assert_eq!(
        code(&ED25519.replace(own, &STANDARD.encode(mixed.concat()))),
        Some("invalid_key_file")
    );
}

#[test]
fn anything_but_the_file_is_refused() {
    let bad = [
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        format!("{ED25519}x"),
        ED25519.replace("\"address\"", "\"Address\""),
        ED25519.replace("\"address\"", "\"extra\": 1, \"address\""),
        ED25519.replace("nWGxne", "\\u006eWGxne"),
        ED25519.replace("RGg==", "RGg="),
        ED25519.replace("RGg==", "RGh=="),
        ED25519.replace("nWGxne", "nWGx\\nne"),
        ED25519.replace("nWGxne", ""),
        " ".repeat(MAX_FILE) + ED25519,
    ];
    for json in bad {
        assert_eq!(code(&json), Some("invalid_key_file"), "{json}");
    }
    for kind in ["Bls12_381", "Secp256k1", "Ed448"] {
        assert_eq!(
            code(&ED25519.replace("PrivKeyEd25519", &format!("PrivKey{kind}"))),
            Some("unsupported_algorithm")
        );
    }
    assert_eq!(
        code(&ED25519.replace("tendermint/", "cometbft/")),
        Some("unsupported_algorithm")
    );
}

#[test]
fn an_error_never_quotes_the_file() {
    let broken = ED25519.replace(
        "\"priv_key\": {",
        "\"priv_key\": \"nWGxne/9WmC6hEr0kuws\", \"x\": {",
    );
    let error = parse(&arena(), broken.as_bytes()).err().unwrap();
    assert!(!format!("{error} {error:?}").contains("nWGx"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_damaged_file_makes_another_key(at in 0..ED25519.len(), to in 0x20u8..0x7f) {
        let mut json = ED25519.as_bytes().to_vec();
        json[at] = to;
        if let Ok(material) = parse(&arena(), &json) {
            prop_assert_eq!(address(material.public_key()).to_string(), "21FE31DFA154A261626BF854046FD2271B7BED4B");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&arena(), &bytes);
    }
}
