//! A node that signs for itself moves to sigward with one command. (The way back: `nodes/import.rs`.)

use std::time::Duration;

use serde_json::Value;

use super::{free_port_for, imported, nothing_is_there, refused};
use crate::support::audit::assert_no_double_sign;
use crate::support::genesis::{Chain, Extensions, Validator, Version};
use crate::support::home::Home;
use crate::support::node::{Node, SignedBy};
use crate::support::signer::Signer;
use crate::support::turn;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_node_that_signs_for_itself_moves_with_one_command() {
    let _turn = turn::take();
    let home = Home::new();
    let mut chain = Chain {
        version: Version::V1,
        id: "it-filepv".to_owned(),
        validator: Validator {
            public_key: String::new(),
            address: String::new(),
        },
        extensions: Extensions::Off,
    };
    let mut node = Node::new(&home, "a", &chain, SignedBy::Itself);
    chain.validator = Validator::of_key_file(&node.file("config/priv_validator_key.json"));
    chain.write_genesis(&node.file("config/genesis.json"));
    node.start();
    node.wait_for_height(5, LIMIT);
    let folder = node.file("");
    let mut signer = Signer::not_yet(&home);
    let rpc = node.rpc_url();
    let base = ["--from", "cometbft", folder.to_str().unwrap(), "--apply"];

    let said = refused(&signer, 3, "old_signer_runs", &base);
    assert!(said.contains("cometbft start"), "{said}");
    refused(
        &signer,
        3,
        "another_signer_is_signing",
        &[
            &base[..],
            &["--ignore-running", "--rpc", &rpc, "--wait-blocks", "3"],
        ]
        .concat(),
    );
    assert!(nothing_is_there(&signer));

    node.terminate();
    node.sign_remotely();
    let state: Value =
        serde_json::from_slice(&std::fs::read(node.file("data/priv_validator_state.json")).unwrap()).unwrap();
    let last: u64 = state["height"].as_str().unwrap().parse().unwrap();
    let said = imported(&signer, &base);
    assert!(said.contains(&format!("signed up to {last}/")), "{said}");
    free_port_for(&signer);
    signer.start();
    node.start();
    node.wait_for_height(last + 10, LIMIT);
    node.terminate();
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    let lowest = records
        .iter()
        .filter(|record| record.released())
        .map(|record| record.position.split('/').next().unwrap().parse::<u64>().unwrap())
        .min();
    assert!(lowest >= Some(last), "{lowest:?} is not below {last}");
    let again = refused(&signer, 3, "already_bound", &base);
    assert!(again.contains("it-filepv"), "{again}");
}
