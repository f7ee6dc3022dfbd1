//! cosmos/kms and horcrux, from files written after their formats; and one key for many chains.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use super::{imported, nothing_is_there, refused, write_private};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

/// As cosmos/kms's `init` writes it, with comments, and a field that nobody knows.
const KMS: &str = "\
# kms configuration
chains:
  - id: chain-a
  - id: chain-b   # another
    state_file: elsewhere/b.json
    colour: blue

validators:
  - chain_id: chain-a
    addr: tcp://127.0.0.1:26659
    identity_key: identity.json
  - chain_id: chain-b
    addr: 'tcp://10.0.0.7:26659'
    identity_key: identity.json
    reconnect: true

keys:
  - chain_ids: [chain-a]
    backend: file
    key_file: a.json
  - chain_ids:
    - \"chain-b\"
    key_file: b.key
grpc:
  listen: 127.0.0.1:9090
";

fn seed_and_public(seed: u8) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    BASE64_STANDARD.encode(key.to_keypair_bytes())
}

fn key_file(seed: u8, path: &std::path::Path) {
    write_private(path, "");
    KeyFile::of_seed([seed; 32]).write(path);
}

#[test]
fn cosmos_kms_moves_with_its_keys_states_and_nodes() {
    let home = Home::new();
    let kms = home.path("kms");
    write_private(&kms.join("config.yaml"), KMS);
    key_file(1, &kms.join("a.json"));
    write_private(&kms.join("b.key"), &seed_and_public(2));
    write_private(
        &kms.join("state/chain-a.json"),
        r#"{"height":"7","round":0,"step":3}"#,
    );
    write_private(
        &kms.join("elsewhere/b.json"),
        r#"{"height":"900","round":2,"step":1}"#,
    );
    let signer = Signer::not_yet(&home);
    let folder = kms.to_str().unwrap();
    let said = imported(&signer, &["--from", "cosmos-kms", folder, "--ignore-running"]);
    for part in [
        "chains[1].colour",
        "grpc: the SignerService",
        "tcp://10.0.0.7:26659 leaves this machine",
        "signed up to height 900, closed",
        "Nothing was written",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(nothing_is_there(&signer));

    let said = imported(
        &signer,
        &[
            "--from",
            "cosmos-kms",
            folder,
            "--ignore-running",
            "--apply",
            "--json",
        ],
    );
    let value: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["applied"], true);
    assert_eq!(value["chains"][1]["watermark"], "height 900, closed");
    signer.run(&["config", "check"]);
    let config = std::fs::read_to_string(signer.home().join("sigward.toml")).unwrap();
    assert!(
        config.contains("unauthenticated = \"private-network\""),
        "{config}"
    );
    assert!(config.starts_with("# The configuration of sigward") || config.contains("# Relative paths"));
    let keys = signer.json(&["keys", "list", "--json"]);
    let listed: Vec<_> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            (
                key["name"].as_str().unwrap(),
                key["address"].as_str().unwrap(),
                &key["chains"][0],
            )
        })
        .collect();
    let (a, b) = (
        KeyFile::of_seed([1; 32]).address(),
        KeyFile::of_seed([2; 32]).address(),
    );
    assert_eq!(
        listed,
        [
            ("chain-a", &*a, &Value::from("chain-a")),
            ("chain-b", &*b, &Value::from("chain-b"))
        ]
    );
    assert!(!super::staging(&signer).exists());
    signer.run(&["audit", "verify"]);
    refused(
        &signer,
        3,
        "already_bound",
        &["--from", "cosmos-kms", folder, "--ignore-running", "--apply"],
    );
}

fn horcrux(home: &Home, mode: &str) -> String {
    let folder = home.path("horcrux");
    write_private(
        &folder.join("config.yaml"),
        &format!(
            "signMode: {mode}\nchainNodes:\n- privValAddr: tcp://127.0.0.1:1234\ndebugAddr: \"\"\ngrpcAddr: \"\"\nmaxReadSize: 1048576\n"
        ),
    );
    folder.to_str().unwrap().to_owned()
}

