//! A vote that was refused is not asked for again: a chain of one validator stands until its node is restarted. What the pages on
//! holding on and on full disks tell operators to do rests on this.

use std::time::Duration;

use super::stage::{RECOVERY, Stage};
use crate::support::genesis::{Extensions, Version};
use crate::support::node::SignedBy;
use crate::support::poll;

#[test]
fn v0_38_stands_after_a_refused_vote_until_its_node_is_restarted() {
    stands(Version::V038);
}

#[test]
fn v1_0_stands_after_a_refused_vote_until_its_node_is_restarted() {
    stands(Version::V1);
}

fn stands(version: Version) {
    let mut stage = Stage::new(version, SignedBy::Unix, Extensions::FromHeightOne);
    stage.signer.run(&["freeze", "--all"]);
    // A refused proposal costs its round only: the vote is what matters.
    let vote = |line: &str| {
        line.contains("code=\"frozen\"")
            && (line.contains("sign.cometbft.prevote") || line.contains("sign.cometbft.precommit"))
    };
    let refused = poll(RECOVERY, || stage.signer.log().lines().any(vote).then_some(()));
    assert!(
        refused.is_some(),
        "a vote is refused\n{}",
        stage.signer.log_tail()
    );
    let stood = stage.node.height();
    stage
        .signer
        .run(&["unfreeze", "--all", "--reason", "it was nothing"]);
    // Many times what a round takes, and longer than a ping.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(stage.node.height(), stood, "nobody asks again");
    stage.wait_until_connected("a");
    stage.node.terminate();
    stage.node.start();
    stage.finish();
}
