//! A real CometBFT node whose validator key is in the token: fifty blocks, through signers that are killed and a token that goes.

use std::time::Duration;

use super::softhsm::{ID, Token};
use crate::support::audit::assert_no_double_sign;
use crate::support::genesis::{Chain, Extensions, Validator, Version};
use crate::support::home::Home;
use crate::support::node::{Node, SignedBy};
use crate::support::poll;
use crate::support::signer::Signer;
use crate::support::turn;

/// A request that meets the token away waits for it, and the node notices nothing. One that waited in vain is not asked again by a lone
/// validator of CometBFT (`signVote` only logs the error): its operator restarts it.
fn go_on(node: &mut Node) {
    let before = node.height().unwrap_or_default();
    let grows = || node.height().filter(|height| *height > before + 1);
    if poll(Duration::from_secs(10), grows).is_none() {
        node.kill();
        node.start();
    }
}

const KEY: &str = "validator";
/// As long as a node may take to find its signer again and go on.
const RECOVERY: Duration = Duration::from_secs(60);

#[test]
fn fifty_blocks_with_the_key_in_a_token_that_goes_and_a_signer_that_dies() {
    let _turn = turn::take();
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    let key = signer.json(&["keys", "create", KEY, "--provider", ID, "--json"]);
    let text = |field: &str| key[field].as_str().unwrap().to_owned();
    let chain = Chain {
        version: Version::V038,
        id: "it-token-1".to_owned(),
        validator: Validator {
            public_key: text("public_key_base64"),
            address: text("address"),
        },
        extensions: Extensions::FromHeightOne,
    };
    let mut node = Node::new(&home, "a", &chain, SignedBy::Unix);
    signer.add_chain(&chain.id, KEY, &[("a", &node)]);
    signer.start();
    node.start();
    node.wait_for_height(2, RECOVERY);
    for round in 0..10 {
        if round % 2 == 0 {
            signer.kill();
            signer.start();
        } else {
            token.take_away();
            std::thread::sleep(Duration::from_millis(400));
            token.bring_back();
            go_on(&mut node);
        }
        node.wait_for_growth(3, RECOVERY);
    }
    node.wait_for_height(50, RECOVERY * 2);
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    assert!(records.iter().filter(|record| record.released()).count() > 100);
}
