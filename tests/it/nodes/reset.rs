//! A node that forgot everything: it asks for signatures of long ago, gets refusals on an open connection, and signs again once it
//! has caught up with the chain.

use std::time::Duration;

use super::stage::{RECOVERY, Stage};
use crate::support::genesis::{Extensions, Version};
use crate::support::metrics::REFUSALS;
use crate::support::node::{Node, SignedBy};
use crate::support::poll;

/// What a node of either version logs when a signer has dialed it.
const CONNECTED: &str = "SignerListener: Connected";

#[test]
fn v0_38_reset_to_height_zero_is_refused_and_stays_connected() {
    reset_node(Version::V038, SignedBy::Unix);
}

#[test]
fn v1_0_reset_to_height_zero_is_refused_and_stays_connected() {
    reset_node(Version::V1, SignedBy::Tcp);
}

fn reset_node(version: Version, signed_by: SignedBy) {
    let mut stage = Stage::new(version, signed_by, Extensions::FromHeightOne);
    // The chain lives on in a full node, which has an unused key of its own.
    let mut archive = Node::new(&stage.home, "b", &stage.chain, SignedBy::Itself);
    archive.peer_with(&stage.node);
    stage.node.peer_with(&archive);
    archive.start();
    archive.wait_for_height(10, RECOVERY);

    // Everything that was signed must be in a block that the archive has: what only the lost node knew can never be signed
    // again, and a chain of one validator would stand still for ever. So the chain comes to rest first.
    stage.node.terminate();
    stage.node.rest_without_transactions(true);
    stage.node.start();
    let highest = stage.node.wait_until_at_rest(RECOVERY);
    archive.wait_for_height(highest, RECOVERY);
    archive.terminate();
    stage.node.kill();
    stage.node.rest_without_transactions(false);

    // Alone with its empty store: nothing but refusals can happen.
    stage.node.reset_to_zero();
    let refused_before = refusals(&stage);
    let connected_before = stage.node.log_lines(CONNECTED);
    stage.node.start();
    let refused = poll(RECOVERY, || {
        Some(refusals(&stage)).filter(|&now| now > refused_before)
    });
    assert!(
        refused.is_some(),
        "a node at height 0 is refused and counted\n{}",
        stage.signer.log_tail()
    );
    // Longer than the node's ping interval (3.3 s): a dead connection would be noticed.
    std::thread::sleep(Duration::from_secs(4));
    stage.wait_until_connected("a");
    let connections = stage.node.log_lines(CONNECTED) - connected_before;
    assert_eq!(connections, 1, "the connection stays open after a refusal");
    assert!(
        stage.node.log_lines("signerEndpoint returned error") > 0,
        "the node was told why"
    );
    assert_eq!(stage.node.height(), Some(0), "nothing was signed for it");

    // Its peer gives it the blocks; it signs again above the watermark.
    archive.start();
    stage.node.wait_for_height(highest + 3, Duration::from_secs(60));
    archive.wait_for_height(highest + 3, RECOVERY);
    assert_eq!(
        stage.node.block_id(highest),
        archive.block_id(highest),
        "one chain"
    );

    let records = stage.finish();
    assert!(
        records.iter().any(|record| record.decision == "denied"
            && record.subject.contains('a')
            && !record.reason.is_empty()),
        "the refusals are in the audit chain, with their reason"
    );
}

fn refusals(stage: &Stage) -> f64 {
    stage
        .signer
        .metrics()
        .sum(REFUSALS, &[("chain", &stage.chain.id)])
        .unwrap_or(0.0)
}
