//! A node that forgot everything: it asks for signatures of long ago, gets refusals on an open connection, and signs again once it
//! has caught up with the chain.

use std::time::Duration;

use super::stage::{RECOVERY, Stage};
use crate::support::genesis::{Extensions, Version};
use crate::support::metrics::REFUSALS;
use crate::support::node::{Node, SignedBy};
use crate::support::poll;

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
    archive.start();
    let height = stage.node.wait_for_growth(10, RECOVERY);

    // Alone with its empty store, so that nothing but refusals can happen.
    stage.node.kill();
    stage.node.reset_to_zero();
    archive.wait_for_height(height, RECOVERY);
    archive.terminate();
    let refused_before = refusals(&stage);
    stage.node.start();
    let refused = poll(RECOVERY, || {
        Some(refusals(&stage)).filter(|&now| now > refused_before)
    });
    assert!(
        refused.is_some(),
        "a node at height 0 is refused and counted\n{}",
        stage.signer.log_tail()
    );
    std::thread::sleep(Duration::from_secs(2));
    stage.wait_until_connected("a");
    let dropped = stage.node.log_lines("SignerListener: Ping timeout") + stage.node.log_lines("EOF");
    assert_eq!(dropped, 0, "the connection stays open after a refusal");
    assert!(
        stage.node.log_lines("signerEndpoint returned error") > 0,
        "the node was told why"
    );
    assert_eq!(stage.node.height(), Some(0), "nothing was signed for it");

    // Its peer gives it the blocks; it signs again above the watermark.
    archive.start();
    stage.node.wait_for_height(height + 3, Duration::from_secs(60));
    archive.wait_for_height(height + 3, RECOVERY);
    assert_eq!(stage.node.block_id(height), archive.block_id(height), "one chain");

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
