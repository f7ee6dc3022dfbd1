//! The signer or the node dies, or falls silent.

use std::thread::sleep;
use std::time::Duration;

use super::stage::{RECOVERY, Stage};
use crate::support::genesis::{Extensions, Version};
use crate::support::node::SignedBy;
use crate::support::random::Random;

#[test]
fn v0_38_goes_on_after_its_signer_was_killed_twenty_times() {
    killed_signer(Version::V038, SignedBy::Tcp);
}

#[test]
fn v1_0_goes_on_after_its_signer_was_killed_twenty_times() {
    killed_signer(Version::V1, SignedBy::Unix);
}

#[test]
fn v0_38_goes_on_after_it_was_restarted() {
    restarted_node(Version::V038, SignedBy::Unix);
}

#[test]
fn v1_0_goes_on_after_it_was_restarted() {
    restarted_node(Version::V1, SignedBy::Tcp);
}

#[test]
fn v0_38_goes_on_after_its_signer_was_silent_for_six_seconds() {
    silent_signer(Version::V038, SignedBy::Unix);
}

#[test]
fn v1_0_goes_on_after_its_signer_was_silent_for_six_seconds() {
    silent_signer(Version::V1, SignedBy::Tcp);
}

/// Dies at a random moment between two votes, within one, or while it starts; every time the node must go on by itself.
fn killed_signer(version: Version, signed_by: SignedBy) {
    let mut stage = Stage::new(version, signed_by, Extensions::FromHeightOne);
    let mut random = Random::new();
    for _ in 0..20 {
        sleep(random.moment(Duration::from_millis(250)));
        stage.signer.kill();
        sleep(random.moment(Duration::from_millis(250)));
        stage.signer.start();
        stage.node.wait_for_growth(1, RECOVERY);
    }
    stage.finish();
}

/// A node that comes back replays its log and asks for the same votes again, with the same or with newer timestamps.
fn restarted_node(version: Version, signed_by: SignedBy) {
    let mut stage = Stage::new(version, signed_by, Extensions::FromHeightOne);
    let mut random = Random::new();
    for round in 0..6 {
        sleep(random.moment(Duration::from_millis(250)));
        if round % 2 == 0 {
            stage.node.kill();
        } else {
            stage.node.terminate();
        }
        stage.node.start();
        stage.node.wait_for_growth(2, RECOVERY);
    }
    stage.finish();
}

/// Longer than the node waits for an answer (5 s): it drops the connection and asks for the same vote on the next one.
fn silent_signer(version: Version, signed_by: SignedBy) {
    let mut stage = Stage::new(version, signed_by, Extensions::FromHeightOne);
    stage.signer.freeze();
    sleep(Duration::from_millis(500));
    let before = stage.node.height().expect("the node answers");
    sleep(Duration::from_millis(5_500));
    assert_eq!(stage.node.height(), Some(before), "no block without its signer");
    stage.signer.thaw();
    stage.node.wait_for_growth(3, RECOVERY);
    stage.wait_until_connected("a");
    stage.finish();
}
