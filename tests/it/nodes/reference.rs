//! The nodes without sigward: with CometBFT's own signers. When these fail, the fault is the harness's or the machine's.

use std::process::Command;
use std::time::Duration;

use super::stage::RECOVERY;
use crate::support::genesis::{Chain, Extensions, Validator, Version};
use crate::support::home::Home;
use crate::support::node::{Node, SignedBy, peer};
use crate::support::process::Process;
use crate::support::turn;

#[test]
fn v0_38_makes_blocks_with_the_signer_of_its_own_makers() {
    let _turn = turn::take();
    let home = Home::new();
    let (mut node, chain) = node_with_its_own_key(&home, Version::V038);
    node.sign_remotely();
    let mut command = Command::new(peer(Version::V038, "priv_val_server"));
    command
        .args(["-addr", node.laddr(), "-chain-id", &chain.id, "-priv-key"])
        .arg(node.file("config/priv_validator_key.json"))
        .arg("-priv-state")
        .arg(node.file("data/priv_validator_state.json"));
    let signer = Process::start(command, &home.path("priv_val_server.log"));
    node.start();
    node.wait_for_height(10, RECOVERY);
    assert_eq!(node.extensions_from(), 1);
    assert!(node.commit(5).is_some());

    // Without its signer it stands still.
    signer.kill();
    std::thread::sleep(Duration::from_millis(300));
    let height = node.height();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(node.height(), height);
}

#[test]
fn v1_0_makes_blocks_with_its_own_key() {
    let _turn = turn::take();
    let home = Home::new();
    let (mut node, _) = node_with_its_own_key(&home, Version::V1);
    node.start();
    node.wait_for_height(10, RECOVERY);
    assert_eq!(node.extensions_from(), 1);
    assert!(node.commit(5).is_some());
}

fn node_with_its_own_key(home: &Home, version: Version) -> (Node, Chain) {
    let unused = Validator {
        public_key: String::new(),
        address: String::new(),
    };
    let mut chain = Chain {
        version,
        id: "it-reference".to_owned(),
        validator: unused,
        extensions: Extensions::FromHeightOne,
    };
    let node = Node::new(home, "a", &chain, SignedBy::Itself);
    chain.validator = Validator::of_key_file(&node.file("config/priv_validator_key.json"));
    chain.write_genesis(&node.file("config/genesis.json"));
    (node, chain)
}
