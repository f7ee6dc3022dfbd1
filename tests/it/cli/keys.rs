//! Making, bringing in and showing keys.

use serde_json::{Value, json};

use super::{fails, keys_of, refused};
use crate::moving::write_private;
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

/// RFC 8032, section 7.1, test 1.
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
/// SHA-256 of it, cut to 20 bytes, and that in the reference encoder of BIP 173.
const ADDRESS: &str = "21FE31DFA154A261626BF854046FD2271B7BED4B";
const COSMOS: &str = "cosmosvalcons1y8lrrhap2j3xzcntlp2qgm7jyudhhm2tfeslut";
const NEUTRON: &str = "neutronvalcons1y8lrrhap2j3xzcntlp2qgm7jyudhhm2tj053vm";

#[test]
fn a_known_key_is_shown_in_every_form_that_a_chain_may_want() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let file = KeyFile::of_seed(SEED).write(&home.path("priv_validator_key.json"));
    let import = [
        "keys", "import", "val", "--file", &file, "--chain", "c-1", "--above", "7", "--json",
    ];
    let key = signer.json(&import);
    assert_eq!(
        keys_of(&key),
        [
            "address",
            "algorithm",
            "backed_up_at",
            "backup_bundle_id",
            "chains",
            "cka_id",
            "consensus_pubkey",
            "exported",
            "fault",
            "name",
            "origin",
            "protection",
            "provider",
            "public_key_base64",
            "public_key_hex",
            "state",
            "stopped_chains",
            "token_serial",
            "valcons",
        ]
    );
    assert_eq!(key["public_key_hex"], PUBLIC);
    assert_eq!(key["address"], ADDRESS);
    assert_eq!(key["valcons"], COSMOS);
    assert_eq!(
        key["consensus_pubkey"],
        json!({ "@type": "/cosmos.crypto.ed25519.PubKey", "key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" })
    );
    assert_eq!(key["origin"], "imported");
    assert_eq!(key["state"], "active");
    assert_eq!(key["exported"], false);
    assert_eq!(key["chains"], json!(["c-1"]));
    assert_eq!(signer.json(&["keys", "show", "val", "--json"]), key);
    assert_eq!(signer.json(&["keys", "list", "--json"]), Value::Array(vec![key]));
    let neutron = signer.json(&["keys", "show", "val", "--bech32", "neutron", "--json"]);
    assert_eq!(neutron["valcons"], NEUTRON);
    let text = signer.run(&["keys", "show", "val"]);
    for shown in [COSMOS, ADDRESS, PUBLIC, "/cosmos.crypto.ed25519.PubKey", "c-1"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert!(signer.run(&["keys", "list"]).contains(COSMOS));
}

#[test]
fn keys_are_made_of_both_algorithms_and_never_over_another() {
    let home = Home::new();
    let signer = Signer::init(&home);
    assert!(
        signer.run(&["keys", "list"]).contains("sigward keys create"),
        "an empty list says what to do"
    );
    let said = signer.run(&["keys", "create", "one"]);
    assert!(said.contains("No backup of this key exists"), "{said}");
    let two = signer.json(&["keys", "create", "two", "--algorithm", "secp256k1", "--json"]);
    assert_eq!(
        two["consensus_pubkey"]["@type"],
        "/cosmos.crypto.secp256k1.PubKey"
    );
    assert_eq!(two["public_key_hex"].as_str().unwrap().len(), 66);
    assert_eq!(two["origin"], "generated");

    refused(&signer, "key_exists", &["keys", "create", "one"]);
    refused(
        &signer,
        "unsupported_algorithm",
        &["keys", "create", "three", "--algorithm", "bls12_381"],
    );
    refused(
        &signer,
        "unsupported_algorithm",
        &["keys", "create", "three", "--algorithm", "rot13"],
    );
    for name in ["", "a/b", "..", ".hidden", "a b", "ä"] {
        refused(&signer, "invalid_name", &["keys", "create", name]);
    }
    refused(&signer, "key_not_found", &["keys", "show", "three"]);
    refused(&signer, "invalid_name", &["keys", "show", "../seal"]);
    let names: Vec<String> = signer
        .json(&["keys", "list", "--json"])
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["one", "two"]);
    signer.run(&["audit", "verify"]);
}

#[test]
fn an_import_is_refused_whole_and_a_public_key_exists_once() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let file = KeyFile::of_seed(SEED).write(&home.path("key.json"));
    let import = |name: &'static str, file: &str| -> Vec<String> {
        [
            "keys", "import", name, "--file", file, "--chain", "c-1", "--above", "7",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let refused = |code: &str, arguments: &[String]| {
        refused(
            &signer,
            code,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    };
    for (name, spoil) in [
        (
            "empty",
            Box::new(|_: &mut Value| Value::Null) as Box<dyn Fn(&mut Value) -> Value>,
        ),
        ("half", Box::new(|key| json!({ "priv_key": key["priv_key"] }))),
        (
            "other address",
            Box::new(|key| {
                key["address"] = json!("00".repeat(20));
                key.take()
            }),
        ),
        (
            "other public key",
            Box::new(|key| {
                key["pub_key"]["value"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                key.take()
            }),
        ),
        (
            "other type",
            Box::new(|key| {
                key["priv_key"]["type"] = json!("tendermint/PrivKeySr25519");
                key.take()
            }),
        ),
    ] {
        let mut key: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let path = home.path("spoilt.json");
        write_private(&path, &spoil(&mut key).to_string());
        let said = fails(
            &signer,
            3,
            &import("x", path.to_str().unwrap())
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        assert!(
            said.starts_with("sigward: invalid_key_file: ")
                || said.starts_with("sigward: unsupported_algorithm: "),
            "{name}: {said}"
        );
    }
    let huge = home.path("huge.json");
    write_private(&huge, &" ".repeat(100 * 1024));
    fails(
        &signer,
        1,
        &import("x", huge.to_str().unwrap())
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    fails(
        &signer,
        1,
        &import("x", "/nowhere/at/all")
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    for (chain, above, code) in [
        ("", "7", "invalid_chain_id"),
        ("a b", "7", "invalid_chain_id"),
        ("c-1", "0", "invalid_height"),
        ("c-1", "4611686018427387904", "invalid_height"),
    ] {
        let arguments = [
            "keys", "import", "x", "--file", &file, "--chain", chain, "--above", above,
        ];
        refused(code, &arguments.map(str::to_owned));
    }
    assert_eq!(
        signer.json(&["keys", "list", "--json"]),
        json!([]),
        "nothing of this left anything"
    );

    signer.run(
        &import("val", &file)
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    refused("key_exists", &import("val", &file));
    refused("public_key_exists", &import("val2", &file));
    signer.run(&["audit", "verify"]);
}