#[test]
fn horcrux_with_one_signer_moves_and_shares_do_not() {
    let home = Home::new();
    let folder = horcrux(&home, "single");
    let path = home.path("horcrux");
    key_file(3, &path.join("chain-h_priv_validator_key.json"));
    write_private(&path.join("chain-h_shard.json"), "{}");
    let signer = Signer::not_yet(&home);
    let base = ["--from", "horcrux", &folder, "--ignore-running", "--apply"];
    let said = refused(&signer, 3, "beginning_required", &base);
    assert!(said.contains("--above chain-h=HEIGHT"), "{said}");
    let said = imported(&signer, &[&base[..], &["--above", "chain-h=55"]].concat());
    assert!(said.contains("is a share of a key and is not moved"), "{said}");
    let state = signer.json(&["state", "show", "--json"]);
    assert!(state.to_string().contains("55"), "{state}");

    let other = Signer::named(&home, "other");
    horcrux(&home, "threshold");
    let said = refused(&other, 3, "not_movable", &base);
    assert!(said.contains("each cosigner has a share"), "{said}");
    assert!(nothing_is_there(&other));
}

/// tmkms's `chain_ids`: one key, several chains.
#[test]
fn one_key_for_several_chains_is_said_loudly_and_shared() {
    let home = Home::new();
    let folder = home.path("tmkms");
    let config = "[[chain]]\nid = \"provider-1\"\nkey_format = { type = \"hex\" }\nstate_file = \"p.json\"\n\
                  [[chain]]\nid = \"consumer-1\"\nkey_format = { type = \"hex\" }\n\
                  [[validator]]\naddr = \"tcp://0123456789abcdef0123456789abcdef01234567@127.0.0.1:26659\"\nchain_id = \"provider-1\"\nmax_height = \"500000\"\n\
                  [[providers.softsign]]\nchain_ids = [\"provider-1\", \"consumer-1\"]\npath = \"k\"\n";
    write_private(&folder.join("tmkms.toml"), config);
    write_private(&folder.join("k"), &BASE64_STANDARD.encode([5; 32]));
    write_private(
        &folder.join("p.json"),
        r#"{"height":"10","round":"1","step":0,"block_id":null}"#,
    );
    write_private(
        &folder.join("consumer-1_priv_validator_state.json"),
        r#"{"height":"0","round":"0","step":0,"block_id":null}"#,
    );
    let config = folder.join("tmkms.toml");
    let signer = Signer::init(&home);
    let base = [
        "--from",
        "tmkms",
        config.to_str().unwrap(),
        "--ignore-running",
        "--apply",
    ];
    let said = refused(&signer, 3, "beginning_required", &base);
    assert!(said.contains("--never-signed consumer-1"), "{said}");
    let said = imported(
        &signer,
        &[&base[..], &["--never-signed", "consumer-1", "--name", "both"]].concat(),
    );
    for part in [
        "ONE KEY FOR 2 CHAINS",
        "shared = true",
        "max_height = 500000",
        "the peer id before @ is dropped",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    signer.run(&["config", "check"]);
    let text = std::fs::read_to_string(signer.home().join("sigward.toml")).unwrap();
    assert_eq!(text.matches("\nshared = true").count(), 2, "{text}");

    // The key is here now: from wherever it comes again, it says where.
    let pv = home.path("pv.json");
    key_file(5, &pv);
    let state = home.path("pv-state.json");
    write_private(&state, r#"{"height":"10","round":0,"step":3}"#);
    let said = refused(
        &signer,
        3,
        "public_key_exists",
        &[
            "--from",
            "cometbft",
            pv.to_str().unwrap(),
            state.to_str().unwrap(),
            "--chain",
            "other-1",
            "--name",
            "x",
            "--apply",
        ],
    );
    assert!(
        said.contains("as both") && said.contains("consumer-1, provider-1"),
        "{said}"
    );
}
