//! Two nodes that both believe to be the validator: the classic failover that double-signs. Here both ask one signer, and whoever
//! asks second for a position gets the message that is signed already, or a refusal.

use super::stage::{KEY, RECOVERY};
use crate::support::audit::assert_no_double_sign;
use crate::support::genesis::{Chain, Extensions, Version};
use crate::support::home::Home;
use crate::support::node::{Node, SignedBy};
use crate::support::signer::Signer;
use crate::support::turn;

#[test]
fn two_v0_38_nodes_with_one_key_never_get_two_messages_for_one_position() {
    two_nodes(Version::V038);
}

#[test]
fn two_v1_0_nodes_with_one_key_never_get_two_messages_for_one_position() {
    two_nodes(Version::V1);
}

fn two_nodes(version: Version) {
    let _turn = turn::take();
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let chain = Chain {
        version,
        id: "it-two-nodes".to_owned(),
        validator: signer.create_key(KEY),
        extensions: Extensions::FromHeightOne,
    };
    let mut a = Node::new(&home, "a", &chain, SignedBy::Unix);
    let mut b = Node::new(&home, "b", &chain, SignedBy::Tcp);
    a.peer_with(&b);
    b.peer_with(&a);
    signer.add_chain(&chain.id, KEY, &[("a", &a), ("b", &b)]);
    signer.start();
    a.start();
    b.start();
    a.wait_for_height(30, RECOVERY);
    b.wait_for_height(30, RECOVERY);

    // Either goes on without the other.
    a.kill();
    b.wait_for_growth(5, RECOVERY);
    a.start();
    a.wait_for_growth(5, RECOVERY);
    b.kill();
    a.wait_for_growth(5, RECOVERY);
    b.start();
    let height = a.wait_for_growth(5, RECOVERY);
    b.wait_for_height(height, RECOVERY);
    assert_eq!(a.block_id(height), b.block_id(height), "one chain");

    signer.terminate();
    let records = assert_no_double_sign(&signer);
    for node in ["a", "b"] {
        let subject = format!("node:{}/{node}", chain.id);
        assert!(
            records
                .iter()
                .any(|record| record.released() && record.subject == subject),
            "{node} was served"
        );
    }
    assert!(
        records
            .iter()
            .any(|record| matches!(record.decision.as_str(), "replayed" | "denied")),
        "both asked for the same position: otherwise this proves nothing"
    );
}
