//! A validator moves from CometBFT's own signer to sigward and back again, and its watermark goes with it.

use serde_json::Value;

use super::stage::{KEY, RECOVERY};
use crate::support::audit::assert_no_double_sign;
use crate::support::genesis::{Chain, Extensions, Validator, Version};
use crate::support::home::Home;
use crate::support::node::{Node, SignedBy};
use crate::support::signer::Signer;
use crate::support::turn;

#[test]
fn a_v0_38_validator_moves_to_sigward_and_back() {
    there_and_back(Version::V038);
}

#[test]
fn a_v1_0_validator_moves_to_sigward_and_back() {
    there_and_back(Version::V1);
}

fn there_and_back(version: Version) {
    let _turn = turn::take();
    let home = Home::new();
    // The key is the one that `cometbft init` makes for the node: the first home exists only to make it.
    let unused = Validator {
        public_key: String::new(),
        address: String::new(),
    };
    let mut chain = Chain {
        version,
        id: "it-import".to_owned(),
        validator: unused,
        extensions: Extensions::FromHeightOne,
    };
    let mut node = Node::new(&home, "a", &chain, SignedBy::Itself);
    let key_file = node.file("config/priv_validator_key.json");
    let state_file = node.file("data/priv_validator_state.json");
    chain.validator = Validator::of_key_file(&key_file);
    chain.write_genesis(&node.file("config/genesis.json"));
    node.start();
    node.wait_for_height(5, RECOVERY);
    node.terminate();
    let signed_by_file = height_of(&state_file);

    // There.
    node.sign_remotely();
    let mut signer = Signer::init(&home);
    let (key_path, state_path) = (key_file.to_str().unwrap(), state_file.to_str().unwrap());
    let import = ["keys", "import", KEY, "--file", key_path, "--chain", &chain.id];
    let refused = signer.attempt(&import);
    assert!(
        !refused.status.success(),
        "an import without a word on the past is refused"
    );
    signer.run(&[&import[..], &["--state", state_path]].concat());
    signer.add_chain(&chain.id, KEY, &[("a", &node)]);
    signer.start();
    node.start();
    node.wait_for_growth(5, RECOVERY);
    node.terminate();
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    let lowest = records
        .iter()
        .filter(|record| record.released())
        .map(|record| height(&record.position))
        .min();
    assert!(
        lowest >= Some(signed_by_file),
        "nothing below the imported watermark {signed_by_file} was signed: {lowest:?}"
    );

    // And back. The file that is there belongs to the past.
    std::fs::remove_file(&state_file).unwrap();
    signer.run(&[
        "state", "export", "--key", KEY, "--chain", &chain.id, "--file", state_path,
    ]);
    let exported = height_of(&state_file);
    let highest = records
        .iter()
        .filter(|record| record.released())
        .map(|record| height(&record.position))
        .max();
    assert_eq!(
        Some(exported),
        highest,
        "the exported watermark is the last signed position"
    );
    node.sign_itself();
    node.start();
    node.wait_for_height(exported + 5, RECOVERY);
    assert!(
        height_of(&state_file) > exported,
        "the node's own signer goes on from there"
    );

    // The key is stopped here, for good: whether sigward refuses to start or to sign, no signature leaves.
    node.terminate();
    node.sign_remotely();
    let before = records.iter().filter(|record| record.released()).count();
    signer.start_at_once();
    node.start();
    std::thread::sleep(std::time::Duration::from_secs(3));
    node.stop();
    signer.stop();
    let after = crate::support::audit::records(&signer)
        .iter()
        .filter(|record| record.released())
        .count();
    assert_eq!(after, before, "an exported key signs no more");
}

fn height_of(state: &std::path::Path) -> u64 {
    let state: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    state["height"].as_str().unwrap().parse().unwrap()
}

fn height(position: &str) -> u64 {
    position.split('/').next().unwrap().parse().unwrap()
}
