//! Blocks, with nothing going wrong.

use std::time::Duration;

use super::stage::Stage;
use crate::support::genesis::{Extensions, Version};
use crate::support::node::SignedBy;

#[test]
fn v0_38_makes_fifty_blocks_over_a_unix_socket() {
    fifty_blocks(Version::V038, SignedBy::Unix);
}

#[test]
fn v1_0_makes_fifty_blocks_over_secret_connection() {
    fifty_blocks(Version::V1, SignedBy::Tcp);
}

#[test]
fn v0_38_makes_blocks_with_vote_extensions_from_height_one() {
    extended_blocks(Version::V038, SignedBy::Tcp);
}

#[test]
fn v1_0_makes_blocks_with_vote_extensions_from_height_one() {
    extended_blocks(Version::V1, SignedBy::Unix);
}

fn fifty_blocks(version: Version, signed_by: SignedBy) {
    let mut stage = Stage::new(version, signed_by, Extensions::Off);
    stage.node.wait_for_height(50, Duration::from_secs(60));
    let (ready, said) = stage.signer.ready();
    assert!(ready, "a signer that signs is ready: {said}");
    let records = stage.finish();
    assert!(
        records.iter().all(|record| record.decision != "denied"),
        "nothing was refused"
    );
    assert!(
        records.iter().all(|record| record.decision != "failed"),
        "nothing failed"
    );
}

/// A node of these versions panics when the signature of an extension is missing, or where none belongs.
fn extended_blocks(version: Version, signed_by: SignedBy) {
    let mut stage = Stage::new(version, signed_by, Extensions::FromHeightOne);
    assert_eq!(
        stage.node.extensions_from(),
        1,
        "the node knows of the extensions"
    );
    stage.node.wait_for_height(50, Duration::from_secs(60));
    stage.finish();
}
