//! Draining: one of two nodes is left alone for the very next request, over restarts and kill -9, until it is dialled again.

use std::time::Duration;

use super::stage::{Stage, accept, signed};
use crate::support::fake_node::{Answer, Ask, FakeNode};

const SOON: Duration = Duration::from_millis(300);

fn two_nodes() -> (Stage, FakeNode, FakeNode) {
    let stage = Stage::with_keys(["one"]);
    let (a, b) = (stage.node_at("a.sock", "c-1"), stage.node_at("b.sock", "c-1"));
    let nodes = [("a", a.address()), ("b", b.address())];
    stage.signer.add_chain_at("c-1", "one", &nodes);
    (stage, a, b)
}

#[test]
fn a_drained_node_gets_nothing_more_and_the_other_signs_on() {
    let (mut stage, mut a, mut b) = two_nodes();
    stage.signer.start();
    accept(&mut a);
    accept(&mut b);
    signed(&mut a, 1);
    signed(&mut b, 2);

    for round in 0..3_i64 {
        stage.signer.run(&["node", "drain", "--chain", "c-1", "a"]);
        assert_eq!(
            a.ask(Ask::prevote(100 + round, 1)),
            Answer::Lost,
            "the very next request"
        );
        signed(&mut b, 3 + round);
        assert!(!a.accept_unless(SOON, || false), "a drained node is not dialled");
        let listed = stage.listed("c-1", "a");
        assert_eq!(
            (&listed["drained"], &listed["connected_since"]),
            (&true.into(), &serde_json::Value::Null)
        );
        // Again is nothing.
        stage.signer.run(&["node", "drain", "--chain", "c-1", "a"]);
        stage.reload();
        assert!(!a.accept_unless(SOON, || false), "a reload dials no drained node");
        stage.signer.run(&["node", "undrain", "--chain", "c-1", "a"]);
        accept(&mut a);
        assert!(
            matches!(a.ask(Ask::prevote(3 + round, 1)), Answer::Signed(_)),
            "the stored one"
        );
    }
    let listed = stage.listed("c-1", "b");
    assert_eq!(listed["connections"], 1, "{listed}");
    assert_eq!(listed["signatures"], 4, "{listed}");
    assert_eq!(listed["link"], "unix");
    assert_eq!(
        stage.listed("c-1", "a")["signatures"],
        0,
        "repeats are nobody's: it was dialled anew"
    );
    let tail = stage.signer.run(&["audit", "tail", "-n", "100"]);
    assert_eq!(tail.matches("node.drain").count(), 3, "{tail}");
    assert_eq!(tail.matches("node.undrain").count(), 3, "{tail}");
    stage.signer.run(&["audit", "verify"]);
}

#[test]
fn the_last_node_is_drained_only_by_force() {
    let (mut stage, mut a, mut b) = two_nodes();
    stage.signer.start();
    accept(&mut a);
    accept(&mut b);
    stage.signer.run(&["node", "drain", "--chain", "c-1", "a"]);
    let refused = stage.signer.attempt(&["node", "drain", "--chain", "c-1", "b"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("last_node") && said.contains("signs nothing") && said.contains("--force"),
        "{said}"
    );
    signed(&mut b, 1);
    stage
        .signer
        .run(&["node", "drain", "--chain", "c-1", "b", "--force"]);
    assert_eq!(b.ask(Ask::prevote(2, 1)), Answer::Lost);
    for (chain, node) in [("c-1", "c"), ("c-2", "a")] {
        let refused = stage.signer.attempt(&["node", "drain", "--chain", chain, node]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("node_not_found"), "{said}");
    }
}

#[test]
fn a_drain_outlives_kill_9_and_is_told_without_a_daemon() {
    let (mut stage, mut a, mut b) = two_nodes();
    stage.signer.start();
    accept(&mut a);
    accept(&mut b);
    stage.signer.run(&["node", "drain", "--chain", "c-1", "a"]);
    stage.signer.kill();
    assert_eq!(stage.listed("c-1", "a")["drained"], true);
    stage.signer.start();
    accept(&mut b);
    signed(&mut b, 1);
    assert!(!a.accept_unless(SOON, || false), "still drained");
    stage.signer.kill();
    // Without a daemon both ways work too, and the next start takes them.
    stage.signer.run(&["node", "undrain", "--chain", "c-1", "a"]);
    stage.signer.run(&["node", "drain", "--chain", "c-1", "b"]);
    let text = stage.signer.run(&["node", "list"]);
    assert!(text.contains("sigward does not serve"), "{text}");
    stage.signer.start();
    accept(&mut a);
    signed(&mut a, 2);
    assert!(!b.accept_unless(SOON, || false));
}
