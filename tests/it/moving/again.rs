//! A key that moved in and was moved out comes back only with what it has signed since.

use serde_json::Value;

use super::{imported, refused, tmkms_files};
use crate::support::home::Home;
use crate::support::signer::Signer;

/// Takes every chain out of `sigward.toml`, as the way out says.
fn take_chains_out(signer: &Signer) {
    signer.configure(|config| drop(config.remove("chain")));
}

#[test]
fn the_state_that_a_key_left_with_does_not_move_it_in_again() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let base = ["--from", "tmkms", files.folder(), "--ignore-running", "--apply"];
    imported(&signer, &base);
    let [state, key] = ["out-state.json", "out-key.json"].map(|name| home.path(name));
    signer.run(&[
        "state",
        "export",
        "--key",
        "validator",
        "--chain",
        "c-1",
        "--file",
        state.to_str().unwrap(),
        "--key-file",
        key.to_str().unwrap(),
    ]);
    take_chains_out(&signer);
    let kind = || -> Value { signer.json(&["state", "show", "--json"])[0]["kind"].clone() };

    let said = refused(&signer, 3, "state_conflict", &base);
    assert!(
        said.contains("--above"),
        "it says what does bring it back: {said}"
    );
    files.state(99);
    refused(&signer, 3, "state_conflict", &base);
    // Nor does the file that it left with, under CometBFT's name for it.
    refused(
        &signer,
        3,
        "state_conflict",
        &[
            "--from",
            "cometbft",
            key.to_str().unwrap(),
            state.to_str().unwrap(),
            "--chain",
            "c-1",
            "--apply",
        ],
    );
    assert_eq!(kind(), "exported", "nothing of a refused move is there");
    let config = std::fs::read_to_string(signer.home().join("sigward.toml")).unwrap();
    assert!(!config.contains("\n[[chain]]\n"), "{config}");

    // What it has signed since does, or an operator's word.
    files.state(101);
    imported(&signer, &base);
    assert_eq!(kind(), "closed");
    signer.run(&["audit", "verify"]);
}

#[test]
fn an_operators_height_moves_a_key_in_again() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let base = ["--from", "tmkms", files.folder(), "--ignore-running", "--apply"];
    imported(&signer, &base);
    let state = home.path("out-state.json");
    signer.run(&[
        "state",
        "export",
        "--key",
        "validator",
        "--chain",
        "c-1",
        "--file",
        state.to_str().unwrap(),
    ]);
    take_chains_out(&signer);
    let above = |word: &'static str| [&base[..], &["--above", word]].concat();
    refused(&signer, 3, "state_conflict", &above("c-1=50"));
    imported(&signer, &above("c-1=150"));
    let rows = signer.json(&["state", "show", "--json"]);
    assert_eq!(rows[0]["height"], 150, "{rows}");
}
